"""The listener in the bench's own loop, with a server of the test's own.

Invariant under test: each chunk is told with its stream and the moment at which it came; every wait ends.
It must not know the gateway.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from gateway.bench import latency_probe
from gateway.bench.benches import BenchError
from gateway.bench.latency_probe import probe
from gateway.bench.peers.message import Messages
from gateway.protocol.frames import Header, unpack

Script = Callable[[ServerConnection], Awaitable[object]]


@asynccontextmanager
async def server(script: Script, status: int | None = None) -> AsyncIterator[str]:
    """Does to whoever comes what the script says, or refuses; its address."""

    async def refuse(connection: ServerConnection, request: Request) -> Response | None:
        assert request.headers["Authorization"] == "Bearer secret"
        return None if status is None else connection.respond(status, "no")

    async def play(connection: ServerConnection) -> None:
        await script(connection)
        await connection.wait_closed()

    subprotocols = [Subprotocol("wavegate.v1")]
    async with serve(play, "127.0.0.1", 0, subprotocols=subprotocols, process_request=refuse) as running:
        yield f"http://127.0.0.1:{next(iter(running.sockets)).getsockname()[1]}"


async def test_chunks_are_told_with_their_moments() -> None:
    """And messages, of which those that nobody asks for are passed over; a ping is answered."""
    messages = Messages(300, 0.1)
    chunk = messages.message(5)

    async def script(connection: ServerConnection) -> None:
        assert await connection.recv() == '{"type":"hello","ref":"1"}'
        await connection.send('{"type":"news"}')
        await connection.send('{"type":"stream.started","stream_id":"st_1","rendition":0}')
        await asyncio.wait_for(await connection.ping(), 10)
        await connection.send(chunk)
        await connection.send('{"type":"enough"}')

    heard: list[tuple[str, Header, float]] = []
    clock = iter(range(1000))
    async with (
        server(script) as url,
        probe(url, "secret", lambda: next(clock), lambda *what: heard.append(what)) as listener,
    ):
        listener.say("hello", ref="1")
        at, message = await listener.told("enough")
    assert message == {"type": "enough"}
    ((stream, header, moment),) = heard
    assert (stream, header) == ("st_1", unpack(chunk)[0])
    assert 0 < moment <= at


async def test_a_long_handshake_is_waited_for() -> None:
    """An answer may come in pieces, and with a frame behind it."""

    half = asyncio.Event()

    async def serve_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching")
        await half.wait()
        writer.write(b' Protocols\r\n\r\n\x81\x0f{"type":"news"}')
        await reader.read()
        writer.close()

    def clock() -> float:
        half.set()
        return 0.0

    running = await asyncio.start_server(serve_slowly, "127.0.0.1", 0)
    async with running:
        url = f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
        async with probe(url, "secret", clock, lambda *_: None) as listener:
            await listener.told("news")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('{"type":"error","error":{"code":"rate_exceeded"}}', "said error, not enough: .*rate_exceeded"),
        ("close", "said closed, not enough: go away"),
    ],
)
async def test_a_mistake_ends_a_wait(said: str, told: str) -> None:
    """With the gateway's words."""

    async def script(connection: ServerConnection) -> None:
        if said == "close":
            await connection.close(1001, "go away")
        else:
            await connection.send(said)

    async with server(script) as url, probe(url, "secret", lambda: 0.0, lambda *_: None) as listener:
        with pytest.raises(BenchError, match=told):
            await listener.told("enough")


async def test_silence_ends_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time. What nobody asks for is kept up to a limit."""

    async def script(connection: ServerConnection) -> None:
        for number in range(5):
            await connection.send(f'{{"type":"news","number":{number}}}')

    monkeypatch.setattr(latency_probe, "_MOST_TOLD", 3)
    async with server(script) as url, probe(url, "secret", lambda: 0.0, lambda *_: None) as listener:
        monkeypatch.setattr(latency_probe, "_SECONDS", 0.1)
        with pytest.raises(BenchError, match=r"has not said enough within 0\.1 s"):
            await listener.told("enough")


async def test_a_door_that_stays_shut_is_told() -> None:
    """Refused, or not there at all."""

    async def script(connection: ServerConnection) -> None:
        pass

    async with server(script, 401) as url:
        with pytest.raises(BenchError, match="refused a listener with 401"):
            async with probe(url, "secret", lambda: 0.0, lambda *_: None):
                pass
    with pytest.raises(BenchError, match="cannot be reached"):
        async with probe(url, "secret", lambda: 0.0, lambda *_: None):
            pass
