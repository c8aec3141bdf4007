"""One connection: how it is opened and refused, what it hears, and how it notices that nobody is there.

Invariant under test: whatever happens to it leaves as an `Ending` with a move and a sentence, and the key is in no log.
The other side is a scripted gateway on a real socket; songs are not known here.
"""

import asyncio
import base64
import json
import logging
import socket
import ssl
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from gateway.client.connection import Connection, open_connection
from gateway.client.ending import ABNORMAL, Ending, Move
from gateway.protocol import events
from gateway.protocol.messages import Ping

PATIENCE = 5.0
WHILE = 60.0


def door(stand_in: Any) -> str:
    return stand_in.url.replace("http", "ws") + "/v1/ws"


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "verify failed")
    error.verify_message = "self-signed certificate"
    return error


async def greet(talk: Any) -> None:
    await talk.say(events.SessionCreated("session", "acme", {}, 0.0))


async def test_a_key_travels_in_the_header_and_without_compression(stand_in: Any) -> None:
    """The handshake carries the key, the subprotocol and our name, and offers no compression."""
    stand_in.script(greet)
    connection = await open_connection(door(stand_in), key="secret", ticket=None)
    await connection.close()
    headers = stand_in.requests[0].headers
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Sec-WebSocket-Protocol"] == "wavegate.v1"
    assert headers["User-Agent"].startswith("wavegate-python/")
    assert "Sec-WebSocket-Extensions" not in headers
    assert stand_in.requests[0].path == "/v1/ws"


async def test_a_ticket_travels_beside_the_subprotocol(stand_in: Any) -> None:
    """A ticket is no header and no part of the address: it stands in no log."""
    stand_in.script(greet)
    connection = await open_connection(door(stand_in), key=None, ticket="t/1?")
    await connection.close()
    offered = stand_in.requests[0].headers["Sec-WebSocket-Protocol"]
    encoded = base64.urlsafe_b64encode(b"t/1?").decode().rstrip("=")
    assert offered == f"wavegate.v1, wavegate.ticket.{encoded}"
    assert "Authorization" not in stand_in.requests[0].headers


