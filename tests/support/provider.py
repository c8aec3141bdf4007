"""A provider to try the client on: an HTTP server that answers as a test says, a bare socket, and the wire's pieces.

Invariant: everything that is started here is on a free port and stopped here; `failure` holds every error to the
promise that the key is in no part of it. It tests nothing else itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.config.schema import Upstream
from gateway.errors import UpstreamError
from gateway.model import Finished, Mode, SongInput, SongRequest, SourceEvent
from gateway.protocol.dashscope import delta_payload, error_payload
from gateway.protocol.sse import encode_event
from gateway.upstream.dashscope import DashScopeSource
from gateway.upstream.keys import ProviderKey
from tests.support.wire import stop_payload

SECRET = "sk-3f1c9d-secret"
SONG = SongRequest("fun-music-v1", Mode.STREAM, SongInput(prompt="slow rain on a roof", gender="male"))
FILE = SongRequest("fun-music-v1", Mode.FILE, SongInput(prompt="slow rain on a roof"))
EVENTS = {"Content-Type": "text/event-stream;charset=UTF-8"}
FACTS: dict[str, Any] = {
    "request_id": "r1",
    "expires_at": 1,
    "channels": 2,
    "sample_rate": "48000",
    "lyrics": "la",
    "duration": 200,
}

DELTA = encode_event(1, "result", 200, delta_payload(request_id="r1", expires_at=1, data=b"hello"))
STOP = encode_event(2, "result", 200, stop_payload(url="http://host/a.mp3", **FACTS))
END = Finished(200.0, 48000, 2, "la", "http://host/a.mp3")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
THROTTLED = error_payload(code="Throttling", message="Requests rate limit exceeded", request_id="r9")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Provider:
    """A server that answers with `answer` and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Handler
        self.requests: list[tuple[web.Request, bytes]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request, await request.read()))
        return await self.answer(request)

    def says(self, body: bytes, *, status: int = 200, headers: dict[str, str] = EVENTS) -> None:
        """Answers each request with this, whole."""

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, body=body, headers=headers)

        self.answer = answer

    def begins(self, *pieces: bytes, headers: dict[str, str] = EVENTS) -> None:
        """Says the pieces and then nothing more, until the client leaves and the server cancels the handler."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            for piece in pieces:
                await response.write(piece)
            await asyncio.Event().wait()
            return response

        self.answer = answer


@asynccontextmanager
async def serving() -> AsyncIterator[Provider]:
    """A provider on a free port."""
    provider = Provider()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", provider.handle)
    async with TestServer(app) as server:
        provider.url = f"http://127.0.0.1:{server.port}"
        yield provider


@asynccontextmanager
async def raw(*pieces: bytes, reset: bool = False) -> AsyncIterator[str]:
    """A socket that hears a request, says the pieces and hangs up; or, with none, waits for the client to hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.writelines(pieces)
        if not pieces:
            await reader.read()
        if reset:
            writer.transport.abort()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def source(url: str, **settings: Any) -> AsyncIterator[DashScopeSource]:
    """The client of the provider at `url`, closed in the end."""
    opened = DashScopeSource(Upstream(base_url=url, **settings), ProviderKey(SECRET))
    try:
        yield opened
    finally:
        await opened.close()


async def heard(url: str, song: SongRequest = SONG, **settings: Any) -> list[SourceEvent]:
    """All events of a generation that goes well."""
    async with asyncio.timeout(20), source(url, **settings) as opened, opened.open(song) as events:
        return [event async for event in events]


async def failure(url: str, song: SongRequest = SONG, **settings: Any) -> tuple[UpstreamError, list[SourceEvent]]:
    """The error in which a generation ends, held to keep the key, and what was heard before."""
    said: list[SourceEvent] = []

    async def listen() -> None:
        async with asyncio.timeout(20), source(url, **settings) as opened, opened.open(song) as events:
            async for event in events:
                said.append(event)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(UpstreamError) as caught:
        await listen()
    link: BaseException | None = caught.value
    while link is not None:
        assert SECRET not in f"{link} {link!r} {vars(link)!r}"
        link = link.__cause__ or link.__context__
    return caught.value, said
