"""Buys one song through the gateway's own client and listens in at its connection.

Invariant: exactly one generation is asked for, whatever happens; `run` raises nothing but its cancellation, which
closes the connection at once, and what was learned until then is there. What is measured is what the gateway would
get, because its client is used as it is. It must not know what the numbers mean.
"""

import asyncio
import re
import ssl
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
from yarl import URL

from gateway.config.schema import Upstream
from gateway.errors import UpstreamError
from gateway.model import Finished, SongRequest
from gateway.upstream.audio_file import fetch, written_out
from gateway.upstream.dashscope import SIMULATED_HEADER, DashScopeSource
from gateway.upstream.keys import ProviderKey
from gateway.upstream.probe.wire import WireLog
from gateway.upstream.resolving import PublicResolver

_HEADERS = re.compile(
    r"x-dashscope-.*|x-request-id|.*rate-?limit.*|retry-after|server|via|date|content-type|content-encoding"
    r"|content-length|transfer-encoding|connection|cache-control|x-accel-buffering|alt-svc|req-cost-time|req-arrive-time"
    r"|resp-start-time|x-envoy-upstream-service-time"
)
_MOST_HEADERS = 60
_MOST_CHARACTERS = 200
_PROGRESS_SECONDS = 15.0


@dataclass(slots=True)
class Answer:
    """The head of the provider's answer: headers of interest with their values, and the names of the others."""

    http: str
    status: int
    headers: dict[str, str]
    others: list[str]
    simulated: bool


@dataclass(slots=True)
class Marks:
    """When it came to that, in seconds since the call; `ended` is when the client was done with the answer."""

    connected: float | None = None
    sent: float | None = None
    answered: float | None = None
    ended: float | None = None
    fetched: float | None = None


