"""The simulator's door: DashScope's music call over HTTP, streamed or whole, and the files its answers point to.

Invariant: what is streamed is paced by deadlines, so lateness never adds up, and a client that goes away ends its
request at once. Every answer says that it is simulated, and nothing is kept of a request but two numbers.
It must not know how songs are made.
"""

import asyncio
import random as random_
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from aiohttp import web

from gateway.errors import RequestError
from gateway.model import Mode, SongRequest
from gateway.protocol.dashscope import (
    LEGACY_PATH,
    PATH,
    SSE_HEADER,
    delta_payload,
    error_payload,
    parse_call,
    stop_payload,
    whole_payload,
)
from gateway.protocol.limits import check
from gateway.protocol.sse import encode_event
from gateway.upstream.simulator import scenario as scenarios
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.recipe import recipe
from gateway.upstream.simulator.rendering import CHANNELS
from gateway.upstream.simulator.scenario import Scenario, ScenarioError
from gateway.upstream.simulator.song import Song, SongFailed
from gateway.upstream.simulator.songbook import SongBook

SIMULATED_HEADER = "X-Wavegate-Simulated"
SPEED = 1.5
"""Times real time: fast enough that a player gets ahead, slow enough to see that it streams."""

_SLICE_SECONDS = 0.2
_FIRST_WAIT = (0.35, 0.8)  # seconds, at real time
_FILE_SPEED = 8.0  # how much sooner a whole song is ready than a streamed one has been sent
_URL_SECONDS = 24 * 3600
_STALL_SECONDS = 60.0
_BODY_SECONDS = 30.0
_SHUTDOWN_SECONDS = 0.5
_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}
# Stands in for the words when a scenario was chosen, because then their length does not matter.
_ANY_PROMPT = "a song for the test bench"


