"""The port on real sockets: who is turned away there gets a whole answer, and is gone whatever it does.

Invariant under test: with no room no HTTP server hears of a connection.
It must not know how room is counted.
"""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from gateway.server import port as port_module
from gateway.server.admission import MARGIN
from gateway.server.callers import Callers
from gateway.server.port import AT_ONCE, BACKLOG, UNSENT_BYTES, Port, bound_unsent
from metrics.recorder import Recorder
from tests.support.relay import Clock
from tests.support.server import Room, dial, exchange, soon

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass
class Place:
    """A port with room for one connection more than the margin, or for none."""

    number: int
    port: Port
    callers: Callers
    room: Room
    clock: Clock
    seen: list[web.Request]

    def close_the_door(self) -> None:
        self.room.occupied = 1 + MARGIN


@asynccontextmanager
async def place(host: str = "127.0.0.1", handed: Sequence[socket.socket] = ()) -> AsyncIterator[Place]:
    room, clock, seen = Room(limit=1), Clock(), list[web.Request]()

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(text="here")

    application = web.Application()
    application.add_routes([web.get("/", answer)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    callers = Callers(10.0, Recorder(), clock)
    port = Port(callers, room.admission(Recorder()), room.prefixes(Recorder()), clock)
    try:
        yield Place(await port.listen(runner.server, host, 0, handed), port, callers, room, clock, seen)
    finally:
        port.close()
        await runner.cleanup()


async def talk_on(sock: socket.socket) -> None:
    """Says something for as long as anybody is there."""
    while True:
        await asyncio.get_running_loop().sock_sendall(sock, bytes(100_000))


async def test_where_there_is_room_the_http_server_answers() -> None:
    """Whoever comes is its caller until it has gone."""
    async with place() as there:
        assert (await exchange(there.number, HEAD))[1] == b"here"
        await soon(lambda: len(there.callers) == 0)
        assert len(there.seen) == 1


async def test_sockets_that_were_handed_over_are_the_port() -> None:
    """Whoever waited there before is answered; the gateway's copies close, and who handed them over keeps its own."""
    ours = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    numbers = [one.getsockname()[1] for one in ours]
    with ours[0], ours[1], socket.create_connection(("127.0.0.1", numbers[0])) as early:
        async with place("203.0.113.1", [one.dup() for one in ours]) as there:
            assert there.number == numbers[0]
            early.sendall(HEAD)
            for number in numbers:
                assert (await exchange(number, HEAD))[1] == b"here"
            early.setblocking(False)
            assert (await asyncio.get_running_loop().sock_recv(early, 4096)).startswith(b"HTTP/1.1 200")
            there.port.stop()
            there.port.stop()
        with socket.create_connection(("127.0.0.1", numbers[1])):
            ours[1].settimeout(5.0)
            ours[1].accept()[0].close()


async def test_whoever_is_turned_away_gets_a_whole_answer() -> None:
    """503, the error document, when to come back, and the end of the connection; no HTTP server has seen it."""
    async with place() as there:
        there.close_the_door()
        head, body = await exchange(there.number, HEAD)
        lines = head.decode().split("\r\n")
        assert lines[0] == "HTTP/1.1 503 Service Unavailable"
        headers = dict(line.split(": ") for line in lines[1:])
        assert headers.pop("Date").endswith(" GMT")
        assert headers == {
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": str(len(body)),
            "Retry-After": "2",
            "Connection": "close",
        }
        error = json.loads(body)["error"]
        assert (error["code"], error["retryable"], error["retry_after_ms"]) == ("overloaded", True, 2000)
        await soon(lambda: there.port.farewells == 0)
        assert there.seen == []
        there.room.occupied = 0
        assert (await exchange(there.number, HEAD))[1] == b"here"


async def test_the_answer_reaches_one_that_is_still_talking() -> None:
    """A body that nobody reads does not reset the connection under the answer."""
    async with place() as there:
        there.close_the_door()
        async with dial(there.number) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000))
            assert (await reader.read()).startswith(b"HTTP/1.1 503")
            assert not writer.is_closing()
        await soon(lambda: there.port.farewells == 0)


async def test_one_that_does_not_go_is_cut() -> None:
    """Its time is over after two seconds, whatever it says."""
    async with place() as there:
        there.close_the_door()
        loop = asyncio.get_running_loop()
        with socket.socket() as stays:
            stays.setblocking(False)
            async with asyncio.timeout(20):
                await loop.sock_connect(stays, ("127.0.0.1", there.number))
                while await loop.sock_recv(stays, 1000):
                    pass
                there.clock.at += 1.9
                there.port.sweep()
                assert there.port.farewells == 1
                await loop.sock_sendall(stays, b"still here")
                there.clock.at += 0.1
                there.port.sweep()
                assert there.port.farewells == 0
                with pytest.raises(ConnectionError):
                    await talk_on(stays)