class Purchase:
    """One song, asked for by `run`, once. `tell` is given a short line at each step.

    `alpn` is what the host chose of HTTP/2 and HTTP/1.1 in a handshake of its own. `file` is what the result url gave,
    `file_failure` why it gave nothing; `interrupted` says that `run` has not come to its end.
    """

    def __init__(
        self,
        config: Upstream,
        key: ProviderKey,
        song: SongRequest,
        *,
        tell: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self.config = config
        self.song = song
        self.marks = Marks()
        self.log = WireLog(config.max_event_bytes)
        self.alpn: str | None = None
        self.answer: Answer | None = None
        self.finished: Finished | None = None
        self.failure: UpstreamError | None = None
        self.interrupted = True
        self.file: bytes | None = None
        self.file_failure: str | None = None
        self._key = key
        self._tell = tell
        self._clock = clock
        self._tls = tls
        self._began = clock()
        self._told = 0.0

    @property
    def url(self) -> URL:
        """Where the song is bought."""
        return URL(DashScopeSource(self.config, self._key).url(self.song.model))

    @property
    def request_id(self) -> str | None:
        """The provider's name for the generation, from wherever it was said."""
        header = self.answer.headers.get("x-request-id") if self.answer else None
        return self.log.request_id or (self.failure.request_id if self.failure else None) or header

    async def run(self) -> None:
        """Buys, and fetches the file that the result points to. Cancel it to leave."""
        self.alpn = await self._handshake()
        self._began = self._clock()
        try:
            async with asyncio.timeout(self.config.generation_timeout):
                await self._buy()
        except UpstreamError as error:
            self.failure = error
        except TimeoutError:
            self.failure = UpstreamError(
                "upstream_timeout", f"The song took more than {self.config.generation_timeout:g} seconds."
            )
        finally:
            self.marks.ended = self._now()
            self.log.feed(self.marks.ended, b"")
        if self.finished is not None and self.finished.url is not None:
            self._tell("the song is whole; fetching the file behind its url")
            await self._fetch(self.finished.url)
        self.interrupted = False

    async def _buy(self) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._connected)
        trace.on_request_headers_sent.append(self._sent)
        purchase = self

        class Overheard(aiohttp.ClientResponse):
            async def start(self, connection: Any) -> aiohttp.ClientResponse:
                await super().start(connection)
                purchase._answered(self)
                self.content = cast("aiohttp.StreamReader", _Tap(self.content, purchase._heard))
                return self

        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=Overheard,
            trace_configs=[trace],
        )
        async with session:
            source = DashScopeSource(self.config, self._key, session)
            async with source.open(self.song) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        self.finished = event

    async def _fetch(self, url: str) -> None:
        pieces: list[bytes] = []
        config = self.config
        resolver = PublicResolver(lambda host: written_out(host, config.audio_hosts))
        connector = aiohttp.TCPConnector(resolver=resolver)
        try:
            async with (
                asyncio.timeout(config.generation_timeout),
                aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
                aclosing(
                    fetch(session, url, config.audio_hosts, connect=config.connect_timeout, idle=config.idle_timeout)
                ) as file,
            ):
                async for data in file:
                    pieces.append(data)  # noqa: PERF401 - a comprehension cannot be left when it is cancelled
        except UpstreamError as error:
            self.file_failure = error.message
        except (aiohttp.ClientError, OSError) as error:
            # By its kind only: the texts of these quote the url.
            self.file_failure = f"The connection failed ({type(error).__name__})."
        else:
            self.file = b"".join(pieces)
            self.marks.fetched = self._now()

    async def _handshake(self) -> str | None:
        """What the host would speak; None when that cannot be learned. It asks for nothing and costs nothing."""
        url = self.url
        if url.scheme != "https":
            return None
        try:
            context = await asyncio.to_thread(self._tls)
            context.set_alpn_protocols(["h2", "http/1.1"])
            async with asyncio.timeout(self.config.connect_timeout):
                _, writer = await asyncio.open_connection(url.raw_host, url.port, ssl=context)
                chosen: str | None = writer.get_extra_info("ssl_object").selected_alpn_protocol()
                writer.transport.abort()
        except (OSError, ValueError):
            return None
        return chosen or "none"

    # -- what is overheard ---------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._clock() - self._began

    async def _connected(self, session: aiohttp.ClientSession, context: SimpleNamespace, parameters: object) -> None:
        self.marks.connected = self._now()

    async def _sent(self, session: aiohttp.ClientSession, context: SimpleNamespace, parameters: object) -> None:
        self.marks.sent = self._now()
        self._tell("the call is sent; a song may take minutes to begin")

    def _answered(self, response: aiohttp.ClientResponse) -> None:
        self.marks.answered = self._now()
        version = response.version
        headers: dict[str, str] = {}
        others: list[str] = []
        for name, value in list(response.headers.items())[:_MOST_HEADERS]:
            name = _visible(name.lower())
            if _HEADERS.fullmatch(name):
                headers[name] = _visible(value)
            elif name not in others:
                others.append(name)
        simulated = response.headers.get(SIMULATED_HEADER, "").lower() == "true"
        http = f"HTTP/{version.major}.{version.minor}" if version else "HTTP"
        self.answer = Answer(http, response.status, headers, others, simulated)
        self._tell(f"answered with status {response.status} after {self.marks.answered:.1f} s")

    def _heard(self, data: bytes) -> None:
        now = self._now()
        silent = not self.log.slices
        self.log.feed(now, data)
        if self.log.slices and (silent or now - self._told >= _PROGRESS_SECONDS):
            self._told = now
            size = sum(len(piece.data) for piece in self.log.slices)
            self._tell(f"{'first sound' if silent else 'sound'} after {now:.1f} s: {size:,} bytes")


class _Tap:
    """A response's reader, whose reads are heard by somebody else too."""

    def __init__(self, reader: aiohttp.StreamReader, hear: Callable[[bytes], None]) -> None:
        self._reader = reader
        self._hear = hear

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def readany(self) -> bytes:
        data = await self._reader.readany()
        if data:
            self._hear(data)
        return data


def _visible(text: str) -> str:
    # It goes to a terminal.
    return "".join(character if character.isprintable() else "?" for character in text[:_MOST_CHARACTERS])