async def test_the_key_is_in_no_log(stand_in: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at debug level does the key appear in what is logged."""
    caplog.set_level(logging.DEBUG)
    stand_in.script(greet)
    connection = await open_connection(door(stand_in), key="top-secret-key", ticket=None)
    await connection.close()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("wavegate.client")]
    assert not any("top-secret-key" in message for message in ours)


@pytest.mark.parametrize("credential", [{"key": "secret", "ticket": None}, {"key": None, "ticket": "wt_secret"}])
async def test_no_redirect_takes_a_credential_elsewhere(credential: dict[str, str | None]) -> None:
    """Neither to another host nor to another port: whoever was named is asked, and nobody else."""
    visitors: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append(await reader.readline())
        writer.close()

    async def named(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(elsewhere, "127.0.0.1", 0) as thief,
        await asyncio.start_server(named, "127.0.0.1", 0) as server,
    ):
        for host in ("localhost", "127.0.0.1"):
            there = f"ws://{host}:{thief.sockets[0].getsockname()[1]}/v1/ws"
            with pytest.raises(Ending) as caught:
                await open_connection(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/ws", **credential)
            assert "307" in str(caught.value.message)
    assert visitors == []


async def test_a_refusal_is_the_gateways_error(stand_in: Any) -> None:
    """The JSON body of a refused handshake is what the ending says."""
    body = {"error": {"code": "bad_credentials", "message": "This key is not known here.", "retryable": False}}
    stand_in.refusal(401, json.dumps(body).encode(), Content_Type="application/json")
    with pytest.raises(Ending) as caught:
        await open_connection(door(stand_in), key="wrong", ticket=None)
    assert caught.value.slug == "bad_credentials"
    assert caught.value.move is Move.STOP


async def test_a_busy_proxy_is_waited_for_as_it_says(stand_in: Any) -> None:
    """A 503 that is not ours backs off for its Retry-After."""
    stand_in.refusal(503, b"<html>", Retry_After="4")
    with pytest.raises(Ending) as caught:
        await open_connection(door(stand_in), key="k", ticket=None)
    assert (caught.value.slug, caught.value.move, caught.value.retry_after) == ("refused", Move.BACK_OFF, 4.0)


async def test_nobody_there_is_a_sentence_with_the_address() -> None:
    """A refused connection names the address and is worth another attempt."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/v1/ws"
        with pytest.raises(Ending) as caught:
            await open_connection(url, key="k", ticket=None)
    assert (caught.value.slug, caught.value.move) == ("unreachable", Move.BACK_OFF)
    assert url in caught.value.message


@pytest.mark.parametrize(
    ("answer", "slug", "move"),
    [
        (b"", "unreachable", Move.BACK_OFF),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "refused", Move.STOP),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "bad_protocol", Move.STOP),
    ],
)
async def test_something_else_that_answers_is_told_apart(answer: bytes, slug: str, move: Move) -> None:
    """A server that hangs up may be starting; one that is no Wavegate will not become one."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/ws"
        with pytest.raises(Ending) as caught:
            await open_connection(url, key="k", ticket=None)
    assert (caught.value.slug, caught.value.move) == (slug, move)


@pytest.mark.parametrize(
    ("error", "move", "words"),
    [
        (untrusted(), Move.STOP, "is not trusted: self-signed certificate"),
        (TimeoutError("timed out"), Move.BACK_OFF, "no answer within"),
        (ImportError("needs python-socks"), Move.BACK_OFF, "python-socks"),
        (OSError(113, "No route to host"), Move.BACK_OFF, "No route to host"),
    ],
)
async def test_every_way_not_to_get_through_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, move: Move, words: str
) -> None:
    """Whatever the network throws leaves as an ending that names the address."""

    async def connect(url: str, **options: Any) -> None:
        raise error

    monkeypatch.setattr("gateway.client.connection._Straight", connect)
    with pytest.raises(Ending) as caught:
        await open_connection("wss://music.example/v1/ws", key="k", ticket=None)
    assert (caught.value.slug, caught.value.move) == ("unreachable", move)
    assert words in caught.value.message
    assert "wss://music.example" in caught.value.message


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    """A wrong host name is a sentence too."""
    with pytest.raises(Ending) as caught:
        await open_connection("ws://nobody.invalid/v1/ws", key="k", ticket=None)
    assert caught.value.slug == "unreachable"


async def test_another_subprotocol_is_no_gateway(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A WebSocket server that does not echo wavegate.v1 is left."""
    monkeypatch.setattr("gateway.client.connection.SUBPROTOCOL", "chat.v1")
    stand_in.script(lambda talk: asyncio.sleep(0))
    with pytest.raises(Ending) as caught:
        await open_connection(door(stand_in), key="k", ticket=None)
    assert caught.value.code == 4010


