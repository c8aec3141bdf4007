"""One stream on one WebSocket: the relay's ListenerTransport over a connection that may carry several.

Invariant: what it writes is either bytes shared with every other listener (chunks, metadata) or a small control
message of its own; it holds no audio. It must not know how the stream came to be.
"""

from collections.abc import Callable, Sequence

from gateway.errors import WavegateError
from gateway.model import Chunk, Position, TenantId
from gateway.protocol import events, frames
from gateway.relay.news import news
from gateway.relay.outcome import Outcome
from gateway.relay.replica import AnyStream
from gateway.server.view import usage
from gateway.server.websocket import WebSocketConnection
from transcode.formats import StreamFormat

FRAMINGS: dict[str, Callable[[Chunk], bytes]] = {
    "framed": frames.framed,
    "raw": frames.raw,
    "json": frames.delta,
}


def format_info(details: StreamFormat) -> events.FormatInfo:
    """What a rendition really is, as messages and documents say it."""
    row = details.format
    return events.FormatInfo(row.codec, row.mime, details.sample_rate, details.channels, details.bitrate)


class Attachment:
    """The way from one channel to one client. `on_end` is called once, when nothing follows."""

    __slots__ = ("_missed", "_on_end", "_recovered", "_ref", "_stream", "form", "line")

    name = "websocket"

    def __init__(
        self,
        connection: WebSocketConnection,
        stream: AnyStream,
        framing: str,
        ref: str | int | None,
        on_end: Callable[["Attachment", WavegateError | None], None],
    ) -> None:
        self.line = connection
        self._stream = stream
        self.form = FRAMINGS[framing]
        self._ref = ref
        self._recovered: bool | None = None
        self._missed = False  # news came while its socket took nothing
        self._on_end = on_end

    @property
    def stream_id(self) -> str:
        return self._stream.id

    @property
    def tenant(self) -> TenantId:
        return self._stream.tenant

    @property
    def writable(self) -> bool:
        return self.line.writable

    def resumed(self, recovered: bool | None) -> None:
        """Whether the resume that was asked for continues without loss; told in `stream.started`."""
        self._recovered = recovered

    def started(self, at: Position, details: StreamFormat, number: int, init: Chunk | None) -> None:
        message = events.StreamStarted(self._stream.id, number, at.epoch, at.seq, format_info(details), ref=self._ref)
        if self._recovered is not None:
            message.recovered = self._recovered
        self.line.say(message)
        if init is not None:
            self.line.write(init.wire(self.form))
        self.line.say(news(self._stream))

    def send(self, chunks: Sequence[Chunk]) -> None:
        form = self.form
        self.line.writelines([chunk.wire(form) for chunk in chunks])

    def metadata(self, text: bytes) -> None:
        if self.writable:
            self.line.write(text)
        else:
            self._missed = True

    def gap(self, from_seq: int, to_seq: int, reason: str) -> None:
        self.line.say(events.StreamGap(self._stream.id, from_seq, to_seq, reason))

    def refused(self, error: WavegateError) -> None:
        self.line.say(events.Error(events.ErrorBody.of(error), self._ref))
        self._on_end(self, error)

    def ended(self, outcome: Outcome) -> None:
        if self._missed:
            self.line.say(news(self._stream))
        if outcome.error is not None:
            self.line.say(events.StreamFailed(outcome.stream_id, events.ErrorBody.of(outcome.error)))
        else:
            self.line.say(
                events.StreamCompleted(
                    outcome.stream_id,
                    outcome.duration_seconds,
                    outcome.chunks,
                    outcome.size,
                    outcome.sha256,
                    usage(outcome.bill),
                )
            )
        self._on_end(self, None)
