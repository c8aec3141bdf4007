"""What the log and the traces tell of one generation: its moments, and at its end all of it in one line.

Invariant: one line a generation, whatever ended it; no word of anybody is in it. What is told of a moment that never
came is None. It must not know how a stream works, nor where lines and traces go.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.errors import WavegateError
from gateway.log import bind, bound, hide
from gateway.log import event as log_event
from gateway.model import (
    Accepted,
    AudioDelta,
    Finished,
    GenerationRequest,
    Queued,
    SongRequest,
    SourceEvent,
    Status,
    StreamId,
    TenantId,
    TriedAgain,
)
from gateway.relay.instruments import Instruments
from gateway.relay.outcome import Bill
from gateway.relay.ports import Span

logger = logging.getLogger("wavegate.stream")

# Joins that a trace tells one by one; the number of all stands at its end.
MOST_JOINS_TOLD = 100


@dataclass(frozen=True, slots=True)
class Ending:
    """What a stream knows of itself when its bill is settled, or could not be."""

    status: Status
    error: WavegateError | None
    bill: Bill
    cost: float | None
    received_seconds: float
    egress: int
    formats: Sequence[str]


class Journal:
    """Of one stream; `open` is called inside the task that reads its source. Times are Unix seconds."""

    def __init__(
        self, stream_id: StreamId, tenant: TenantId, request: GenerationRequest, instruments: Instruments
    ) -> None:
        self._id = stream_id
        self._tenant = tenant
        self._request = request
        # From here on evenly: how long a song took is not to change because somebody sets the machine's clock.
        ahead = instruments.time() - instruments.now()
        self._time: Callable[[], float] = lambda: instruments.now() + ahead
        self._traces = instruments.traces
        self._span: Span | None = None
        self._request_id: str | None = None
        self._created = self._began = self._time()
        self._queued: float | None = None
        self._waited: float | None = None
        self._accepted: float | None = None
        self._first_audio: float | None = None
        self._last: float | None = None
        self._received = 0
        self._tries = 1
        self._most = 0
        self._joins = 0

    def open(self) -> None:
        """From here on lines of this task name the stream, and hide its words."""
        self._began = self._time()
        bind(stream_id=self._id, tenant=self._tenant)
        hide(*words_of(self._request))
        if self._traces is not None:
            origin = bound().origin
            self._span = self._traces.begin("stream", self._created, origin.traceparent)
            bind(trace_id=self._span.trace_id)
            if origin.at:
                self._span.child("create", min(origin.at, self._created), self._created)

    def saw(self, event: SourceEvent) -> None:
        """The provider, or the queue before it, said this."""
        self._last = None
        if isinstance(event, AudioDelta):
            self._received += len(event.data)
            if self._first_audio is None:
                self._first_audio = self._time()
                log_event(
                    logger, "stream.sounded", stream_id=self._id, after_seconds=self._since_turn(self._first_audio)
                )
        elif isinstance(event, Queued):
            if self._queued is None:
                self._queued = self._time()
            log_event(
                logger, "stream.queued", stream_id=self._id, position=event.position, eta_seconds=event.eta_seconds
            )
        elif isinstance(event, Accepted):
            self._accepted, self._waited = self._time(), event.waited_seconds
            self._queued = None
            self._request_id = event.request_id or None
            bind(provider_request_id=self._request_id)
            log_event(logger, "stream.accepted", stream_id=self._id, queue_seconds=round(self._waited, 3))
        elif isinstance(event, TriedAgain):
            self._tries, self._queued = event.attempt, None
        elif isinstance(event, Finished):
            self._last = self._time()

    def joined(self, listeners: int) -> None:
        """Somebody hears it from now on; so many do, with that one."""
        self._joins += 1
        self.heard_by(listeners)
        if self._span is not None and self._joins <= MOST_JOINS_TOLD:
            ids = {name: value for name, value in bound().ids.items() if name in ("session_id", "request_id")}
            self._span.event("joined", self._time(), {"wavegate.listeners": listeners, **ids})

    def heard_by(self, listeners: int) -> None:
        """So many hear it at this moment."""
        self._most = max(self._most, listeners)

    def ended(self, ending: Ending) -> None:
        """It is over: the line, and the rest of the trace."""
        now, error = self._time(), ending.error
        queue = self._waited if self._queued is None else (self._waited or 0.0) + now - self._queued
        first = None if self._first_audio is None else self._since_turn(self._first_audio)
        failed = ending.status is Status.FAILED
        log_event(
            logger,
            "stream.ended",
            level=logging.WARNING if failed else None,
            stream_id=self._id,
            tenant=self._tenant,
            model=self._request.model,
            mode=self._request.mode.value,
            status=ending.status.value,
            code=error.code if error is not None else None,
            audio_seconds=round(ending.received_seconds, 3),
            settled_seconds=round(ending.bill.seconds, 3) if ending.bill.settled else None,
            characters=ending.bill.characters,
            cost=ending.cost,
            queue_seconds=None if queue is None else round(queue, 3),
            first_audio_seconds=first,
            wall_seconds=round(now - self._created, 3),
            tries=self._tries,
            listeners=self._most,
            joins=self._joins,
            formats=list(ending.formats),
            upstream_bytes=self._received,
            egress_bytes=ending.egress,
            provider_request_id=self._request_id or getattr(error, "request_id", None),
        )
        if self._span is not None:
            self._trace(self._span, ending, now, queue or 0.0)

    def _trace(self, span: Span, ending: Ending, now: float, queue: float) -> None:
        """What is known only now: the spans below the stream's, and what it came to."""
        turn = min(self._began + queue, now)
        last = self._last or now
        code = ending.error.code if ending.error is not None else None
        if queue > 0.0:
            span.child("queue", self._began, turn)
        if self._accepted is not None or self._tries > 1 or self._queued is None:
            accepted = None if self._accepted is None else ("accepted", self._accepted)
            said = {"wavegate.tries": self._tries, "wavegate.bytes": self._received}
            span.child("upstream", turn, last, said, accepted, code if ending.status is Status.FAILED else None)
        if self._first_audio is not None:
            span.child("first_audio", turn, self._first_audio)
        span.child("settle", last, now)
        facts = {
            "wavegate.stream_id": self._id,
            "wavegate.tenant": self._tenant,
            "wavegate.model": self._request.model,
            "wavegate.mode": self._request.mode.value,
            "wavegate.status": ending.status.value,
            "wavegate.code": code,
            "wavegate.provider_request_id": self._request_id,
            "wavegate.audio_seconds": ending.received_seconds,
            "wavegate.cost": ending.cost,
            "wavegate.listeners": self._most,
            "wavegate.joins": self._joins,
        }
        known = {name: value for name, value in facts.items() if value is not None}
        span.end(now, known, code if ending.status is Status.FAILED else None)

    def _since_turn(self, moment: float) -> float:
        return round(max(0.0, moment - self._began - (self._waited or 0.0)), 3)


def words_of(request: GenerationRequest) -> tuple[str | None, ...]:
    """All that somebody wrote in it."""
    if isinstance(request, SongRequest):
        return request.input.prompt, request.input.lyrics
    return request.input.text, request.input.instruction, request.input.instructions