class _Refused(Exception):  # noqa: N818 - what happened to the request
    """An answer in the provider's flat error form."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Simulator:
    """DashScope on a local port, from `async with` to its end.

    `port` 0 takes a free one. `speed` is a multiple of real time, 0 as fast as possible. With an `api_key` no other key
    is accepted; without one, any is. `requests` counts generation calls, refused ones too, and `charged_seconds` what
    would have been billed: whole seconds of finished songs, and what was delivered of broken ones.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = SPEED,
        api_key: str | None = None,
        book: SongBook | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: random_.Random | None = None,
    ) -> None:
        self.requests = 0
        self.charged_seconds = 0.0
        self._host = host
        self._port = port
        self._speed = speed
        self._api_key = api_key
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._random = random or random_.Random()  # noqa: S311 - names and waiting times, not secrets
        self._book = SongBook() if book is None else book
        self._handlers: set[asyncio.Task[object]] = set()
        self._opened = AsyncExitStack()
        self._url = ""

    @property
    def url(self) -> str:
        """The base url, without a slash at its end."""
        return self._url

    async def __aenter__(self) -> Self:
        app = web.Application()
        for path in (PATH, LEGACY_PATH):
            app.router.add_post(path, self._generation)
        app.router.add_get("/files/{key}.{extension}", self._file)
        app.router.add_route("*", "/{path:.*}", self._unknown)
        app.on_response_prepare.append(_mark)
        # A client that goes away cancels its handler, and with it the pacing.
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        async with AsyncExitStack() as opened:
            opened.push_async_callback(self._book.close)
            opened.push_async_callback(runner.cleanup)
            opened.callback(self._cancel)
            await runner.setup()
            await web.TCPSite(runner, self._host, self._port).start()
            self._opened = opened.pop_all()
        host, port = runner.addresses[0][:2]
        self._url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    def _cancel(self) -> None:
        for task in self._handlers:
            task.cancel()

    # -- the call ----------------------------------------------------------------------------------------------------

    async def _generation(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        request_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            self._authorise(request)
            song_request, scenario = await self._read(request)
            with self._book.reading(recipe(song_request, scenario)) as song:
                sing = self._stream if song_request.mode is Mode.STREAM else self._whole
                return await sing(request, request_id, song, scenario or Scenario("song"))
        except _Refused as refusal:
            return _error(refusal, request_id)
        except SongFailed:
            return _error(_Refused(500, "InternalError.Algo", "The song could not be made."), request_id)
        finally:
            self._handlers.discard(task)

    def _authorise(self, request: web.Request) -> None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip() or (self._api_key or key.strip()) != key.strip():
            raise _Refused(401, "InvalidApiKey", "Invalid API-key provided.")

    async def _read(self, request: web.Request) -> tuple[SongRequest, Scenario | None]:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.read()
        streamed = request.headers.get(SSE_HEADER, "").lower() == "enable"
        try:
            call = replace(parse_call(body), mode=Mode.STREAM if streamed else Mode.FILE)
            scenario, words = scenarios.take(call.input, request.headers.get(scenarios.HEADER))
            call = replace(call, input=words)
            check(call if scenario is None else replace(call, input=replace(words, prompt=_ANY_PROMPT, lyrics=None)))
        except RequestError as error:
            if error.param == "model":
                raise _Refused(404, "ModelNotFound", error.message) from error
            raise _Refused(400, "InvalidParameter", error.message) from error
        except ScenarioError as error:
            raise _Refused(400, "InvalidParameter", str(error)) from error
        return call, scenario

    # -- the answers -------------------------------------------------------------------------------------------------

    async def _stream(
        self, request: web.Request, request_id: str, song: Song, scenario: Scenario
    ) -> web.StreamResponse:
        speed = self._speed if scenario.speed is None else scenario.speed
        size = scenario.slice or max(1, round(song.bytes_per_second * _SLICE_SECONDS))
        expires_at = int(self._now()) + _URL_SECONDS
        response = web.StreamResponse(headers={"Cache-Control": "no-cache", "X-Request-Id": request_id})
        response.content_type = "text/event-stream"
        await response.prepare(request)
        position, number, billed = 0, 1, False
        try:
            await self._sleep(self._first_wait(scenario, speed))
            start = self._clock()
            while data := await song.read(position, size):
                if speed:
                    await self._sleep(max(0.0, start + position / song.bytes_per_second / speed - self._clock()))
                payload = delta_payload(request_id=request_id, expires_at=expires_at, data=data)
                await _write(response, encode_event(number, "result", 200, payload))
                position, number = position + len(data), number + 1
            # The provider writes the rate as a string here and as a number in the other answer.
            payload = stop_payload(
                request_id=request_id,
                expires_at=expires_at,
                url=_url(request, song, expires_at),
                channels=CHANNELS,
                sample_rate=str(SAMPLE_RATE),
                lyrics=song.lyrics,
                duration=song.duration,
            )
            await _write(response, encode_event(number, "result", 200, payload))
            self.charged_seconds += song.duration
            billed = True
        except SongFailed:
            payload = error_payload(
                code="InternalError.Algo", message="The song could not be made.", request_id=request_id
            )
            await _write(response, encode_event(number, "error", 500, payload))
        except (ConnectionError, TimeoutError):
            # The client is gone or takes nothing any more: there is nobody to tell.
            if request.transport is not None:
                request.transport.abort()
        finally:
            if not billed:
                self.charged_seconds += position / song.bytes_per_second
        return response

    async def _whole(self, request: web.Request, request_id: str, song: Song, scenario: Scenario) -> web.StreamResponse:
        speed = self._speed if scenario.speed is None else scenario.speed
        ready = self._clock() + self._first_wait(scenario, speed)
        await song.finish()
        if speed:
            ready += song.duration / (speed * _FILE_SPEED)
        await self._sleep(max(0.0, ready - self._clock()))
        self.charged_seconds += song.duration
        expires_at = int(self._now()) + _URL_SECONDS
        return web.Response(
            body=whole_payload(
                request_id=request_id,
                expires_at=expires_at,
                url=_url(request, song, expires_at),
                channels=CHANNELS,
                sample_rate=SAMPLE_RATE,
                lyrics=song.lyrics,
                duration=song.duration,
            ),
            content_type="application/json",
            headers={"X-Request-Id": request_id},
        )

    def _first_wait(self, scenario: Scenario, speed: float) -> float:
        if scenario.wait is not None:
            return scenario.wait
        return self._random.uniform(*_FIRST_WAIT) / speed if speed else 0.0

    async def _file(self, request: web.Request) -> web.StreamResponse:
        song = self._book.find(request.match_info["key"])
        if song is None or song.recipe.format != request.match_info["extension"]:
            return await self._unknown(request)
        return web.Response(body=await song.finish(), content_type=_TYPES[song.recipe.format])

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        return _error(_Refused(404, "NotFound", "Request path not found."), request_id)


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[SIMULATED_HEADER] = "true"


async def _write(response: web.StreamResponse, event: bytes) -> None:
    async with asyncio.timeout(_STALL_SECONDS):
        await response.write(event)


def _url(request: web.Request, song: Song, expires_at: int) -> str:
    """Where the finished song is, on the address by which the client found us."""
    name = f"{song.recipe.key}.{song.recipe.format}"
    return f"{request.url.origin()}/files/{name}?Expires={expires_at}&Signature=simulated"


def _error(refusal: _Refused, request_id: str) -> web.Response:
    return web.Response(
        status=refusal.status,
        body=error_payload(code=refusal.code, message=refusal.message, request_id=request_id),
        content_type="application/json",
        headers={"X-Request-Id": request_id},
    )
