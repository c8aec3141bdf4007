"""What one address may have at the HTTP doors, on real sockets behind a port that believes PROXY headers.

Invariant under test: a refusal is a whole answer and ends its connection; a claim is left when its connection is, or
with the answer where a proxy makes the connection. It must not know what is asked for.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.config.server import Server
from gateway.errors import AccessError, WavegateError
from gateway.server.bounded import bounded
from gateway.server.callers import Callers, claim_of
from gateway.server.claim import guarding
from gateway.server.forwarding import Forwarding
from gateway.server.port import Port
from gateway.server.prefixes import Prefixes
from gateway.server.rest import refusal
from gateway.server.takeover import TakenOver, take_over
from gateway.server.transport import SocketTransport
from metrics.recorder import Recorder
from tests.support.relay import Clock
from tests.support.server import Room, dial, soon

PROXY = b"PROXY TCP4 %s 198.51.100.1 40000 80\r\n"
HERE, THERE = b"203.0.113.9", b"203.0.113.10"


@dataclass
class Place:
    number: int
    prefixes: Prefixes
    taken: list[SocketTransport]

    async def says(self, *said: bytes) -> list[tuple[int, Any]]:
        """What a connection that says this is told up to its end: statuses and errors. The last request is its last."""
        async with dial(self.number) as (reader, writer):
            writer.write(b"".join(said)[:-2] + b"Connection: close\r\n\r\n")
            rest, answers = await reader.read(), []
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            body, rest = rest[:size], rest[size:]
            answers.append((int(head.split()[1]), json.loads(body)["error"] if body else {}))
        return answers


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


@asynccontextmanager
async def place(*, header: bool = True, **limits: int) -> AsyncIterator[Place]:
    """`/` answers, `/wrong` is a wrong key, `/take` takes the connection over. Without `header` proxies speak HTTP."""
    room, clock, recorder, taken = Room(), Clock(), Recorder(), list[SocketTransport]()
    forwarding = Forwarding(["127.0.0.1"])
    prefixes = Prefixes(Server(**limits), forwarding.trusts, recorder, clock)

    async def answer(request: web.Request) -> web.Response:
        return web.Response()

    async def wrong(request: web.Request) -> web.Response:
        try:
            with guarding(claim_of(request)):
                raise AccessError("bad_credentials", "No.")
        except WavegateError as error:
            return refusal(error)

    async def take(request: web.Request) -> web.StreamResponse:
        taken.append(SocketTransport(clock))
        take_over(request, taken[-1])
        return TakenOver()

    application = web.Application(middlewares=[forwarding.middleware, bounded(prefixes)])
    application.add_routes([web.get("/", answer), web.get("/wrong", wrong), web.get("/take", take)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    believed = forwarding.believed if header else None
    port = Port(Callers(10.0, recorder, clock), room.admission(recorder), prefixes, clock, None, believed)
    try:
        yield Place(await port.listen(runner.server, "127.0.0.1", 0), prefixes, taken)
    finally:
        port.close()
        await runner.cleanup()


async def test_requests_of_one_address() -> None:
    """Past its share 429 and the end, over all of its connections; another address is served."""
    async with place(requests_per_minute_per_address=12) as there:
        assert [status for status, _ in await there.says(PROXY % HERE, get("/"))] == [200]
        answers = await there.says(PROXY % HERE, get("/"), get("/"), get("/"))
        assert [status for status, _ in answers] == [200, 429]
        assert answers[1][1]["code"] == "rate_exceeded"
        assert answers[1][1]["retry_after_ms"] == 5000
        assert [status for status, _ in await there.says(PROXY % THERE, get("/"))] == [200]


async def test_connections_of_one_address() -> None:
    """Also those that were taken over count, until they are gone; the port says no in a whole answer."""
    async with place(max_connections_per_address=1) as there, dial(there.number) as (_, writer):
        writer.write(PROXY % HERE + get("/take"))
        await soon(lambda: len(there.taken) == 1)
        (refused,) = await there.says(PROXY % HERE, get("/"))
        assert (refused[0], refused[1]["code"]) == (429, "concurrency_exceeded")
        assert [status for status, _ in await there.says(PROXY % THERE, get("/"))] == [200]
        there.taken[0].cut()
        await soon(lambda: not there.prefixes._here)
        assert [status for status, _ in await there.says(PROXY % HERE, get("/"))] == [200]


async def test_new_connections_of_one_address() -> None:
    async with place(connections_per_minute_per_address=2) as there:
        for _ in range(2):
            assert [status for status, _ in await there.says(PROXY % HERE, get("/"))] == [200]
        (refused,) = await there.says(PROXY % HERE, get("/"))
        assert (refused[0], refused[1]["code"], refused[1]["retry_after_ms"]) == (429, "rate_exceeded", 30_000)


async def test_guesses_of_one_address() -> None:
    """The last one ends its connection; what is asked behind it is not heard, and good requests are."""
    async with place(bad_credentials_per_minute_per_address=1) as there:
        answers = await there.says(PROXY % HERE, get("/wrong"), get("/wrong"), get("/wrong"))
        assert [status for status, _ in answers] == [401, 429]
        assert [status for status, _ in await there.says(PROXY % HERE, get("/"))] == [200]
        assert [status for status, _ in await there.says(PROXY % THERE, get("/wrong"))] == [401]


async def test_clients_of_a_proxy_that_speaks_http() -> None:
    """Each request is its client's, also on one connection; what is taken over stays its client's."""
    here, there_, upgrade = "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 203.0.113.10", "Upgrade: none"
    limits = {"max_connections_per_address": 1, "connections_per_minute_per_address": 1}
    async with place(header=False, **limits) as there, dial(there.number) as (_, writer):
        writer.write(get("/take", here))
        await soon(lambda: len(there.taken) == 1)
        answers = await there.says(get("/", there_), get("/", there_), get("/", here))
        assert [status for status, _ in answers] == [200, 200, 429]
        assert [status for status, _ in await there.says(get("/"))] == [200]
        there.taken[0].cut()
        await soon(lambda: not there.prefixes._here)
        assert [status for status, _ in await there.says(get("/", here, upgrade))] == [200]
        assert [status for status, _ in await there.says(get("/", here, upgrade))] == [429]


async def test_other_servers_connections_are_let_through() -> None:
    """Where no port has seen them."""
    prefixes = Prefixes(Server(requests_per_minute_per_address=1), lambda _: False, Recorder(), Clock())

    async def answer(request: web.Request) -> web.Response:
        assert claim_of(request) is None
        return web.Response()

    application = web.Application(middlewares=[bounded(prefixes)])
    application.add_routes([web.get("/", answer)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    for _ in range(3):
        found = await Place(runner.addresses[0][1], prefixes, []).says(get("/"))
        assert [status for status, _ in found] == [200]
    await runner.cleanup()
