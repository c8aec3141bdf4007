"""The progressive door: GET …/audio.EXT, a song as one long body that any player takes.

While the song is made the body is chunked, begins at once and is never paced, on a socket taken over from the HTTP
server: the bytes of a chunk are built once for all listeners. A finished song has a length and answers ranges.
Invariant: byte N of `since=start` is the same for everybody, now and when the song is whole.
"""

import re
from collections.abc import Callable, Sequence

from aiohttp import web

from gateway.errors import RequestError, WavegateError
from gateway.model import Chunk, Position, Principal
from gateway.protocol import frames
from gateway.relay.channel import Channel
from gateway.relay.hub import Hub
from gateway.relay.listener import Listener, OnLag
from gateway.relay.outcome import Outcome
from gateway.relay.since import FromStart, SecondsAgo, Since
from gateway.relay.stream import Stream
from gateway.relay.wishes import Wished, possible
from gateway.server.connections import Connections
from gateway.server.query import asked_format
from gateway.server.takeover import TakenOver, take_over
from gateway.server.tickets import is_probe
from gateway.server.transport import NOWHERE, SocketTransport
from transcode.formats import PCM, Format, StreamFormat

# Browsers read a progressive body in blocks of 32 KiB: with less than two of them in stock an element stalls.
LIVE_BURST_SECONDS = 2.0

# So many digits name any byte there is; Python reads no number of thousands of them.
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class AudioConnection(SocketTransport):
    """The socket of one progressive listener; it is the relay's ListenerTransport too."""

    __slots__ = ("_on_gone", "form", "line")

    name = "http"

    def __init__(self, now: Callable[[], float], build: Callable[[Chunk], bytes], on_gone: Callable[[], None]) -> None:
        super().__init__(now)
        self.line = self
        self.form = build
        self._on_gone = on_gone

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch_the_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._on_gone()
        self.listeners.clear()

    def data_received(self, data: bytes) -> None:
        """Whatever a player says after its request is of no interest; the connection closes behind the song."""

    def started(self, at: Position, details: StreamFormat, number: int, init: Chunk | None) -> None:
        if init is not None:
            self.write(init.wire(self.form))

    def send(self, chunks: Sequence[Chunk]) -> None:
        self.sink.writelines([chunk.wire(self.form) for chunk in chunks])

    def metadata(self, text: bytes) -> None:
        """A body of audio has no place for it."""

    def gap(self, from_seq: int, to_seq: int, reason: str) -> None:
        """A body of audio has no place for it; decoders resynchronise at the next whole frame."""

    def refused(self, error: WavegateError) -> None:
        self.cut()

    def ended(self, outcome: Outcome) -> None:
        """A whole song ends its body in order; a broken one ends without the last chunk, so the player knows."""
        if outcome.soft and self.form is frames.chunked:
            self.write(b"0\r\n\r\n")
        self.sink.close()
        self._watch_the_rest()

    def _watch_the_rest(self) -> None:
        """What is in the buffer at the end goes out first; whoever never takes it is cut like any stalled client."""
        if self.stalled_since is None and self.sink is not NOWHERE and self.sink.is_closing():
            self.stall()


