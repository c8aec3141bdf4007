"""The share of a turn in which clients are listened to: who is held, who reads on, and that nothing said is lost.

Invariant under test: with no share at all every door works as ever, also under TLS and behind a proxy, and what stopped
a connection's reading for reasons of its own still does. It must not know how long the share is.
"""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from gateway.config.server import Server
from gateway.server import turns as module
from gateway.server.callers import Caller, Callers
from gateway.server.progressive import MOST_SAID
from gateway.server.transport import SocketTransport
from gateway.server.turns import SHARE_SECONDS, Turns
from metrics.recorder import Recorder
from tests.support.certificates import Authority
from tests.support.gateway import KEY, bench, hear, receive, say, talk
from tests.support.relay import Clock
from tests.support.server import Wire, new_line
from tests.unit.gateway.server.test_progressive import connected as player


class Reads:
    """A connection that only knows whether it is read."""

    def __init__(self) -> None:
        self.wire = Wire()

    def read_on(self) -> None:
        self.wire.resume_reading()


async def test_late_in_a_turn_who_was_heard_is_held_until_the_next() -> None:
    """Not before, and not one that is closing; in the next turn the share begins anew."""
    clock = Clock()
    turns, early, late, closing = Turns(clock), Reads(), Reads(), Reads()
    closing.wire.close()
    turns.heard(early, early.wire)
    clock.at += SHARE_SECONDS
    turns.heard(early, early.wire)
    clock.at += 0.001
    turns.heard(late, late.wire)
    turns.heard(closing, closing.wire)
    assert (early.wire.reading, late.wire.reading, closing.wire.reading) == (True, False, True)
    await asyncio.sleep(0)
    assert late.wire.reading
    turns.heard(late, late.wire)
    assert late.wire.reading


def _stalled(connection: SocketTransport) -> None:
    connection.pause_writing()


def _talkative(connection: SocketTransport) -> None:
    connection.data_received(bytes(MOST_SAID + 1))


@pytest.mark.parametrize(
    ("made", "reason"),
    [(lambda: (new_line().connection, Wire()), _stalled), (lambda: player()[:2], _talkative)],
    ids=["a WebSocket whose client does not read", "a player that says too much"],
)
async def test_reasons_of_its_own_outlast_a_turn(
    made: Callable[[], tuple[SocketTransport, Wire]], reason: Callable[[SocketTransport], None]
) -> None:
    connection, wire = made()
    connection.connection_made(wire)
    connection.sink.pause_reading()
    connection.read_on()
    assert wire.reading
    reason(connection)
    connection.read_on()
    assert not wire.reading
    wire.close()
    connection.connection_lost(None)
    connection.read_on()


async def test_the_http_servers_own_reasons_outlast_a_turn() -> None:
    """A body that nobody takes is not read any further."""
    wire, callers = Wire(), Callers(10.0, Recorder(), Clock())
    caller = Caller(aiohttp.web.Server(lambda _: pytest.fail("nothing is asked")), callers)  # type: ignore[arg-type]
    caller.connection_made(wire)
    caller.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    for hold, go_on in (
        (caller.pause_reading, caller.resume_reading),
        (caller._pause_reading_for_buffer, caller._resume_reading_for_buffer),
    ):
        hold()
        caller.read_on()
        assert not wire.reading
        go_on()
        assert wire.reading
    caller.cut()
    caller.connection_lost(None)
    caller.read_on()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Whoever is heard second in a turn is held: who that was."""
    seen: list[object] = []
    before = Turns.heard

    def heard(self: Turns, reader: module.Reader, transport: asyncio.Transport) -> None:
        before(self, reader, transport)
        before(self, reader, transport)
        seen.append(reader)

    monkeypatch.setattr(module, "SHARE_SECONDS", -1.0)
    monkeypatch.setattr(Turns, "heard", heard)
    return seen


async def test_without_any_share_everything_is_heard(held: list[object]) -> None:
    """A session of many messages, a large body, and the song over HTTP."""
    async with bench() as gateway:
        song = await gateway.create("[[scale seconds=2 speed=20]] a scale, a word at a time")
        async with talk(gateway) as line:
            for number in range(60):
                await say(line, type="ping", event_id=f"e{number}")
                assert (await receive(line))["event_id"] == f"e{number}"
            await say(line, type="stream.attach", stream_id=song["id"], since="start")
            heard = await hear(line)
        assert hashlib.sha256(heard.audio).hexdigest() == heard.named("stream.completed")["sha256"]
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as http:
            async with http.post(gateway.url + "/v1/streams", json={"input": "x" * 65_537}) as refused:
                assert refused.status == 413
            async with http.get(f"{gateway.url}/v1/streams/{song['id']}/audio.mp3") as answer:
                assert await answer.read() == heard.audio
    assert len(held) > 50


@pytest.mark.parametrize("proxied", [False, True])
async def test_without_any_share_under_tls(held: list[object], tmp_path: Path, proxied: bool) -> None:
    """From the first octet of the handshake, and of the header before it."""
    authority = Authority(tmp_path)
    server = Server(port=0, internal_port=0, **authority.issue().config())
    if proxied:
        server = Server(
            port=0, internal_port=0, trusted_proxies=["127.0.0.1"], proxy_protocol=True, **authority.issue().config()
        )
    async with bench(server=server) as gateway:
        number = int(gateway.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        if proxied:
            for octet in b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n":
                writer.write(bytes([octet]))
                await writer.drain()
        await writer.start_tls(authority.trusted, server_hostname="127.0.0.1")
        request = b"GET /v1/streams HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + KEY.encode()
        for octet in request + b"\r\n\r\n":
            writer.write(bytes([octet]))
            await writer.drain()
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert held
