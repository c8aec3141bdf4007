"""A channel: the retained, ordered log of one rendition's chunks on this node, and who listens to it.

Invariant: chunks are appended once, in order, never changed; `first` and `end` bound what is retained (`first` moves
only when the byte limit forces the oldest out, or when all is forgotten); the hash and the totals cover everything
since seq 0. Wire forms stand for a bounded number of chunks, whoever reads what.
Appending pumps every listener, a large crowd in slices: no task, no queue. It must not know sockets or codecs.
"""

import hashlib
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from gateway.errors import WavegateError
from gateway.log import event
from gateway.model import Chunk, Flag, Kind, Position, RenditionId
from gateway.relay.instruments import Instruments
from gateway.relay.lengths import Lengths
from gateway.relay.outcome import Bill, Outcome
from transcode.formats import Format, StreamFormat

logger = logging.getLogger("wavegate.channel")

# The door by which other nodes hear: a listener there is none of ours.
CLUSTER = "cluster"
# Chunks whose wire forms stay built: about ten seconds, in which almost every listener has been served; and as many of
# the older ones that were read last. Kept for the whole song they would double and treble its memory.
WIRES_KEPT = 50


class Audience(Protocol):
    """A listener or a follower, as far as the channel cares."""

    def pump(self) -> None: ...

    def tell(self, text: bytes) -> None: ...

    def fail(self) -> None: ...


class Lagging(Protocol):
    """A listener, as far as its lag is concerned."""

    @property
    def begun(self) -> bool: ...

    @property
    def lag_seconds(self) -> float: ...


class Tally:
    """What was written through one door and is not in the metrics yet, which hear of it once a fan-out.

    `listeners` are those who hear by way of it now; `behind` those of them who have not been sent all there is, and
    those who still wait for what they want.
    """

    __slots__ = ("behind", "chunks", "listeners", "size")

    def __init__(self) -> None:
        self.behind: dict[Lagging, None] = {}
        self.chunks = 0
        self.listeners = 0
        self.size = 0


class Round:
    """One walk past all listeners: each is pumped, or told `text`. It begins with those who are there by then."""

    __slots__ = ("ahead", "born", "text")

    def __init__(self, text: bytes | None) -> None:
        self.text = text
        self.ahead: Iterator[Audience] | None = None
        self.born: float | None = None