async def test_the_greeting_must_come(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that accepts and stays silent is given up."""
    stand_in.script(lambda talk: asyncio.sleep(0))
    monkeypatch.setattr("gateway.client.connection.GREETING_SECONDS", 0.05)
    with pytest.raises(Ending) as caught:
        await open_connection(door(stand_in), key="k", ticket=None)
    assert caught.value.slug == "no_answer"


async def test_an_error_instead_of_a_greeting_is_the_reason(stand_in: Any) -> None:
    """What the gateway says before it closes is what counts, not the close."""
    stand_in.script(lambda talk: talk.refuse("bad_credentials"))
    with pytest.raises(Ending) as caught:
        await open_connection(door(stand_in), key=None, ticket="old")
    assert (caught.value.slug, caught.value.code) == ("bad_credentials", 4001)


async def test_anything_else_instead_of_a_greeting_is_bad_protocol(stand_in: Any) -> None:
    """A conversation that begins in the middle is not ours."""
    stand_in.script(lambda talk: talk.say(events.Pong(None, 0.0)))
    with pytest.raises(Ending) as caught:
        await open_connection(door(stand_in), key="k", ticket=None)
    assert caught.value.slug == "bad_protocol"


@pytest.mark.parametrize(
    ("code", "reason", "slug", "after"),
    [(4102, "too_slow;retry_after_ms=250", "too_slow", 0.25), (1011, "", "internal", None)],
)
async def test_a_close_is_an_ending_with_its_reason(
    stand_in: Any, code: int, reason: str, slug: str, after: float | None
) -> None:
    """Code, slug and time of a close frame arrive."""

    async def script(talk: Any) -> None:
        await greet(talk)
        await talk.close(code, reason)

    stand_in.script(script)
    connection = await open_connection(door(stand_in), key="k", ticket=None)
    with pytest.raises(Ending) as caught:
        await connection.receive()
    assert (caught.value.code, caught.value.slug, caught.value.retry_after) == (code, slug, after)
    with pytest.raises(Ending) as caught:
        await connection.say(Ping())
    assert caught.value.code == code
    await connection.close()


async def test_a_cut_is_an_abnormal_ending(stand_in: Any) -> None:
    """A network that goes away without a word is 1006."""

    async def script(talk: Any) -> None:
        await greet(talk)
        talk.cut()

    stand_in.script(script)
    connection = await open_connection(door(stand_in), key="k", ticket=None)
    with pytest.raises(Ending) as caught:
        await connection.receive()
    assert caught.value.code == ABNORMAL
    await connection.close()


async def test_what_is_unknown_is_skipped_and_what_is_malformed_ends(stand_in: Any) -> None:
    """A newer gateway's messages pass by; garbage is bad protocol."""

    async def script(talk: Any) -> None:
        await greet(talk)
        await talk.socket.send('{"type": "stream.sparkles"}')
        await talk.say(events.Pong(1, 0.0))
        await talk.socket.send(b"garbage")

    stand_in.script(script)
    connection = await open_connection(door(stand_in), key="k", ticket=None)
    assert await connection.receive() == events.Pong(1, 0.0)
    with pytest.raises(Ending) as caught:
        await connection.receive()
    assert (caught.value.slug, caught.value.move) == ("bad_protocol", Move.STOP)
    await connection.close()


async def test_silence_of_a_living_gateway_is_no_ending(stand_in: Any) -> None:
    """A gateway that answers pings may be silent as long as a song takes to begin."""
    quiet = asyncio.Event()

    async def script(talk: Any) -> None:
        await greet(talk)
        await quiet.wait()
        await talk.say(events.Pong(1, 0.0))

    stand_in.script(script)
    connection = await open_connection(door(stand_in), key="k", ticket=None, silence=0.1)
    asyncio.get_running_loop().call_later(0.35, quiet.set)
    async with asyncio.timeout(PATIENCE):
        assert await connection.receive() == events.Pong(1, 0.0)
    await connection.close()


async def test_silence_of_a_dead_gateway_is_noticed(stand_in: Any) -> None:
    """A peer that answers no ping is gone, although the connection still stands."""
    seen = asyncio.Event()

    async def script(talk: Any) -> None:
        await greet(talk)
        talk.socket.transport.pause_reading()
        await seen.wait()
        talk.cut()

    stand_in.script(script)
    connection = await open_connection(door(stand_in), key="k", ticket=None, silence=0.05)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(Ending) as caught:
            await connection.receive()
    assert caught.value.code == ABNORMAL
    assert "has not answered" in caught.value.message
    seen.set()
    await connection.close()


async def test_a_connection_that_ends_while_it_is_asked_tells_how() -> None:
    """A ping that comes too late does not hide the close."""

    class Socket:
        closing = False

        async def recv(self) -> bytes:
            if self.closing:
                raise ConnectionClosedError(Close(1012, "going_away"), None)
            await asyncio.sleep(WHILE)
            return b""

        async def ping(self) -> None:
            self.closing = True
            raise ConnectionClosedError(Close(1012, "going_away"), None)

    socket: Any = Socket()
    with pytest.raises(Ending) as caught:
        await Connection(socket, "ws://x", silence=0.01).receive()
    assert caught.value.code == 1012


async def test_a_gateway_that_takes_nothing_is_not_written_to_for_ever(
    stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that does not get out is an ending, not a wait."""
    monkeypatch.setattr("gateway.client.connection.SEND_SECONDS", 0.05)
    stopped, seen = asyncio.Event(), asyncio.Event()

    async def script(talk: Any) -> None:
        talk.socket.transport.pause_reading()
        stopped.set()
        await greet(talk)
        await seen.wait()
        talk.cut()

    stand_in.script(script)
    connection = await open_connection(door(stand_in), key="k", ticket=None)
    await stopped.wait()

    async def talk_on() -> None:
        for _ in range(1000):
            await connection.say(Ping(t="x" * 60000))

    with pytest.raises(Ending) as caught:
        await talk_on()
    seen.set()
    assert caught.value.code == ABNORMAL
    await connection.close()
