"""The census: once a second, how much is kept, which songs are silent, how many listen, how far they are behind.

Invariant: who is at the live edge is counted and not looked at, so that 10,000 of them cost what one does; of those who
are behind at most MOST_LOOKED_AT are, each for as many as there are of its kind, so that the counts are right.
It must not know what is counted for whom.
"""

from collections.abc import Mapping
from itertools import islice

from gateway.model import StreamId
from gateway.relay.channel import CLUSTER, Channel, Tally
from gateway.relay.instruments import Instruments
from gateway.relay.replica import AnyStream
from gateway.relay.silence import KINDS
from gateway.relay.stream import Stream

# Players that fetch are as far as they like to be, and other nodes count their own listeners.
UNPACED = frozenset({CLUSTER, "hls"})
# A look at one takes two microseconds.
MOST_LOOKED_AT = 256


class Census:
    """Of all streams of this node."""

    def __init__(self, streams: Mapping[StreamId, AnyStream], instruments: Instruments) -> None:
        self._streams = streams
        self._recorder = instruments.recorder
        self._now = instruments.now
        self._taken_at = instruments.now()

    def take(self) -> None:
        """To be called about once a second."""
        now = self._now()
        seconds, self._taken_at = now - self._taken_at, now
        size, silent = 0, dict.fromkeys(KINDS, 0)
        listened: dict[str, int] = {}
        for stream in self._streams.values():
            size += stream.retained_bytes
            if isinstance(stream, Stream) and stream.silence.kind is not None:
                silent[stream.silence.kind] += 1
            for channel in stream.renditions:
                for door, tally in channel.tallies.items():
                    if tally.listeners and door != CLUSTER:
                        listened[door] = listened.get(door, 0) + tally.listeners
                        self._lags(channel, door, tally)
        for door, listeners in listened.items():
            self._recorder.listened(door, listeners * seconds)
        for kind, streams in silent.items():
            self._recorder.streams_stalled(kind, streams)
        self._recorder.retained(len(self._streams), size)

    def _lags(self, channel: Channel, door: str, tally: Tally) -> None:
        """Nobody is behind who still waits for the first sound."""
        if door in UNPACED or channel.details is None:
            return
        behind = len(tally.behind)
        self._recorder.lagging(0.0, tally.listeners - behind)
        each = -(-behind // MOST_LOOKED_AT) or 1
        for index, listener in enumerate(islice(tally.behind, 0, None, each)):
            if listener.begun:
                self._recorder.lagging(listener.lag_seconds, min(each, behind - index * each))
