"""Requests that are none, over HTTP.

Invariant under test: whatever aiohttp would have answered in its own words is the error body.
It must not know any door of the gateway.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.server.malformed import in_our_words, unreadable
from gateway.server.rest import answer, errors
from tests.support.server import exchange

HEAD = "HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"


@asynccontextmanager
async def place() -> AsyncIterator[int]:
    """`/` tells its own address, `/body` reads a body, `/broken` fails, `/moved` is elsewhere; gives the port."""

    async def whole(request: web.Request) -> web.Response:
        return answer({"address": str(request.url.origin())})

    async def body(request: web.Request) -> web.Response:
        return answer({"length": len(await request.read())})

    async def broken(request: web.Request) -> web.Response:
        raise ValueError("a fault of ours")

    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound("/")

    application = web.Application(middlewares=[errors])
    application.on_response_prepare.append(in_our_words)
    routes = [web.get("/", whole), web.post("/body", body), web.get("/broken", broken), web.get("/moved", moved)]
    application.add_routes(routes)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("request_text", "status", "code", "param"),
    [
        (f"GET / {HEAD}\r\n", 200, None, None),
        ("GET / HTTP/1.1\r\nHost: a:b:c\r\nConnection: close\r\n\r\n", 400, "invalid_request", "Host"),
        (f"POST /body {HEAD}Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", 400, "invalid_request", None),
        (f"POST /body {HEAD}Content-Length: 4\r\n\r\nabcd", 200, None, None),
        (f"POST /body {HEAD}Expect: banana\r\nContent-Length: 0\r\n\r\n", 417, "invalid_request", None),
        (f"GET /broken {HEAD}\r\n", 500, "internal", None),
    ],
)
async def test_what_cannot_be_read_is_refused_in_the_error_body(
    request_text: str, status: int, code: str | None, param: str | None
) -> None:
    """A fault of the client is told as one; one of ours stays ours."""
    async with place() as port:
        head, body = await exchange(port, request_text.encode())
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Content-Type: application/json" in head
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    if code is not None:
        error = json.loads(body)["error"]
        assert (error["code"], error["param"]) == (code, param)
        assert (b"X-Should-Retry: false" in head) is (status < 500)


@pytest.mark.parametrize(
    "host", ["x/<script>", "a b", 'a"b', "u:p@x", "x?y", "x#y", "x\\y", "%41", "@", "[::", "x:-1", "é", "a" * 300]
)
async def test_a_host_that_is_none_is_in_no_address(host: str) -> None:
    """What a client calls the gateway is told again, as the beginning of addresses."""
    async with place() as port:
        head, body = await exchange(port, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    "host", ["play.example", "x_1:8080", "127.0.0.1:1", "[::1]:80", "[fe80::1%25eth0]", "xn--9ca", "x:"]
)
async def test_a_host_that_is_one_is_taken(host: str) -> None:
    """Names, also of containers, and addresses, each with a port or without one."""
    async with place() as port:
        head, _ = await exchange(port, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert head.startswith(b"HTTP/1.1 200 ")


async def test_an_expectation_ends_the_connection() -> None:
    """Nobody counts such requests; what is said behind one is not answered."""
    async with place() as port:
        asked = "POST /body HTTP/1.1\r\nHost: here\r\nExpect: banana\r\nContent-Length: 0\r\n\r\n"
        head, body = await exchange(port, (2 * asked).encode())
    assert head.startswith(b"HTTP/1.1 417 ")
    assert b"Connection: close" in head
    assert json.loads(body)["error"]["code"] == "invalid_request"


async def test_what_is_no_refusal_stays_as_it_is() -> None:
    """A redirect is answered as it was meant."""
    async with place() as port:
        head, _ = await exchange(port, f"GET /moved {HEAD}\r\n".encode())
    assert head.startswith(b"HTTP/1.1 302 ")


def test_what_the_server_itself_failed_on_is_told_so() -> None:
    """Not as the client's fault; the connection ends either way."""
    ours, theirs = unreadable(500), unreadable(400)
    assert (ours.status, theirs.status) == (500, 400)
    assert not ours.keep_alive
    assert not theirs.keep_alive