class AudioDoor:
    """The handlers of …/audio.EXT."""

    def __init__(self, hub: Hub, connections: Connections, now: Callable[[], float]) -> None:
        self._hub = hub
        self._connections = connections
        self._now = now

    async def handle(self, request: web.Request, principal: Principal) -> web.StreamResponse:
        """Answers GET and HEAD. Raises RequestError."""
        stream = self._hub.get(principal.tenant, request.match_info["id"])
        wished, since = asked(request)
        if stream.error is not None and stream.native.end == 0:
            raise stream.error
        # Whoever only looks does not set an encoder to work.
        head = request.method == "HEAD"
        channel = stream.renditions.existing(wished) if head else stream.renditions.channel(wished)
        if channel is None:
            return web.Response(headers=_headers(wished[0].form, None))
        if channel.outcome is not None and isinstance(since, FromStart) and channel.first == 0:
            if channel.outcome.error is not None and channel.end == 0:
                raise channel.outcome.error
            return _whole(request, channel)
        if head:
            return web.Response(headers=_headers(channel.format, channel.details))
        if is_probe(request.method, request.headers.get("Range")):
            return _beginning(request, channel)
        return self._follow(request, stream, channel, since)

    def _follow(self, request: web.Request, stream: Stream, channel: Channel, since: Since) -> web.StreamResponse:
        modern = request.version >= (1, 1)
        joined: list[Listener] = []

        def leave() -> None:
            # Emptied, so that nothing refers to the song any more: the connection and its listener refer to each other.
            while joined:
                self._hub.detach(stream.tenant, joined.pop())

        connection = AudioConnection(self._now, frames.chunked if modern else frames.plain, leave)
        listener, _ = self._hub.attach(stream, channel, connection, since, OnLag.COMPLETE)
        joined.append(listener)
        taken = take_over(request, connection)
        if taken is None:
            leave()
            return TakenOver()
        self._connections.add(connection)
        connection.listeners.append(listener)
        connection.write(_head(channel, chunked=modern))
        listener.join()
        return TakenOver()


def asked(request: web.Request) -> tuple[list[Wished], Since]:
    """What is to be heard, and from where. Raises RequestError for what cannot be."""
    wished = possible([asked_format(request.match_info["ext"], request.query)])
    return wished, _since(request.query.get("since", "start"))


def _since(text: str) -> Since:
    if text == "start":
        return FromStart()
    if text == "live":
        return SecondsAgo(LIVE_BURST_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise RequestError("invalid_request", "since is `start`, `live`, or how many seconds ago.", param="since")
    return SecondsAgo(seconds)


def _headers(form: Format, details: StreamFormat | None) -> dict[str, str]:
    """What every answer with this audio says. X-Accel-Buffering keeps nginx from holding the song back."""
    content_type = form.content_type
    if form is PCM and details is not None:
        # Nothing in the bytes tells.
        content_type = f"{content_type};rate={details.sample_rate};channels={details.channels}"
    return {
        "Content-Type": content_type,
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
        "X-Content-Type-Options": "nosniff",
    }


def _head(channel: Channel, *, chunked: bool) -> bytes:
    """The head of a body that is still being made; the connection ends behind it."""
    headers = _headers(channel.format, channel.details) | {"Connection": "close"}
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode()


def _beginning(request: web.Request, channel: Channel) -> web.Response:
    """What a probe asked for of a song that is still made: it is no listener, and a ticket spends no use on it."""
    init = channel.init.payload if channel.init else b""
    body = init + (channel.retained[0].payload if channel.first == 0 and channel.end else b"")
    body = body[: int(request.headers["Range"][-1]) + 1]
    headers = _headers(channel.format, channel.details)
    if not body:
        return web.Response(headers=headers)
    headers["Content-Range"] = f"bytes 0-{len(body) - 1}/*"
    return web.Response(status=206, body=body, headers=headers)


def _whole(request: web.Request, channel: Channel) -> web.Response:
    """A finished song: its length is known, and one range of it may be asked for."""
    init = channel.init.payload if channel.init else b""
    body = init + b"".join([chunk.payload for chunk in channel.retained])
    headers = _headers(channel.format, channel.details) | {"Accept-Ranges": "bytes"}
    wanted = _RANGE.fullmatch(request.headers.get("Range", ""))
    if wanted is None or wanted.groups() == ("", ""):
        return web.Response(body=body, headers=headers)
    first, last = wanted.groups()
    start = int(first) if first else max(0, len(body) - int(last))
    stop = min(int(last) + 1, len(body)) if first and last else len(body)
    if start >= len(body) or stop <= start:
        headers["Content-Range"] = f"bytes */{len(body)}"
        raise web.HTTPRequestRangeNotSatisfiable(headers=headers)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
    return web.Response(status=206, body=body[start:stop], headers=headers)
