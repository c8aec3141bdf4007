"""A rendition of AAC cut into segments, for players that fetch: each is whole chunks, about a second of them.

It follows its channel as a format that is made of it would. Invariant: where a segment begins and ends depends on the
song alone, so it is the same bytes for everybody, whoever asks when; numbers count from 0 and are never given twice.
A segment exists from the moment it is whole for as long as all of its chunks are retained.
It must not know playlists or players.
"""

import asyncio
import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import islice

from gateway.model import Chunk, Flag
from gateway.relay.channel import Channel
from gateway.relay.cutting import SHORTEST_SECONDS

FRAME = 1024  # samples of AAC-LC at every rate
# Players that are woken before others have their turn: at some 0.2 ms for an answer this keeps the loop for 6 ms.
WOKEN_AT_ONCE = 32


def usual_samples(rate: int) -> int:
    """How long a segment is at this rate: as many whole chunks as come nearest to a second.

    At 48 kHz that is 45 frames, which are 0.960 s exactly; at every rate it rounds to 1 s.
    """
    chunk = math.ceil(SHORTEST_SECONDS * rate / FRAME) * FRAME
    return round(rate / chunk) * chunk


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The chunks from `first` up to but not including `end`: `duration` samples, `size` bytes.

    `torn` tells that sound was lost right before it.
    """

    number: int
    first: int
    end: int
    duration: int
    size: int
    torn: bool


class Segments:
    """Of one channel, to be had by `of`. `made` counts all there ever were; `over` tells that none follow.

    `lost` counts those of the beginning that are retained no more, `lost_tears` how many of these were torn.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.made = 0
        self.lost = 0
        self.lost_tears = 0
        self.over = False
        self._kept: list[Segment] = []
        self._begin = self._next = 0  # of the segment in the making
        self._samples = self._size = 0
        self._torn = False
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._turn: asyncio.Handle | None = None
        channel.followers[self] = None
        self.pump()

    @classmethod
    def of(cls, channel: Channel) -> "Segments":
        """Those of this channel: the same for everybody who asks, as long as the channel lives."""
        return next((one for one in channel.followers if isinstance(one, cls)), None) or cls(channel)

    @property
    def whole(self) -> bool:
        """Whether they go back to the first sound of their channel."""
        return self.channel.first == 0

    @property
    def kept(self) -> list[Segment]:
        """Those that can be had, oldest first."""
        if self._kept and self._kept[0].first < self.channel.first:
            self._lose()
        return self._kept

    def find(self, number: int) -> Segment | None:
        """The one of this number, None where there is none yet or no more."""
        kept = self.kept
        index = number - self.lost
        return kept[index] if 0 <= index < len(kept) else None

    def read(self, segment: Segment) -> bytes:
        """The bytes of a segment that is kept."""
        first = self.channel.first
        chunks = self.channel.retained[segment.first - first : segment.end - first]
        return b"".join([chunk.payload for chunk in chunks])

    async def reach(self, count: int, seconds: float) -> None:
        """Waits until so many have been made, or none follow, but no longer than this."""
        if self.over or self.made >= count:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = count
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return
        finally:
            self._waiting.pop(waiter, None)

    # -- as a follower of the channel --------------------------------------------------------------------------------

    def pump(self) -> None:
        """Takes what has come."""
        channel, made = self.channel, self.made
        if channel.details is not None:
            usual = usual_samples(channel.details.sample_rate)
            if self._begin < channel.first:
                self._skip()
            for chunk in channel.retained[self._next - channel.first :]:
                self._take(chunk, usual)
        if channel.outcome is not None and not self.over:
            self._close()
            self.over = True
        if self._waiting and (self.over or self.made > made) and self._turn is None:
            self._wake()

    def tell(self, text: bytes) -> None:
        """News beside the sound are no audio."""

    def fail(self) -> None:
        """A fault of ours: those who wait are not kept waiting."""
        self.channel.followers.pop(self, None)
        self.over = True
        self._wake()

    def _skip(self) -> None:
        """Less is retained than a segment, or the beginning was lost before the first player came."""
        self._begin = self._next = max(self._next, self.channel.first)
        self._samples, self._size, self._torn = 0, 0, True

    def _take(self, chunk: Chunk, usual: int) -> None:
        if self.channel.torn and chunk.flags & Flag.DISCONTINUITY:
            self._close()
            self._torn = True
        self._next += 1
        self._samples += chunk.duration
        self._size += len(chunk.payload)
        # Of the song's first segment the encoder's delay, which is a frame, is not heard.
        if self._samples >= (usual if self._begin else usual - FRAME):
            self._close()

    def _close(self) -> None:
        """What is there is a segment; what has no sound is none."""
        if self._samples:
            torn = self._torn and self.made > 0
            self._kept.append(Segment(self.made, self._begin, self._next, self._samples, self._size, torn))
            self.made += 1
            self._torn = False
        self._begin, self._samples, self._size = self._next, 0, 0

    def _lose(self) -> None:
        gone = bisect_left(self._kept, self.channel.first, key=lambda segment: segment.first)
        self.lost += gone
        self.lost_tears += sum(segment.torn for segment in self._kept[:gone])
        del self._kept[:gone]

    def _wake(self) -> None:
        self._turn = None
        due = (waiter for waiter, count in self._waiting.items() if self.over or count <= self.made)
        batch = list(islice(due, WOKEN_AT_ONCE))
        for waiter in batch:
            del self._waiting[waiter]
            if not waiter.done():
                waiter.set_result(None)
        if len(batch) == WOKEN_AT_ONCE:
            self._turn = asyncio.get_running_loop().call_soon(self._wake)
