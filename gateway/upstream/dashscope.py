"""The provider's client: buys one song and yields what the provider says of it, as it says it.

Invariant: whatever goes wrong on the way is an UpstreamError by the time it leaves here, and the key is in none of
them; leaving the context closes the connection at once. Exactly one request is sent: trying again is paid for again,
so it is not decided here. It must not know who listens, or what the audio's bytes are.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Protocol

import aiohttp
from yarl import URL

from gateway import __version__
from gateway.config.schema import Upstream
from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Billed, Finished, GenerationRequest, Mode, SourceEvent
from gateway.protocol.dashscope import SSE_HEADER, GenerationDecoder, decode_whole
from gateway.protocol.dashscope_errors import error_from_body, find_error
from gateway.protocol.families import family_of
from gateway.protocol.fun_music import FAMILY as FUN_MUSIC
from gateway.protocol.sse import SseDecoder, SseEvent
from gateway.upstream.audio_file import fetch, written_out
from gateway.upstream.body import Body, beginning, soon, until
from gateway.upstream.flight import FlightRecorder
from gateway.upstream.keys import ProviderKey
from gateway.upstream.resolving import PublicResolver

SIMULATED_HEADER = "X-Wavegate-Simulated"

_MAX_ERROR_BYTES = 65536
_SLICE_BYTES = 65536


class Recorded(Protocol):
    """What a call tells of itself, for whoever keeps a record of it."""

    def answered(self, status: int, headers: Mapping[str, str]) -> None: ...

    def received(self, data: bytes) -> None: ...

    def ended(self, error_code: str | None) -> None: ...


class Unrecorded:
    """Nobody keeps a record."""

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Nothing is kept."""

    def received(self, data: bytes) -> None:
        """Nothing is kept."""

    def ended(self, error_code: str | None) -> None:
        """Nothing is kept."""


