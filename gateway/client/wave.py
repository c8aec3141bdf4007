"""The sound on a terminal: a song's peaks as a little landscape, and a meter for each channel.

Invariant: pure; heights are amplitudes and bars decibels of what was measured; where nothing was, nothing is drawn.
It must not know where the numbers come from.
"""

import math
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from gateway.client.brush import DIM, GREEN, RED, YELLOW, Brush

BLOCKS = " ▁▂▃▄▅▆▇█"
# The loudest place of a song is as high as the picture, unless the whole song is softer than this.
SOFT = 0.25
METER_FLOOR = -48.0
# Where a meter turns yellow, and red.
WARM, HOT = -12.0, -3.0


def decibels(amplitude: float) -> float:
    """Below full scale; silence is minus infinity."""
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def landscape(peaks: Sequence[float], a_second: float, end: float, cells: int, rows: int) -> list[list[str]]:
    """`rows` lines of `cells` characters, the upper one first; the width stands for `end` seconds.

    `peaks` are amplitudes, `a_second` of them a second. A cell shows the largest of its time, at least a thin line
    where something was measured, and a space where nothing was.
    """
    levels = len(BLOCKS) - 1
    top = max(SOFT, max(peaks, default=SOFT))
    heights = []
    for cell in range(cells):
        first = int(cell * end * a_second / cells)
        span = peaks[first : max(first + 1, int((cell + 1) * end * a_second / cells))]
        heights.append(max(1, round(max(span) / top * rows * levels)) if span else 0)
    return [
        [BLOCKS[min(levels, max(0, height - levels * below))] for height in heights] for below in reversed(range(rows))
    ]


def meters(rms: Sequence[float], peak: Sequence[float], indent: int, width: int, brush: Brush) -> list[str]:
    """A bar a channel: the RMS filled, the peak as a mark, and the RMS in decibels. None where there is no room.

    `indent` is where the bars begin, so that they stand below what is above them.
    """
    names = [name.rjust(indent - 1) for name in (("L", "R") if len(rms) == 2 else ("",) * len(rms))]
    return [
        line
        for name, average, top in zip(names, rms, peak, strict=True)
        if (line := _meter(name, decibels(average), decibels(top), width, brush))
    ]


def _meter(name: str, rms: float, peak: float, width: int, brush: Brush) -> str:
    told = f"{rms:4.0f} dB" if rms > METER_FLOOR else "   · dB"
    cells = width - len(name) - len(told) - 2
    if cells < 8:
        return ""
    filled, mark, warm, hot = _cell(rms, cells), _cell(peak, cells) - 1, _cell(WARM, cells), _cell(HOT, cells)
    drawn = []
    for at in range(cells):
        style = GREEN if at < warm else YELLOW if at < hot else RED
        drawn.append(("━", style) if at < filled else ("╸", style) if at == mark else ("─", DIM))
    bar = "".join(
        brush("".join(character for character, _ in run), style) for style, run in groupby(drawn, itemgetter(1))
    )
    return f"{brush(name, DIM)} {bar} {told}"


def _cell(level: float, cells: int) -> int:
    """How many of the cells lie below a level."""
    return round(cells * (1 - max(METER_FLOOR, min(0.0, level)) / METER_FLOOR))