async def test_only_so_many_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more, and the oldest of them is cut: what is turned away cannot fill the process either."""
    monkeypatch.setattr(port_module, "MOST_FAREWELLS", 3)
    async with place() as there, AsyncExitStack() as stack:
        there.close_the_door()
        for _ in range(5):
            reader, _ = await stack.enter_async_context(dial(there.number))
            assert (await reader.read()).startswith(b"HTTP/1.1 503")
        assert there.port.farewells == 3


async def test_those_who_have_gone_before_they_were_told_are_no_trouble() -> None:
    """A connection that was reset before it was accepted is one that has left, with room and without."""
    troubles: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, trouble: troubles.append(trouble))
    async with place() as there:
        for occupied in (0, 1 + MARGIN):
            there.room.occupied = occupied
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", there.number)) as gone:
                    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            async with dial(there.number) as (_, last):
                await soon(lambda: there.callers.silent + there.port.farewells > 0)
                last.close()
            await soon(lambda: len(there.callers) + there.port.farewells == 0)
    assert troubles == []


async def test_silence_is_cut_by_the_same_timer() -> None:
    """The sweep of the port is that of the callers, too."""
    async with place() as there, dial(there.number) as (reader, _):
        await soon(lambda: there.callers.silent == 1)
        there.clock.at += 10.0
        there.port.sweep()
        assert await reader.read() == b""


async def test_the_timer_ticks() -> None:
    """`run` sweeps again and again."""
    async with place() as there, dial(there.number) as (reader, _):
        await soon(lambda: there.callers.silent == 1)
        there.clock.at += 10.0
        ticking = asyncio.create_task(there.port.run())
        assert await asyncio.wait_for(reader.read(), 20) == b""
        ticking.cancel()
        assert isinstance((await asyncio.gather(ticking, return_exceptions=True))[0], asyncio.CancelledError)


async def test_a_stop_turns_nobody_out() -> None:
    """Nobody new is accepted, and who is there is answered; at the close those who were turned away are cut."""
    async with place() as there, dial(there.number) as (reader, writer):
        await soon(lambda: len(there.callers) == 1)
        there.close_the_door()
        async with dial(there.number) as (refused, _):
            await refused.read()
            there.port.stop()
            with pytest.raises(ConnectionRefusedError):
                async with dial(there.number):
                    pass
            writer.write(HEAD)
            assert (await reader.read()).endswith(b"here")
            there.port.close()
            assert there.port.farewells == 0


async def test_a_port_that_is_taken_is_an_error_of_the_system() -> None:
    """Nothing is left listening."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        runner = web.AppRunner(web.Application())
        await runner.setup()
        assert runner.server is not None
        room = Room()
        callers = Callers(1.0, Recorder(), Clock())
        port = Port(callers, room.admission(Recorder()), room.prefixes(Recorder()), Clock())
        with pytest.raises(OSError, match="in use"):
            await port.listen(runner.server, "127.0.0.1", other.getsockname()[1])
        port.stop()
        await runner.cleanup()


async def test_a_port_that_cannot_be_listened_on_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails after it was bound, somebody else may have it."""
    bound: list[int] = []

    def fails(accepting: socket.socket) -> None:
        bound.append(accepting.getsockname()[1])
        raise OSError

    monkeypatch.setattr(port_module, "bound_unsent", fails)
    with pytest.raises(OSError):
        async with place():
            pass
    with socket.create_server(("127.0.0.1", bound[0])):
        pass


async def test_addresses_of_six_are_listened_on() -> None:
    """The port of either family is told."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with place("::1") as there:
        reader, writer = await asyncio.open_connection("::1", there.number)
        writer.write(HEAD)
        assert (await asyncio.wait_for(reader.read(), 20)).endswith(b"here")
        writer.close()
        await writer.wait_closed()


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system has no such bound")
async def test_the_kernel_keeps_little_for_each_who_does_not_read() -> None:
    """Every accepted socket has the bound from the one that listens."""
    async with place() as there, dial(there.number):
        await soon(lambda: len(there.callers) == 1)
        (caller,) = there.callers._all
        assert caller.transport is not None
        sock = caller.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT_BYTES


def test_sockets_and_systems_without_the_bound_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a socket that is no TCP socket nor a system without the option is an error."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        bound_unsent(other)
        monkeypatch.delattr(socket, "TCP_NOTSENT_LOWAT", raising=False)
        bound_unsent(other)


async def test_several_are_accepted_in_one_turn_and_very_many_may_wait() -> None:
    """Else a gateway that has much to do lets in one a turn, or holds everybody up while it lets in all."""
    async with place() as there:
        there.room.limit = 1000
        lines = [socket.create_connection(("127.0.0.1", there.number)) for _ in range(4 * AT_ONCE)]
        came = [0]
        async with asyncio.timeout(10):
            while came[-1] < len(lines):
                await asyncio.sleep(0)
                came.append(len(there.callers))
        steps = [after - before for before, after in pairwise(came)]
        assert 1 < max(steps) <= AT_ONCE
        accepting = there.port._listening[0].sockets[0]
        waiting, most = struct.unpack_from("II", accepting.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)
        assert waiting == 0
        assert most == min(BACKLOG, int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii")))
        for line in lines:
            line.close()
        await soon(lambda: len(there.callers) == 0)
