"""What a connection says that is no request, and what its log says of it.

Invariant under test: a client's nonsense is answered in the error body and writes no traceback; a fault of ours does.
It must not know doors.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.server.callers import Caller, Callers
from metrics.recorder import Recorder
from tests.support.relay import Clock
from tests.support.server import exchange

HEAD = b"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@asynccontextmanager
async def place() -> AsyncIterator[int]:
    """`/body` reads a body, `/broken` fails; nobody turns errors into answers before the connection does."""

    async def body(request: web.Request) -> web.Response:
        try:
            return web.Response(text=str(len(await request.read())))
        except web.RequestPayloadError:
            return web.Response(status=400)

    async def broken(request: web.Request) -> web.Response:
        raise ValueError("a fault of ours")

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"half")
        raise ValueError("a fault of ours")

    application = web.Application()
    application.add_routes([web.post("/body", body), web.get("/broken", broken), web.get("/half", half)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    server = runner.server
    assert server is not None
    callers = Callers(10.0, Recorder(), Clock())
    listening = await asyncio.get_running_loop().create_server(lambda: Caller(server, callers), "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01 hello\r\n\r\n",
        b"BREW / " + HEAD + b"\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.0\r\nHost: x\r\n\r\n",
        b"GET http://[::1/ " + HEAD + b"\r\n",
        b"POST /body " + HEAD + b"Content-Length: x\r\n\r\n",
        b"POST /body " + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n",
    ],
)
async def test_nonsense_is_answered_in_the_error_body(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of it comes back, and nothing is logged that a stranger could fill a disk with."""
    async with place() as port:
        head, body = await exchange(port, said)
    assert b" 400 " in head.split(b"\r\n")[0]
    assert json.loads(body)["error"]["code"] == "invalid_request"
    assert b"zzz" not in body
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


async def test_a_body_that_is_not_what_it_says_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Chunks that are none are a client's doing."""
    async with place() as port:
        said = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd, and more\r\n"
        head, _ = await exchange(port, said)
    assert b" 400 " in head.split(b"\r\n")[0]
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


async def test_a_fault_of_ours_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """As such, with the traceback in the log and nowhere else."""
    async with place() as port:
        head, body = await exchange(port, b"GET /broken " + HEAD + b"\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert json.loads(body)["error"]["code"] == "internal"
    assert [record.exc_info is not None for record in caplog.records if record.levelno >= logging.ERROR] == [True]


async def test_an_answer_that_was_begun_breaks_off(caplog: pytest.LogCaptureFixture) -> None:
    """A second head in the middle of a body would be read as sound."""
    async with place() as port:
        head, body = await exchange(port, b"GET /half " + HEAD + b"\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"4\r\nhalf\r\n"
    assert caplog.records
