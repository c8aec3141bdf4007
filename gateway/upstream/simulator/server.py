"""The simulator's door: DashScope's calls for songs and speech, streamed or whole, and the files they lead to.

Invariant: a client that goes away ends its request at once. Every answer says that it is simulated, and nothing is kept
of a request but two numbers, and a count where its scenario names one.
It must not know how songs are made, nor how they are streamed.
"""

import asyncio
import random as random_
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from gateway.errors import RequestError
from gateway.model import GenerationRequest, Mode, SongRequest
from gateway.protocol import fun_music
from gateway.protocol.dashscope import SSE_HEADER
from gateway.protocol.families import FAMILIES, family_of
from gateway.upstream.simulator import scenario as scenarios
from gateway.upstream.simulator import shapes
from gateway.upstream.simulator.document import Document
from gateway.upstream.simulator.facts import Facts
from gateway.upstream.simulator.faults import NOT_FOUND, Refusal
from gateway.upstream.simulator.performance import Pace, Performance
from gateway.upstream.simulator.recipe import recipe_of
from gateway.upstream.simulator.replay import Replay
from gateway.upstream.simulator.scenario import Scenario, ScenarioError
from gateway.upstream.simulator.song import Song
from gateway.upstream.simulator.songbook import SongBook
from gateway.upstream.simulator.tally import Tally
from gateway.upstream.simulator.wire import Wire

SIMULATED_HEADER = "X-Wavegate-Simulated"
SPEED = 1.5
"""Times real time: fast enough that a player gets ahead, slow enough to see that it streams."""

_FIRST_WAIT = (0.35, 0.8)  # seconds, at real time
_URL_SECONDS = 24 * 3600
_BODY_SECONDS = 30.0
_BACKLOG = 4096  # connections that may wait to be accepted, when very many come at once
_SHUTDOWN_SECONDS = 0.5
_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}
# Stands in for the words when a scenario was chosen, because then their length does not matter.
_ANY_WORDS = "a song for the test bench"


class _Named(msgspec.Struct):
    model: str


_models = msgspec.json.Decoder(_Named)


