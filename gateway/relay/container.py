"""A rendition in a container: a track's packets, packed into the chunks of a channel.

It is a position in the track, and catches up a slice at a time, so that a long track that is heard in a second
container holds nobody up. Invariant: a chunk begins at a random access point, and the durations of all chunks add up to
the song. A chunk leaves as soon as the step that completes 100 ms has come; none crosses the end of a segment of AAC,
and one before that, or before a hole, may be shorter. It must not know who encodes or who listens.
"""

import asyncio
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from gateway.model import Flag
from gateway.relay.channel import Channel
from gateway.relay.cutting import SHORTEST_SECONDS, cuts
from gateway.relay.outcome import Bill
from gateway.relay.segments import usual_samples
from gateway.relay.track import Track
from transcode.formats import StreamFormat
from transcode.packager.door import Packager, audible, packager
from transcode.packet import CodecConfig, Packet

# Packets packed in one go: at some 3 µs each with their share of a chunk, the loop is held for half a millisecond.
SLICE = 128


class ContainerRendition:
    """Feeds `channel` from `track`, until the track is over or this is closed."""

    def __init__(self, channel: Channel, track: Track, now: Callable[[], float], on_end: Callable[[], None]) -> None:
        self.channel = channel
        self.track = track
        self._on_end = on_end
        self._now = now
        self._next = 0
        self._pending: list[Packet] = []
        self._rate = rate = track.spec.sample_rate
        # Where segments end must depend on the song alone, and not on when its chunks were cut.
        self._segment = usual_samples(rate) if track.spec.codec == "aac" else sys.maxsize
        self._left = self._segment  # samples until one ends
        self._packager: Packager | None = None
        self._turn: asyncio.Handle | None = None
        track.readers[self] = None

    def pump(self) -> None:
        """Packs what has come, unless it is at it already."""
        if self._turn is None:
            self._advance()

    def close(self) -> None:
        """Nobody listens any more."""
        self.track.readers.pop(self, None)
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _advance(self) -> None:
        self._turn = None
        track = self.track
        self._next = max(self._next, track.first)
        start = self._next - track.first
        stop = min(len(track.packets), start + SLICE)
        for packet in track.packets[start:stop]:
            self._take(packet)
        self._next = track.first + stop
        # The newest is held back, so that the last chunk can be marked as such. Where an encoder lags, there is another
        # one when the song is over.
        lags = track.config is not None and track.config.delay > 0
        self._cut(self._pending[: None if lags and not track.over else -1], SHORTEST_SECONDS)
        if stop < len(track.packets):
            self._turn = asyncio.get_running_loop().call_soon(self._advance)
        elif track.over and self.channel.outcome is None:
            self._finish()

    def _take(self, packet: Packet) -> None:
        if packet.discontinuity:
            self._cut(self._pending, 0.0)
            self._left = self._segment
        self._pending.append(packet)

    def _cut(self, packets: Sequence[Packet], least: float) -> None:
        """Send these, up to where a segment ends and from there on, but for fewer than so many seconds at the end."""
        durations = [packet.duration for packet in packets]
        while durations:
            ends = list(accumulate(durations))
            count = bisect_right(ends, self._left) or 1
            if ends[count - 1] < min(least * self._rate, self._left):
                return
            for size in cuts(durations[:count], self._rate):
                self._emit(size)
            del durations[:count]

    def _finish(self) -> None:
        """The track's end is the rendition's; one whose encode failed ends by itself, the stream does not."""
        native = self.track.native.outcome
        error = self.track.error or (native.error if native is not None else None)
        if self._pending:
            self._emit(len(self._pending), last=error is None)
        self.close()
        self.channel.close(error, native.bill if native is not None else Bill(0.0, settled=False))
        self._on_end()

    def _emit(self, count: int, *, last: bool = False) -> None:
        packets, self._pending = self._pending[:count], self._pending[count:]
        self._left = self._left - sum(packet.duration for packet in packets) or self._segment
        begin, duration = audible(packets)
        if self._packager is None:
            assert self.track.config is not None, "it is known with the first packet"
            self._packager = self._open(self.track.config, begin)
        payload = self._packager.pack(packets, last=last)
        flags = Flag.RANDOM_ACCESS
        if packets[0].discontinuity:
            flags |= Flag.DISCONTINUITY
        if last:
            flags |= Flag.LAST
        self.channel.append(payload, duration, flags, self._now())

    def _open(self, config: CodecConfig, begin: int) -> Packager:
        spec, form = self.track.spec, self.channel.format
        made = packager(form, config)
        details = StreamFormat(form, spec.sample_rate, spec.channels, spec.bitrate)
        self.channel.open(details, made.init, self._now(), begin)
        return made