class Channel:
    """The log. It opens when the audio's details are known, grows by `append`, and is closed once, with an outcome.

    `newest` is the chunk that those who have heard all others lack, if nothing is to be said before it; `egress` the
    bytes of audio that listeners were sent.
    """

    def __init__(
        self,
        rendition: RenditionId,
        format: Format,  # noqa: A002 - the field's name everywhere else in the contract
        instruments: Instruments,
        max_bytes: int,
    ) -> None:
        self.rendition = rendition
        self.format = format
        self.details: StreamFormat | None = None
        self.init: Chunk | None = None
        self.first = 0
        self.end = 0
        self.end_pts = 0
        self.retained_bytes = 0
        self.egress = 0
        self.torn = False
        self.newest: Chunk | None = None
        self.outcome: Outcome | None = None
        # Who makes other formats of this one; pumped first, so that their work begins while sockets are written.
        self.followers: dict[Audience, None] = {}
        self.listeners: dict[Audience, None] = {}
        self.recorder = instruments.recorder
        self._instruments = instruments
        self._chunks: list[Chunk] = []
        self.lengths = Lengths()
        self._reread: deque[Chunk] = deque()
        self._total_bytes = 0
        self._hash = hashlib.sha256()
        self.max_bytes = max_bytes
        self._first_byte_at: float | None = None
        self._tallies: dict[str, Tally] = {}
        self._rounds: deque[Round] = deque()

    # -- the feeding side ------------------------------------------------------------------------------------------

    def open(self, details: StreamFormat, init: bytes, first_byte_at: float, begin: int = 0, first: int = 0) -> None:
        """What the audio really is, and at which sample it begins: that of the song, if it is whole.

        Listeners who came before are told with the first chunk. `first` is its number: 0, but where this log is a copy
        of one that has lost its oldest chunks.
        """
        self.details = details
        self.end_pts = begin
        self.first = self.end = first
        self.lengths.begin(first)
        self._first_byte_at = first_byte_at
        if init:
            self.init = Chunk(self.rendition, 0, 0, 0, init, Kind.INIT, Flag.NONE)
            self._account(init)

    def append(self, payload: bytes, duration: int, flags: Flag, born: float) -> None:
        """The next chunk, `duration` samples long, whose last upstream byte came in at `born`. Pumps every listener."""
        chunk = Chunk(self.rendition, self.end, self.end_pts, duration, payload, Kind.AUDIO, flags, born)
        self._chunks.append(chunk)
        torn = bool(flags & Flag.DISCONTINUITY)
        self.torn = self.torn or torn
        self.newest = None if torn else chunk
        self.end += 1
        self.end_pts += duration
        self.lengths.add(len(payload), duration)
        self._account(payload)
        if len(self._chunks) > WIRES_KEPT:
            self._chunks[-1 - WIRES_KEPT].forget_wires()
        while self.retained_bytes > self.max_bytes and len(self._chunks) > 1:
            self.retained_bytes -= len(self._chunks.pop(0).payload)
            self.first += 1
        if not self.listeners:
            # Whoever comes later hears what was kept, and says nothing of how fast it was handed on.
            self._first_byte_at = None
        self._fan_out()

    def close(self, error: WavegateError | None, bill: Bill) -> None:
        """Nothing follows: listeners that have heard everything are told now, the others when they have."""
        self.finish(
            Outcome(
                self.rendition.stream_id,
                error,
                self.seconds(self.end_pts),
                self.end,
                self._total_bytes,
                self._hash.hexdigest(),
                bill,
            )
        )

    def finish(self, outcome: Outcome) -> None:
        """As `close`, with an outcome that is known from elsewhere."""
        self.outcome = outcome
        self.newest = None
        self._fan_out()
        if not self.listeners:
            self._forget_last_wires()

    def forget(self) -> None:
        """Lets the audio go: nothing is retained any more, whoever still holds the channel."""
        self.first = self.end
        self.retained_bytes = 0
        self._chunks.clear()
        self._reread.clear()
        self.followers.clear()

    def tell(self, text: bytes) -> None:
        """News beside the sound for everybody who listens; `text` is a ready WebSocket text frame."""
        if self.listeners:
            self._begin(Round(text))

    def _account(self, payload: bytes) -> None:
        self._hash.update(payload)
        self._total_bytes += len(payload)
        self.retained_bytes += len(payload)

    def _fan_out(self) -> None:
        for follower in tuple(self.followers):
            try:
                follower.pump()
            except Exception:
                self._let_go(follower)
        # A round that has not begun brings everybody all there is; one that has begun may have passed some by.
        if self.listeners and not any(one.text is None and one.ahead is None for one in self._rounds):
            self._begin(Round(None))

    def _begin(self, one: Round) -> None:
        self._rounds.append(one)
        if len(self._rounds) == 1:
            self._instruments.fan_out.add(self)

    # -- as a crowd that is served in turns ------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        return bool(self._rounds)

    def serve(self, most: int) -> int:
        """Goes on with the oldest round, past so many listeners; gives how many they were."""
        current = self._rounds[0]
        if current.ahead is None:
            current.ahead = iter(tuple(self.listeners))
            if current.text is None and self._chunks:
                current.born = self._chunks[-1].born
        batch = tuple(islice(current.ahead, most))
        walk = iter(batch)
        if self._first_byte_at is not None and current.born is not None:
            self._pass(islice(walk, 1), None)
            self.recorder.relay_first_audio(self._instruments.now() - self._first_byte_at)
            self._first_byte_at = None
        self._pass(walk, current.text)
        if len(batch) < most:
            self._rounds.popleft()
            if current.born is not None:
                self.recorder.relayed(self._instruments.now() - current.born)
            self.flush_tallies()
            if self.outcome is not None and not self.listeners:
                self._forget_last_wires()
        return len(batch)

    def _pass(self, batch: Iterator[Audience], text: bytes | None) -> None:
        for audience in batch:
            try:
                if text is None:
                    audience.pump()
                else:
                    audience.tell(text)
            except Exception:
                self._let_go(audience)

    def _let_go(self, audience: Audience) -> None:
        """A listener whose transport breaks costs nobody else anything, nor does a format that cannot be made."""
        event(logger, "listener.broke", exc_info=True, stream_id=self.rendition.stream_id)
        audience.fail()

    def _forget_last_wires(self) -> None:
        """The rule, and of a short song these would be a second copy for as long as it is kept."""
        for chunk in self._chunks[-WIRES_KEPT:]:
            chunk.forget_wires()

    # -- the listening side ----------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes of all that ever was in it, init first."""
        return self._total_bytes

    @property
    def retained(self) -> Sequence[Chunk]:
        """All that is kept, oldest first."""
        return self._chunks

    def read(self, seq: int, max_bytes: int) -> Sequence[Chunk]:
        """Chunks from `seq` on (which must be retained): at least one, and no more than fit into `max_bytes`.

        Where sound was lost at the provider's, the chunk behind the hole is the first of those it is read with.
        """
        start = seq - self.first
        stop, size = start, 0
        while stop < len(self._chunks):
            chunk = self._chunks[stop]
            size += len(chunk.payload)
            if stop > start and (size > max_bytes or (self.torn and chunk.flags & Flag.DISCONTINUITY)):
                break
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

    def moment(self, seq: int) -> float | None:
        """The second at which chunk `seq` begins, or will; None for one that is not retained."""
        return self.seconds(self.pts(seq)) if self.first <= seq <= self.end else None

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

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """By their doors."""
        return self._tallies

    def tally(self, door: str) -> Tally:
        """Where listeners at this door count what they are sent."""
        return self._tallies.setdefault(door, Tally())

    @property
    def doors(self) -> dict[str, int]:
        """How many listen by way of each door."""
        return {door: tally.listeners for door, tally in self._tallies.items() if tally.listeners}

    @property
    def heard(self) -> int:
        """How many hear it on this node."""
        return len(self.listeners) - (self._tallies[CLUSTER].listeners if CLUSTER in self._tallies else 0)

    def flush_tallies(self) -> None:
        """Hands the counts to the metrics."""
        for door, tally in self._tallies.items():
            if tally.chunks:
                self.recorder.written(door, self.format.codec, tally.chunks, tally.size)
                # What goes to other nodes is counted where it is heard.
                self.egress += tally.size if door != CLUSTER else 0
                tally.chunks = tally.size = 0
