"""Taking connections over from aiohttp, on real sockets: nothing is lost on the way, and nothing of aiohttp remains.

Invariant under test: after the takeover the socket has one owner.
It must not know what the socket is for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from aiohttp import web

from gateway.server.takeover import TakenOver, take_over
from tests.support.relay import within
from tests.support.server import dial, soon

UPGRADE = b"GET /take HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
PLAIN = b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"


class Echo(asyncio.Protocol):
    """Gives back what comes, and tells when it is gone."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@dataclass
class Place:
    """A server whose /take hands its connections to an Echo, behind a greeting."""

    runner: web.AppRunner
    echoes: list[Echo] = field(default_factory=list)
    refused: int = 0
    before: asyncio.Event | None = None
    began: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def port(self) -> int:
        port: int = self.runner.addresses[0][1]
        return port

    async def plain(self, request: web.Request) -> web.Response:
        return web.Response(text="plain")

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.began.set()
        if self.before is not None:
            await self.before.wait()
        echo = Echo()
        taken = take_over(request, echo)
        if taken is None:
            self.refused += 1
            return TakenOver()
        self.echoes.append(echo)
        transport, early = taken
        transport.write(b"hello:" + early)
        return TakenOver()


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    application = web.Application()
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    there = Place(runner)
    application.add_routes([web.get("/plain", there.plain), web.get("/take", there.take)])
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield there
    finally:
        await runner.cleanup()


async def test_a_kept_alive_connection_can_be_taken() -> None:
    """First an ordinary request and its answer, then the takeover on the same connection."""
    async with place() as there:
        async with dial(there.port) as (reader, writer):
            for _ in range(2):
                writer.write(PLAIN)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(5) == b"plain"
            writer.write(UPGRADE)
            assert await reader.readexactly(6) == b"hello:"
            writer.write(b"ours now")
            assert await reader.readexactly(8) == b"ours now"
        assert await within(there.echoes[0].lost) is None


async def test_what_was_sent_early_is_not_lost() -> None:
    """Octets behind the upgrade request, in the same packet or while the handler waits, come in order, each once."""
    async with place() as there, dial(there.port) as (reader, writer):
        there.before = asyncio.Event()
        writer.write(UPGRADE + b"one,")
        await there.began.wait()
        writer.write(b"two,")
        await writer.drain()
        # The octets must have reached the server before the handler goes on: a later request's answer proves it.
        async with dial(there.port) as (other, asking):
            asking.write(PLAIN)
            await other.readuntil(b"plain")
        there.before.set()
        writer.write(b"three.")
        assert await reader.readuntil(b".") == b"hello:one,two,three."


async def test_more_than_aiohttp_buffers_comes_through() -> None:
    """When aiohttp has stopped reading a client that said much too early, the new owner reads the rest."""
    much = bytes(range(256)) * 2048
    async with place() as there, dial(there.port) as (reader, writer):
        there.before = asyncio.Event()
        writer.write(UPGRADE + much)
        await there.began.wait()
        there.before.set()
        assert await reader.readexactly(6) == b"hello:"
        assert await reader.readexactly(len(much)) == much


async def test_aiohttp_lets_go_and_its_end_does_not_end_ours() -> None:
    """The server forgets the connection, its task ends, and stopping the server does not close what was taken."""
    async with place() as there, dial(there.port) as (reader, writer):
        writer.write(UPGRADE)
        await reader.readexactly(6)
        server = there.runner.server
        assert server is not None
        await soon(lambda: server.connections == [])
        await there.runner.cleanup()
        assert not any("RequestHandler" in str(task.get_coro()) for task in asyncio.all_tasks())
        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"


@pytest.mark.parametrize("gone", ["closing", "lost"])
async def test_a_client_that_has_gone_is_not_taken(gone: str) -> None:
    """A socket that closes while the handler is busy is left to aiohttp, whose task ends in peace."""
    async with place() as there:
        there.before = asyncio.Event()
        async with dial(there.port) as (reader, writer):
            writer.write(UPGRADE)
            await there.began.wait()
            assert there.runner.server is not None
            (handler,) = there.runner.server.connections
            assert handler.transport is not None
            handler.transport.abort()
            if gone == "lost":
                assert await reader.read() == b""
            there.before.set()
            assert await reader.read() == b""
        await soon(lambda: there.refused == 1)
        assert there.echoes == []


async def test_a_taken_answer_writes_nothing() -> None:
    """What aiohttp gets to send is nothing, and it does not keep the connection for itself."""
    answer = TakenOver({"X-Song": "1"})
    assert answer.keep_alive is False
    assert answer.headers["X-Song"] == "1"
    await answer.write_eof(b"nothing of this")
    assert not answer.prepared
