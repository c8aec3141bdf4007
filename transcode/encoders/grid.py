"""Where an encoder's packets lie in time: the grid that its frames are cut to, and which packets cover the song.

Invariant: packet k of a song lasts from k frames on, less the delay, whoever makes it and wherever he began; so an
encode that is taken up in the middle lies on the grid of the first one. Times are samples a channel at its rate.
It must not know codecs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transcode.packet import Packet


@dataclass(frozen=True, slots=True)
class Grid:
    """`frame` is a packet's length, `delay` what a decoder must drop at the start.

    `warmup` is how many packets an encoder makes before they are as if it had made the whole song.
    """

    frame: int
    delay: int = 0
    warmup: int = 0


class Timeline:
    """Gives packets their times. `start` is where in the song the encoder begins, a multiple of the grid's frame."""

    def __init__(self, grid: Grid, start: int) -> None:
        self._grid = grid
        self._next = start - grid.delay
        self._start = start
        self.end = start  # of the sound that was fed

    @property
    def due(self) -> int:
        """How many packets are missing until all sound that was fed is covered; of no sound there are none."""
        missing = self.end - self._next if self.end > self._start else 0
        return -(-missing // self._grid.frame)

    def timed(self, units: Sequence[bytes], *, last: bool = False) -> list[Packet]:
        """Packets of these codec units. With `last` they end the song; what lies behind its end whole is left out."""
        frame, begin = self._grid.frame, self._next
        if last:
            units = units[: self.due]
        self._next += frame * len(units)
        packets = [Packet(unit, pts, frame) for unit, pts in zip(units, range(begin, self._next, frame), strict=True)]
        if last and packets:
            end = packets[-1]
            packets[-1] = Packet(end.data, end.pts, frame, max(self._next - self.end, 0))
        return packets
