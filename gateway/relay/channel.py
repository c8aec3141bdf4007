"""A channel: the retained, ordered log of one rendition's chunks on this node, and who listens to it.

Invariant: chunks are appended once, in order, never changed; `first` and `end` bound what is retained (`first` moves
only when the byte limit forces the oldest out, or when all is forgotten); the hash and the totals cover everything
since seq 0. Wire forms stand for a bounded number of chunks, whoever reads what.
Appending pumps every listener synchronously: no task, no queue. It must not know sockets or codecs.
"""

import hashlib
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.errors import WavegateError
from gateway.model import Chunk, Flag, Kind, Position, RenditionId
from gateway.relay.outcome import Bill, Outcome
from metrics.recorder import Recorder
from transcode.formats import Format, StreamFormat

logger = logging.getLogger("wavegate.channel")

# Chunks whose wire forms stay built: about ten seconds, in which almost every listener has been served; and as many of
# the older ones that were read last. Kept for the whole song they would double and treble its memory.
WIRES_KEPT = 50


class Audience(Protocol):
    """A listener or a follower, as far as the channel cares."""

    def pump(self) -> None: ...

    def tell(self, text: bytes) -> None: ...

    def fail(self) -> None: ...


class Channel:
    """The log. It opens when the audio's details are known, grows by `append`, and is closed once, with an outcome."""

    def __init__(
        self,
        rendition: RenditionId,
        format: Format,  # noqa: A002 - the field's name everywhere else in the contract
        recorder: Recorder,
        max_bytes: int,
        now: Callable[[], float],
    ) -> None:
        self.rendition = rendition
        self.format = format
        self.details: StreamFormat | None = None
        self.init: Chunk | None = None
        self.first = 0
        self.end = 0
        self.end_pts = 0
        self.retained_bytes = 0
        self.torn = False
        self.outcome: Outcome | None = None
        # Who makes other formats of this one; pumped first, so that their work begins while sockets are written.
        self.followers: dict[Audience, None] = {}
        self.listeners: dict[Audience, None] = {}
        self.recorder = recorder
        self._chunks: list[Chunk] = []
        self._reread: deque[Chunk] = deque()
        self._total_bytes = 0
        self._hash = hashlib.sha256()
        self._max_bytes = max_bytes
        self._now = now
        self._first_byte_at = 0.0
        self._tally: dict[str, list[int]] = {}

    # -- the feeding side ------------------------------------------------------------------------------------------

    def open(self, details: StreamFormat, init: bytes, first_byte_at: float, begin: int = 0) -> None:
        """What the audio really is, and at which sample it begins: that of the song, if it is whole.

        Listeners who came before are told with the first chunk.
        """
        self.details = details
        self.end_pts = begin
        self._first_byte_at = first_byte_at
        if init:
            self.init = Chunk(self.rendition, 0, 0, 0, init, Kind.INIT, Flag.NONE)
            self._account(init)

    def append(self, payload: bytes, duration: int, flags: Flag, born: float) -> None:
        """The next chunk, `duration` samples long, whose last upstream byte came in at `born`. Pumps every listener."""
        chunk = Chunk(self.rendition, self.end, self.end_pts, duration, payload, Kind.AUDIO, flags, born)
        self._chunks.append(chunk)
        self.torn = self.torn or bool(flags & Flag.DISCONTINUITY)
        self.end += 1
        self.end_pts += duration
        self._account(payload)
        if len(self._chunks) > WIRES_KEPT:
            self._chunks[-1 - WIRES_KEPT].forget_wires()
        while self.retained_bytes > self._max_bytes and len(self._chunks) > 1:
            self.retained_bytes -= len(self._chunks.pop(0).payload)
            self.first += 1
        self._fan_out()
        if self.listeners:
            now = self._now()
            self.recorder.relayed(now - born)
            if chunk.seq == 0:
                self.recorder.relay_first_audio(now - self._first_byte_at)

    def close(self, error: WavegateError | None, bill: Bill) -> None:
        """Nothing follows: listeners that have heard everything are told now, the others when they have."""
        self.outcome = Outcome(
            self.rendition.stream_id,
            error,
            self.seconds(self.end_pts),
            self.end,
            self._total_bytes,
            self._hash.hexdigest(),
            bill,
        )
        self._fan_out()
        if not self.listeners:
            # The rule, and of a short song these would be a second copy for as long as it is kept.
            for chunk in self._chunks[-WIRES_KEPT:]:
                chunk.forget_wires()

    def forget(self) -> None:
        """Lets the audio go: nothing is retained any more, whoever still holds the channel."""
        self.first = self.end
        self.retained_bytes = 0
        self._chunks.clear()
        self._reread.clear()

    def tell(self, text: bytes) -> None:
        """News beside the sound for everybody who listens; `text` is a ready WebSocket text frame."""
        for listener in tuple(self.listeners):
            try:
                listener.tell(text)
            except Exception:
                self._let_go(listener)

    def _account(self, payload: bytes) -> None:
        self._hash.update(payload)
        self._total_bytes += len(payload)
        self.retained_bytes += len(payload)

    def _fan_out(self) -> None:
        for audience in (*self.followers, *self.listeners):
            try:
                audience.pump()
            except Exception:
                self._let_go(audience)
        self.flush_tally()

    def _let_go(self, audience: Audience) -> None:
        """A listener whose transport breaks costs nobody else anything, nor does a format that cannot be made."""
        logger.exception("a listener of stream %s broke and was let go", self.rendition.stream_id)
        audience.fail()

    # -- the listening side ----------------------------------------------------------------------------------------

    @property
    def retained(self) -> Sequence[Chunk]:
        """All that is kept, oldest first."""
        return self._chunks

    def read(self, seq: int, max_bytes: int) -> Sequence[Chunk]:
        """Chunks from `seq` on (which must be retained): at least one, and no more once `max_bytes` are reached.

        Where sound was lost at the provider's, the chunk behind the hole is the first of those it is read with.
        """
        start = seq - self.first
        stop, size = start, 0
        while stop < len(self._chunks) and size < max_bytes:
            if stop > start and self._chunks[stop].flags & Flag.DISCONTINUITY:
                break
            size += len(self._chunks[stop].payload)
            stop += 1
        chunks = self._chunks[start:stop]
        if start < len(self._chunks) - WIRES_KEPT:
            self._read_late(chunks)
        return chunks

    def _read_late(self, chunks: list[Chunk]) -> None:
        """Who reads these builds their wire forms again: those that were built so before make room."""
        while len(self._reread) > WIRES_KEPT:
            self._reread.popleft().forget_wires()
        self._reread.extend(chunks)

    def seconds(self, samples: int) -> float:
        """Samples of this rendition as seconds; 0.0 before its rate is known."""
        return samples / self.details.sample_rate if self.details else 0.0

    def pts(self, seq: int) -> int:
        """Where chunk `seq` begins, in samples; for one that has not come yet, where it will."""
        return self._chunks[seq - self.first].pts if seq < self.end else self.end_pts

    def seq_at(self, pts: int) -> int:
        """The retained chunk in which sample `pts` sounds; the oldest or the next to come for samples outside."""
        if pts >= self.end_pts:
            return self.end
        index = bisect_right(self._chunks, pts, key=lambda chunk: chunk.pts) - 1
        return self.first + max(index, 0)

    def live_seq(self) -> int:
        """Where a decoder may start nearest to the live edge: the newest random access point, or the next chunk."""
        for index in range(len(self._chunks) - 1, -1, -1):
            if self._chunks[index].flags & Flag.RANDOM_ACCESS:
                return self.first + index
        return self.end

    def position(self, seq: int) -> Position:
        return Position(self.rendition.epoch, seq)

    def tally(self, door: str, chunks: int, size: int) -> None:
        """Counts what a listener was sent; the metrics hear of it once a fan-out, not once a write."""
        counts = self._tally.setdefault(door, [0, 0])
        counts[0] += chunks
        counts[1] += size

    def flush_tally(self) -> None:
        """Hands the counts to the metrics."""
        for door, (chunks, size) in self._tally.items():
            self.recorder.written(door, self.format.codec, chunks, size)
        self._tally.clear()
