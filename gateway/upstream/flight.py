"""The flight recorder: what the provider sent and when, a file a generation, so that a strange one can be flown again.

Invariant: the loop never waits for the disk, and no generation suffers from its recording: what cannot be written in
time, or at all, is dropped whole, which the log says once until a recording is whole again. No credential is written:
of the request the body only, of the answer's headers a few that are known, of its bytes what `Mask` lets through.
It must not know what the bytes mean.
"""

import asyncio
import itertools
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gateway.config.secret import HIDDEN, Secret, redact
from gateway.log import event as log_event
from gateway.model import GenerationRequest
from gateway.protocol.families import family_of
from gateway.upstream.logbook import Logbook, Page
from gateway.upstream.mask import Mask, nothing_known
from gateway.upstream.recording import answer_line, data_line, end_line, head_line

logger = logging.getLogger("wavegate.upstream")

MAX_BYTES = 1 << 30
MAX_WAITING_BYTES = 32 << 20

_CLOSE_SECONDS = 5.0
_JOB_BYTES = 500  # what a job takes in memory beside its data
# Of the answer's headers, those that explain something and open nothing.
_HEADERS = frozenset(
    (
        "content-type",
        "req-arrive-time",
        "req-cost-time",
        "resp-start-time",
        "retry-after",
        "server",
        "x-dashscope-call-gateway",
        "x-dashscope-finished",
        "x-dashscope-timeout",
        "x-envoy-upstream-service-time",
        "x-request-id",
        "x-wavegate-simulated",
    )
)


class _Job(NamedTuple):
    """Something for the writer: a line of `flight` to make and write, or with `line` None to give the flight up."""

    flight: "Flight"
    line: Callable[[], bytes] | None
    size: int
    last: bool = False


class Flight:
    """The recording of one generation. Its methods return at once and never raise."""

    def __init__(self, recorder: "FlightRecorder", name: str, clock: Callable[[], float], mask: Mask) -> None:
        self.page: Page | None = None  # the writer's
        self.name = name  # of the file
        self.dropped = False
        self._recorder = recorder
        self._clock = clock
        self._mask = mask
        self._start = clock()
        self._answered = False
        self._over = False

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The provider's status and headers are there."""
        self._answered = True
        # ASCII, because a header may hold what JSON cannot.
        kept = {
            name.lower(): redact(value, self._recorder.known()).encode("ascii", "replace").decode()
            for name, value in headers.items()
            if name.lower() in _HEADERS
        }
        named = kept.get("x-request-id", "")
        # One that held a secret names nothing any more.
        if HIDDEN not in named and (request_id := re.sub(r"[^\w-]", "", named, flags=re.ASCII)[:64]) != "":
            self.name = f"{self.name.partition('-')[0]}-{request_id}"
        self._put(partial(answer_line, self._now(), status, kept))

    def received(self, data: bytes) -> None:
        """A slice of the answer's body, as it came."""
        at = self._now()
        self._put(lambda: data_line(at, self._mask.feed(data)), len(data))

    def ended(self, error_code: str | None) -> None:
        """The generation is over, well or with an error. What comes after this call is not recorded.

        Without an answer there will be no file: it could not be flown again, and in an outage such files would push out
        those that can.
        """
        if self._answered:
            self._put(partial(end_line, self._now(), error_code), last=True)
        elif not (self._over or self.dropped):
            self._recorder.give_up(self)
        self._over = True

    def _now(self) -> float:
        return self._clock() - self._start

    def _put(self, line: Callable[[], bytes], size: int = 0, *, last: bool = False) -> None:
        if not (self._over or self.dropped or self._recorder.put(_Job(self, line, size + _JOB_BYTES, last))):
            self._recorder.give_up(self)


class FlightRecorder:
    """Records into `directory`, which never holds more than `max_bytes` of recordings. It belongs to one loop.

    `keep_words` writes prompts and lyrics as they are instead of as hashes or zeros; `known` gives the secrets that are
    never written. Beyond `max_waiting_bytes` that the disk has not taken yet, recordings are dropped. An error's
    message is kept, whatever else the provider quotes in it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = MAX_BYTES,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        keep_words: bool = False,
        known: Callable[[], Collection[Secret]] = nothing_known,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._logbook = Logbook(directory, max_bytes)
        self._max_waiting_bytes = max_waiting_bytes
        self._keep_words = keep_words
        self.known = known
        self._now = now
        self._clock = clock
        self._numbers = itertools.count(1)
        # It has no bound of its own, because it takes no lock. What waits in it is bounded by two counters, each of
        # which is written by one thread only.
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._given = 0
        self._taken = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._said = False

    def start(self, request: GenerationRequest) -> Flight:
        """A generation begins. The file appears when it has ended."""
        moment = datetime.fromtimestamp(self._now(), UTC)
        # The name of the file in the end, where the provider gives the generation none.
        name = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03}Z-{os.getpid()}-{next(self._numbers)}"
        flight = Flight(self, name, self._clock, Mask(words=self._keep_words, known=self.known))
        if self._thread is None and not self._closed:
            thread = threading.Thread(target=self._write, name="flight recorder", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._drop(flight, "no thread can be started")
                return flight
            self._thread = thread
        self.put(_Job(flight, partial(self._head, moment, request), _JOB_BYTES))
        return flight

    async def close(self) -> None:
        """Lets what waits be written, for a few seconds at most. Flights that have not ended are lost."""
        self._closed = True
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join, _CLOSE_SECONDS)

    def put(self, job: _Job) -> bool:
        """Hands a job to the writer; drops its flight instead, and says so, when too much is waiting."""
        if self._closed:
            job.flight.dropped = True
        elif self._given - self._taken + job.size > self._max_waiting_bytes:
            self._drop(job.flight, "the disk is too slow")
        else:
            self._given += job.size
            self._jobs.put(job)
        return not job.flight.dropped

    def give_up(self, flight: Flight) -> None:
        """Lets the writer remove what it has written of a flight."""
        if not self._closed:
            self._jobs.put(_Job(flight, None, 0))

    def _drop(self, flight: Flight, reason: str) -> None:
        flight.dropped = True
        if not self._said:
            self._said = True
            log_event(logger, "upstream.recording_dropped", reason=reason, directory=str(self._directory))

    # -- the writer's side -------------------------------------------------------------------------------------------

    def _write(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._taken += job.size
            try:
                self._do(job)
            except Exception as error:  # whatever it is, it is about this recording only
                self._drop(job.flight, getattr(error, "strerror", None) or type(error).__name__)
                self._discard(job.flight)
        self._logbook.close()

    def _do(self, job: _Job) -> None:
        flight = job.flight
        if flight.dropped or job.line is None:
            self._discard(flight)
            return
        if flight.page is None:
            flight.page = self._logbook.open(flight.name)
        flight.page.write(job.line())
        if job.last:
            flight.page.finish(flight.name)
            flight.page = None
            self._said = False

    def _discard(self, flight: Flight) -> None:
        if flight.page is not None:
            flight.page.discard()
            flight.page = None

    def _head(self, moment: datetime, request: GenerationRequest) -> bytes:
        body: dict[str, Any] = msgspec.json.decode(family_of(request.model).body(request))
        fields = body["input"]
        for name in ("prompt", "lyrics", "text"):
            if name in fields and not self._keep_words:
                fields[name] = "sha256:" + sha256(fields[name].encode()).hexdigest()
        return head_line(
            time=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            model=request.model,
            mode=request.mode.value,
            request=body,
        )
