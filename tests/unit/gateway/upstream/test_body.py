"""Reading a body in bounded time and size, from a real server on a free port.

The server writes what the test puts into a queue, so that the test and not a clock decides when bytes come.
Invariant under test: no read outlasts its deadline, and no body outgrows its limit.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.errors import UpstreamError
from gateway.upstream.body import Body, beginning, soon, until


@asynccontextmanager
async def answering(*pieces: bytes | None) -> AsyncIterator[tuple[aiohttp.ClientResponse, asyncio.Queue[bytes | None]]]:
    """A response under way and the queue its body comes from; None ends it."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(16)
    for piece in pieces:
        queue.put_nowait(piece)

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while (data := await queue.get()) is not None:
            await response.write(data)
        return response

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as session, session.get(server.make_url("/")) as got:
        yield got, queue
        got.close()


async def test_a_body_is_read_as_it_comes_until_it_ends() -> None:
    """Each read gives what there is, and nothing means the end."""
    async with answering(b"one") as (response, queue):
        body = Body(response, soon(5), 5)
        assert await body.read() == b"one"
        queue.put_nowait(b"two")
        assert await body.read() == b"two"
        queue.put_nowait(None)
        assert await body.read() == b""


async def test_the_first_byte_and_the_next_have_deadlines_of_their_own() -> None:
    """A first deadline that has passed and a silence after a byte are told apart in the sentence."""
    async with answering() as (response, _):
        with pytest.raises(UpstreamError, match="did not begin in time") as first:
            await Body(response, soon(0.05), 60).read()
    async with answering(b"one") as (response, _):
        body = Body(response, soon(60), 0.05)
        assert await body.read() == b"one"
        with pytest.raises(UpstreamError, match=r"silent for 0\.05 seconds") as idle:
            await body.read()
    assert first.value.code == idle.value.code == "upstream_timeout"


async def test_the_time_between_two_reads_is_not_the_provider_s() -> None:
    """A consumer that was slow does not make the provider late: the idle time starts with the wait."""
    async with answering(b"one") as (response, queue):
        body = Body(response, soon(5), 0.5)
        await body.read()
        await asyncio.sleep(0.6)  # The passing of time itself is what is tried here.
        queue.put_nowait(b"two")
        assert await body.read() == b"two"


async def test_who_stood_still_himself_looks_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline that is noticed long after it has passed proves nothing: what has come meanwhile is read first."""
    async with answering(b"one") as (response, queue):
        body = Body(response, soon(5), 0.05)
        assert await body.read() == b"one"
        monkeypatch.setattr("gateway.upstream.body._LATE_SECONDS", 0.2)
        loop = asyncio.get_running_loop()
        # As if the process had been stopped for ten seconds: the deadline comes, and it is late already.
        clock, passed = loop.time, [0.0]
        monkeypatch.setattr(loop, "time", lambda: clock() + passed[0])
        reading = asyncio.ensure_future(body.read())
        await asyncio.sleep(0)
        passed[0] = 10.0
        loop.call_later(0.1, queue.put_nowait, b"two")
        assert await reading == b"two"
        with pytest.raises(UpstreamError, match="silent") as idle:
            await body.read()
    assert idle.value.code == "upstream_timeout"


@pytest.mark.parametrize(("limit", "fits"), [(6, True), (5, False)])
async def test_a_whole_body_has_a_limit(limit: int, fits: bool) -> None:
    """Exactly the limit is read, a byte more is `upstream_protocol`."""
    async with answering(b"one", b"two", None) as (response, _):
        body = Body(response, soon(5), 5)
        if fits:
            assert await body.read_all(limit) == b"onetwo"
        else:
            with pytest.raises(UpstreamError) as caught:
                await body.read_all(limit)
            assert caught.value.code == "upstream_protocol"


async def test_a_beginning_takes_what_there_is() -> None:
    """The end, the limit and the time each end the reading, and none of them raises."""
    async with answering(b"one", b"two", None) as (response, _):
        assert await beginning(response, 5, 100) == b"onetwo"
    async with answering(b"onetwo") as (response, _):
        assert await beginning(response, 5, 4) == b"onet"
    async with answering(b"one") as (response, _):
        assert await beginning(response, 0.2, 100) == b"one"


async def test_a_beginning_survives_a_connection_that_breaks() -> None:
    """An error of the connection ends it like any other end."""
    async with answering(b"one") as (response, _):
        assert await response.content.readany() == b"one"
        response.content.set_exception(aiohttp.ClientPayloadError("cut"))
        assert await beginning(response, 5, 100) == b""


async def test_until_passes_the_connector_s_own_deadline_on() -> None:
    """Only its own deadline becomes an error of ours; that of connecting is translated elsewhere."""
    with pytest.raises(aiohttp.ConnectionTimeoutError):
        async with until(soon(5), "x"):
            raise aiohttp.ConnectionTimeoutError
    with pytest.raises(UpstreamError, match=r"^The provider was late\. Try again later\.$"):
        async with until(soon(-1), "was late"):
            await asyncio.Event().wait()