class DashScopeSource:
    """Songs and speech from DashScope, or from what speaks its language. Close it when no generation is open any more.

    A generation has a connection of its own, which ends with it.
    A `session` that is passed in stays the caller's to close; it must have no cookies and no default headers.
    """

    def __init__(
        self,
        config: Upstream,
        key: ProviderKey,
        session: aiohttp.ClientSession | None = None,
        recorder: FlightRecorder | None = None,
    ) -> None:
        self._config = config
        self._key = key
        self._session = session
        self._recorder = recorder
        self._owned: aiohttp.ClientSession | None = None
        base = config.base_url.rstrip("/")
        if config.workspace_id is not None:
            base = f"https://{config.workspace_id}.cn-beijing.maas.aliyuncs.com"
        self._base = base
        self._host = _host_of(base)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=config.connect_timeout)

    @asynccontextmanager
    async def open(self, request: GenerationRequest) -> AsyncIterator[AsyncIterator[SourceEvent]]:
        """One generation, called for with the first event asked for. It ends with Finished, else with UpstreamError."""
        async with aclosing(self._told(request)) as events:
            yield events

    def url(self, model: str) -> str:
        """Where calls for this model go; the path of songs is the operator's to choose."""
        family = family_of(model)
        return self._base + (self._config.path if family is FUN_MUSIC else family.path)

    async def close(self) -> None:
        """Closes what was not passed in."""
        if self._owned is not None:
            await self._owned.close()
            self._owned = None

    # -- one generation, whole or not ------------------------------------------------------------------------------

    async def _told(self, request: GenerationRequest) -> AsyncGenerator[SourceEvent]:
        """The events of either mode, held to the promise: sound, then Finished, or an error of ours."""
        request_id: str | None = None
        heard = False
        flight = self._recorder.start(request) if self._recorder is not None else Unrecorded()
        told = self._streamed if request.mode is Mode.STREAM else self._filed
        ending: str | None = "abandoned"
        try:
            async with aclosing(told(request, flight)) as events:
                async for event in events:
                    if isinstance(event, Accepted):
                        event = replace(event, request_id=self._harmless(event.request_id))
                        request_id = event.request_id or None
                    elif isinstance(event, AudioDelta):
                        if not heard:
                            event = AudioDelta(family_of(request.model).prelude(event.data) + event.data)
                        heard = True
                    elif isinstance(event, Finished) and not heard:
                        raise UpstreamError("upstream_empty", "The provider finished without any sound. Try again.")
                    if isinstance(event, Finished):
                        ending = None
                    yield event
                    if isinstance(event, Finished):
                        return
            failure = _cut(heard)
            ending = failure.code
        except UpstreamError as error:
            failure = error.again()
            ending = failure.code
        except (aiohttp.ClientError, OSError) as error:
            failure = _translated(error, heard)
            ending = failure.code
            # The body keeps it, and must not keep through its frames whoever has read the body.
            error.__traceback__ = None
        finally:
            flight.ended(ending)
        failure.request_id = self._harmless(failure.request_id or request_id or "") or None
        # Raised outside of the handlers, so that aiohttp's exception, which holds the request's headers, is let go.
        raise failure.again()

    def _harmless(self, request_id: str) -> str:
        """The provider's name for a generation, which tenants see, too; of one that holds a key nothing is left."""
        return "" if any(key.reveal() in request_id for key in self._key.held()) else request_id

    async def _streamed(self, request: GenerationRequest, flight: Recorded) -> AsyncGenerator[SourceEvent]:
        first = soon(self._config.first_event_timeout)
        headers = {"Accept": "text/event-stream", SSE_HEADER: "enable"}
        async with self._call(request, first, headers, flight) as response:
            if response.content_type != "text/event-stream":
                said_instead = await beginning(response, self._config.idle_timeout, _MAX_ERROR_BYTES)
                flight.received(said_instead)
                raise find_error(response.status, said_instead) or UpstreamError(
                    "upstream_protocol", "The provider answered with something other than a stream of events."
                )
            sse = SseDecoder(self._config.max_event_bytes)
            generation = GenerationDecoder(simulated=_simulated(response))
            body = Body(response, first, self._config.idle_timeout)
            while data := await body.read():
                flight.received(data)
                for event in sse.feed(data):
                    for said in generation.feed(event):
                        yield said
                sse.check()
            for event in sse.flush():
                for said in _last_words(generation, event):
                    yield said

    async def _filed(self, request: GenerationRequest, flight: Recorded) -> AsyncGenerator[SourceEvent]:
        config = self._config
        first = soon(config.first_event_timeout)
        async with self._call(request, first, {"Accept": "application/json"}, flight) as response:
            body = await Body(response, first, config.idle_timeout).read_all(config.max_event_bytes)
        flight.received(body)
        # In a thread: with the audio inside, the document may be many megabytes.
        answer = await asyncio.to_thread(decode_whole, body)
        yield Accepted(answer.request_id, _simulated(response))
        # It is made and billed, however much of the file is still fetched.
        yield Billed(answer.finished.billed_seconds, answer.finished.billed_characters)
        for start in range(0, len(answer.data), _SLICE_BYTES):
            yield AudioDelta(answer.data[start : start + _SLICE_BYTES])
        if not answer.data and answer.finished.url is not None:
            file = fetch(
                self._connections(),
                answer.finished.url,
                config.audio_hosts,
                connect=config.connect_timeout,
                idle=config.idle_timeout,
                own=self._host,
            )
            async with aclosing(file) as pieces:
                async for data in pieces:
                    yield AudioDelta(data)
        yield answer.finished

    # -- the call ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _call(
        self, request: GenerationRequest, first: float, headers: dict[str, str], flight: Recorded
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        key = await self._key.current(request.model)
        headers |= {
            "Authorization": f"Bearer {key.reveal()}",
            "Content-Type": "application/json",
            # Compression would hold audio back until a block is full, and base64 of mp3 does not shrink below mp3.
            "Accept-Encoding": "identity",
            "User-Agent": f"wavegate/{__version__}",
        }
        async with until(first, "did not begin in time"):
            response = await self._connections().post(
                self.url(request.model),
                data=family_of(request.model).body(request),
                headers=headers,
                allow_redirects=False,
                timeout=self._timeout,
            )
        flight.answered(response.status, response.headers)
        try:
            if response.status != 200:
                error = await self._refusal(response, flight)
                if error.code == "upstream_refused" and response.status in (401, 403):
                    error = self._key.refused(key, request.model, error)
                raise error
            self._key.accepted(key, request.model)
            yield response
        except UpstreamError as error:
            error.request_id = error.request_id or response.headers.get("x-request-id")
            raise
        finally:
            # At once, read to its end or not: what nobody waits for must end on the provider's side, too.
            response.close()

    async def _refusal(self, response: aiohttp.ClientResponse, flight: Recorded) -> UpstreamError:
        body = await beginning(response, self._config.idle_timeout, _MAX_ERROR_BYTES)
        flight.received(body)
        error = error_from_body(response.status, body)
        after = response.headers.get("Retry-After", "")
        if error.handling.retryable and after.isascii() and after.isdecimal():
            error.retry_after = float(after)
        return error

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is not None:
            return self._session
        if self._owned is None:
            # No limit here: how many generations run at once is decided by tenants and account, not by a socket pool.
            # No connection is used twice: one that the provider has just closed would fail a generation, which is not
            # sent again, to save a handshake that is nothing beside the minutes of a song.
            # No cookies: the provider's load balancer sets one that would pin every generation to one machine.
            connector = aiohttp.TCPConnector(limit=0, force_close=True, resolver=PublicResolver(self._may_be_anywhere))
            self._owned = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._owned

    def _may_be_anywhere(self, host: str) -> bool:
        """The provider's own host, and those for results that the operator has written out."""
        return host == self._host or written_out(host, self._config.audio_hosts)


def _host_of(base: str) -> str | None:
    """As it is looked up."""
    try:
        return URL(base).raw_host
    except ValueError:
        return None  # a call to there will say that it is no url


def _simulated(response: aiohttp.ClientResponse) -> bool:
    return response.headers.get(SIMULATED_HEADER, "").lower() == "true"


def _last_words(generation: GenerationDecoder, event: SseEvent) -> list[SourceEvent]:
    """What an event without its blank line says: nothing when it was cut, which is told apart by whether it parses."""
    try:
        return generation.feed(event)
    except UpstreamError as error:
        if error.code == "upstream_protocol":
            return []
        raise


def _cut(heard: bool) -> UpstreamError:
    if heard:
        return UpstreamError("upstream_interrupted", "The provider broke off in the middle of the song.")
    return UpstreamError("upstream_failed", "The provider broke off before the song began. Try again.")


def _translated(error: Exception, heard: bool) -> UpstreamError:
    """Our error for what befell the connection. Whatever is not listed is a connection that broke."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        failure = UpstreamError("upstream_timeout", "The provider took too long to accept a connection. Try again.")
    elif isinstance(error, aiohttp.ClientConnectorError):
        failure = UpstreamError("upstream_unavailable", "The provider cannot be reached. Try again later.")
    elif isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        failure = UpstreamError(
            "upstream_refused", "The provider's address is not a url. The operator must check upstream.base_url."
        )
    elif isinstance(error, aiohttp.ClientResponseError):
        failure = UpstreamError("upstream_protocol", "The provider's answer is not HTTP that can be read.")
    else:
        failure = _cut(heard)
    # For the log alone. The text of a response error may quote the provider, that of an OSError names the address.
    failure.add_note(f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__)
    return failure
