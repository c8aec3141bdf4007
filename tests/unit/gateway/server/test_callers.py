"""Connections of the HTTP server: counted while they are its own, and cut when their first request does not come.

Invariant under test: a whole head saves a connection, octets that are no head do not.
It must not know what is asked for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from gateway.server.callers import Caller, Callers
from gateway.server.proxyheader import Source
from gateway.server.takeover import TakenOver, take_over
from metrics.recorder import Recorder
from tests.support.relay import Clock
from tests.support.server import dial, exchange, soon

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Place:
    """A server whose connections are counted."""

    port: int
    callers: Callers
    recorder: Recorder
    clock: Clock
    taken: list[asyncio.BaseTransport]
    may: asyncio.Event

    @property
    def late(self) -> float:
        return self.recorder.registry.get_sample_value("wavegate_refusals_total", {"reason": "late"}) or 0.0


class Keeps(asyncio.Protocol):
    """Whoever takes a connection over."""


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    """`/` answers, once it may; `/take` gives the socket away."""
    recorder, clock, taken = Recorder(), Clock(), list[asyncio.BaseTransport]()
    may = asyncio.Event()
    may.set()

    async def answer(request: web.Request) -> web.Response:
        await may.wait()
        return web.Response(text="here")

    async def take(request: web.Request) -> web.StreamResponse:
        found = take_over(request, Keeps())
        assert found is not None
        taken.append(found[0])
        return TakenOver()

    application = web.Application()
    application.add_routes([web.get("/", answer), web.get("/take", take)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    server = runner.server
    assert server is not None
    callers = Callers(10.0, recorder, clock)
    listening = await asyncio.get_running_loop().create_server(lambda: Caller(server, callers), "127.0.0.1", 0)
    try:
        yield Place(listening.sockets[0].getsockname()[1], callers, recorder, clock, taken, may)
    finally:
        listening.close()
        await runner.cleanup()
        for transport in taken:
            transport.close()


async def test_one_that_says_nothing_is_cut_when_its_time_is_over() -> None:
    """Not a moment earlier; it is counted, and gone."""
    async with place() as there, dial(there.port) as (reader, _):
        await soon(lambda: len(there.callers) == 1)
        there.clock.at += 9.9
        there.callers.sweep()
        assert there.callers.silent == 1
        there.clock.at += 0.1
        there.callers.sweep()
        assert await reader.read() == b""
        await soon(lambda: len(there.callers) == 0)
        assert (there.callers.silent, there.late) == (0, 1.0)


async def test_half_a_head_saves_nobody() -> None:
    """A head that comes octet by octet is no head until its end has come."""
    async with place() as there, dial(there.port) as (reader, _):
        await soon(lambda: len(there.callers) == 1)
        (caller,) = there.callers._all
        for octet in HEAD[:-1]:
            caller.data_received(bytes([octet]))
        there.clock.at += 10.0
        there.callers.sweep()
        assert await reader.read() == b""
        assert there.late == 1.0


async def test_only_those_who_came_first_are_cut() -> None:
    """They stand in the order in which they came."""
    async with place() as there, dial(there.port) as (early, _):
        await soon(lambda: len(there.callers) == 1)
        there.clock.at += 6.0
        async with dial(there.port) as (_, writer):
            await soon(lambda: len(there.callers) == 2)
            there.clock.at += 4.0
            there.callers.sweep()
            assert await early.read() == b""
            assert there.callers.silent == 1
            writer.close()
        await soon(lambda: len(there.callers) == 0)
        assert (there.callers.silent, there.late) == (0, 1.0)


async def test_whoever_has_asked_once_may_think() -> None:
    """A connection that is kept alive is counted and not cut here."""
    async with place() as there, dial(there.port) as (reader, writer):
        for _ in range(2):
            writer.write(HEAD)
            await reader.readuntil(b"here")
            there.clock.at += 100.0
            there.callers.sweep()
        assert (len(there.callers), there.callers.silent, there.late) == (1, 0, 0.0)


async def test_a_connection_that_was_taken_over_is_no_caller() -> None:
    """It is the new owner's to count, at once and not when the handler's task has ended."""
    async with place() as there, dial(there.port) as (_, writer):
        writer.write(HEAD.replace(b"/ ", b"/take "))
        await soon(lambda: bool(there.taken))
        assert (len(there.callers), there.callers.silent) == (0, 0)
        there.clock.at += 100.0
        there.callers.sweep()
        assert not there.taken[0].is_closing()


async def test_nonsense_is_answered_and_ended() -> None:
    """What is no HTTP gets 400 and is gone."""
    async with place() as there:
        head, _ = await exchange(there.port, b"\x16\x03\x01 hello\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 400") or head.startswith(b"HTTP/1.1 400")
        await soon(lambda: len(there.callers) == 0)
        assert there.callers.silent == 0


async def test_a_caller_without_a_socket_can_be_cut() -> None:
    """One that aiohttp has let go already has nothing left to cut."""
    async with place() as there, dial(there.port) as (reader, _):
        await soon(lambda: len(there.callers) == 1)
        (caller,) = there.callers._all
        caller.force_close()
        caller.cut()
        assert await reader.read() == b""


async def test_who_says_nothing_more_is_answered_and_then_the_connection_ends() -> None:
    """Also if that is not kept alive for another request, and if both come in one breath."""
    async with place() as there:
        for request in (HEAD, HEAD + HEAD):
            async with dial(there.port) as (reader, writer):
                writer.write(request)
                writer.write_eof()
                answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b"here")
        await soon(lambda: len(there.callers) == 0)


async def test_who_has_asked_nothing_or_not_all_and_says_no_more_goes() -> None:
    """Before a request, behind one that was answered, in the middle of a head, and of a body."""
    async with place() as there:
        for request, answered in (
            (b"", b""),
            (HEAD[:9], b""),
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", b""),
        ):
            async with dial(there.port) as (reader, writer):
                writer.write(request)
                await soon(lambda: len(there.callers) == 1)
                writer.write_eof()
                assert (await reader.read()).startswith(answered)
            await soon(lambda: len(there.callers) == 0)
        async with dial(there.port) as (reader, writer):
            writer.write(HEAD)
            assert (await reader.readuntil(b"here")).endswith(b"here")
            writer.write_eof()
            assert await reader.read() == b""


async def test_a_new_owner_is_told_what_was_said_before() -> None:
    """That nothing more is said; if it has nothing to say either, the connection closes."""

    class Hears(Keeps):
        def __init__(self) -> None:
            self.told = 0

        def eof_received(self) -> bool:
            self.told += 1
            return self.told > 1

    async with place() as there:
        owner, asked = Hears(), asyncio.Event()

        async def take_late(request: web.Request) -> web.StreamResponse:
            await soon(lambda: isinstance(request.protocol, Caller) and request.protocol.hushed)
            assert take_over(request, owner) is not None
            asked.set()
            return TakenOver()

        application = web.Application()
        application.add_routes([web.get("/", take_late)])
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        server = runner.server
        assert server is not None
        listening = await asyncio.get_running_loop().create_server(
            lambda: Caller(server, there.callers), "127.0.0.1", 0
        )
        try:
            async with dial(listening.sockets[0].getsockname()[1]) as (reader, writer):
                writer.write(HEAD)
                writer.write_eof()
                assert await reader.read() == b""
            assert asked.is_set()
            assert owner.told == 1
        finally:
            listening.close()
            await runner.cleanup()


async def test_who_is_being_answered_is_known() -> None:
    """Until the answer is out; a connection that is kept for the next request is not busy."""
    async with place() as there, dial(there.port) as (reader, writer):
        there.may.clear()
        await soon(lambda: len(there.callers) == 1)
        assert not there.callers.busy
        writer.write(HEAD)
        await soon(lambda: there.callers.busy)
        there.may.set()
        await reader.readuntil(b"here")
        await soon(lambda: not there.callers.busy)
        assert len(there.callers) == 1


async def test_a_proxy_may_have_said_who_asks() -> None:
    """Else it is who is at the other end."""
    async with place() as there, dial(there.port) as (_, writer):
        await soon(lambda: len(there.callers) == 1)
        (caller,) = there.callers._all
        assert caller.peername == writer.get_extra_info("sockname")
        caller.source = Source("203.0.113.7", 4711)
        assert caller.peername == ("203.0.113.7", 4711)