class _Refused(Exception):  # noqa: N818 - what happened to the request
    """An answer in the provider's flat error form."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(status, code, message)


class Simulator:
    """DashScope on a local port, from `async with` to its end.

    `port` 0 takes a free one. `speed` is a multiple of real time, 0 as fast as possible. With an `api_key` no other key
    is accepted; without one, any is. `requests` counts generation calls, refused ones too, and `charged_seconds` what
    would have been billed: whole seconds of finished songs, and what was delivered of broken ones. With a `replay`,
    every call is answered with that recording, whatever it asks for; RecordingError at the start if it cannot be.
    `account` is told what each call came to, by its request id, and whether the caller may have heard of it.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = SPEED,
        api_key: str | None = None,
        book: SongBook | None = None,
        replay: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: random_.Random | None = None,
        account: Callable[[str, float, bool], object] = lambda *_: None,
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
        self._account = account
        self._book = SongBook() if book is None else book
        self._replay_path = replay
        self._replay: Replay | None = None
        self._tally = Tally()
        self._handlers: set[asyncio.Task[object]] = set()
        self._opened = AsyncExitStack()
        self._url = ""

    @property
    def url(self) -> str:
        """The base url, without a slash at its end."""
        return self._url

    async def __aenter__(self) -> Self:
        if self._replay_path is not None:
            self._replay = await asyncio.to_thread(Replay.load, self._replay_path)
        app = web.Application()
        for path in {fun_music.LEGACY_PATH, *(family.path for family in FAMILIES)}:
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
            await web.TCPSite(runner, self._host, self._port, backlog=_BACKLOG).start()
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
            async with asyncio.timeout(_BODY_SECONDS):
                body = await request.read()
            if self._replay is not None:
                return await self._replay.give(request, speed=self._speed, clock=self._clock, sleep=self._sleep)
            call, scenario = _understood(request, body)
            if scenario is None:
                return await self._answer(request, request_id, call, Scenario())
            if scenario.times is not None and not self._tally.due(str(scenario.id), scenario.times):
                scenario = replace(scenario, fault=None)
            if scenario.hold:
                await self._sleep(scenario.hold)
            if scenario.refusal is not None and not (call.mode is Mode.STREAM and scenario.in_stream):
                await self._sleep(scenario.wait or 0.0)
                return shapes.refusal(scenario.refusal, request_id, scenario.shape, scenario.retry_after)
            return await self._answer(request, request_id, call, scenario)
        except _Refused as refused:
            return shapes.refusal(refused.refusal, request_id)
        finally:
            self._handlers.discard(task)

    def _authorise(self, request: web.Request) -> None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip() or (self._api_key or key.strip()) != key.strip():
            raise _Refused(401, "InvalidApiKey", "Invalid API-key provided.")

    # -- the answers -------------------------------------------------------------------------------------------------

    async def _answer(
        self, request: web.Request, request_id: str, call: GenerationRequest, scenario: Scenario
    ) -> web.StreamResponse:
        speed = self._speed if scenario.speed is None else scenario.speed
        pace = Pace(speed, self._first_wait(scenario, speed), self._clock, self._sleep)
        expires_at = int(self._now()) + _URL_SECONDS
        with self._book.reading(recipe_of(call, scenario)) as song:
            facts = Facts(call, request_id, expires_at, _url(request, song, expires_at))
            headers = {"Cache-Control": "no-cache", "X-Request-Id": request_id}
            answer: Performance | Document
            if call.mode is Mode.STREAM:
                wire = Wire(request, scenario, "text/event-stream", headers, self._sleep)
                answer = Performance(song, scenario, facts, wire, pace)
            else:
                wire = Wire(request, scenario, "application/json", headers, self._sleep)
                answer = Document(song, scenario, facts, wire, pace)
            try:
                return await answer.give()
            finally:
                self.charged_seconds += answer.charged_seconds
                self._account(request_id, answer.charged_seconds, scenario.usage)

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
        return shapes.refusal(NOT_FOUND, request_id)


def _understood(request: web.Request, body: bytes) -> tuple[GenerationRequest, Scenario | None]:
    """What is to be sung or said, and how. Raises _Refused."""
    streamed = request.headers.get(SSE_HEADER, "").lower() == "enable"
    try:
        family = family_of(_model(body))
        if request.path != family.path and (family is not fun_music.FAMILY or request.path != fun_music.LEGACY_PATH):
            raise _Refused(400, "InvalidParameter", "url error, please check url!")
        call = replace(family.parse(body), mode=Mode.STREAM if streamed else Mode.FILE)
        scenario, words = scenarios.take(call.input, request.headers.get(scenarios.HEADER))
        call = replace(call, input=words)
        if not streamed and scenario is not None and scenario.after:
            raise ScenarioError("The option after is for streams: a call that does not stream has one moment only.")
        family.check(call if scenario is None else _with_any_words(call))
    except RequestError as error:
        if error.param == "model":
            raise _Refused(404, "ModelNotFound", error.message) from error
        raise _Refused(400, "InvalidParameter", error.message) from error
    except ScenarioError as error:
        raise _Refused(400, "InvalidParameter", str(error)) from error
    return call, scenario


def _model(body: bytes) -> str:
    try:
        return _models.decode(body).model
    except (ValueError, RecursionError):
        raise RequestError("invalid_request", "The body must be a JSON object with model and input.") from None


def _with_any_words(call: GenerationRequest) -> GenerationRequest:
    if isinstance(call, SongRequest):
        return replace(call, input=replace(call.input, prompt=_ANY_WORDS, lyrics=None))
    return replace(call, input=replace(call.input, text=_ANY_WORDS))


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[SIMULATED_HEADER] = "true"


def _url(request: web.Request, song: Song, expires_at: int) -> str:
    """Where the finished song is, on the address by which the client found us."""
    name = f"{song.recipe.key}.{song.recipe.format}"
    return f"{request.url.origin()}/files/{name}?Expires={expires_at}&Signature=simulated"
