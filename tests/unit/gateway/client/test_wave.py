"""The landscape of a song and its meters, as strings.

Invariant under test: heights follow what was measured, and every line has exactly the cells it was given.
No terminal is involved.
"""

import math
import re

import pytest

from gateway.client.brush import Brush
from gateway.client.terminal import columns
from gateway.client.wave import decibels, landscape, meters

PLAIN = Brush(colour=False)


def drawn(peaks: list[float], end: float, cells: int, rows: int = 1) -> list[str]:
    return ["".join(row) for row in landscape(peaks, 10, end, cells, rows)]


def test_heights_are_amplitudes() -> None:
    """The loudest is as high as the picture; what was measured is never nothing, what was not is."""
    assert drawn([0.0, 0.2, 0.4, 0.8], 0.5, 5) == ["▁▂▄█ "]


def test_a_soft_song_stays_low() -> None:
    """Silence is not blown up to a mountain."""
    assert drawn([0.001] * 10, 1.0, 4) == ["▁▁▁▁"]
    assert drawn([], 1.0, 4) == ["    "]


def test_two_rows_are_one_height() -> None:
    """The lower one is full before the upper one begins."""
    assert drawn([0.25, 0.5, 0.75, 1.0], 0.4, 4, rows=2) == ["  ▄█", "▄███"]


@pytest.mark.parametrize("cells", [1, 3, 40, 97])
@pytest.mark.parametrize("end", [0.05, 3.0, 15.0, 3600.0])
def test_every_cell_is_there(cells: int, end: float) -> None:
    """Whether a cell has many peaks, one, or less."""
    (row,) = drawn([0.5] * 100, end, cells)
    assert len(row) == cells
    assert row.rstrip().count("█") == min(cells, max(1, math.ceil(cells * 10.0 / end)))


def test_decibels_of_nothing() -> None:
    """Full scale is 0, half of it 6 below, silence has no number."""
    assert (decibels(1.0), round(decibels(0.5), 2), decibels(0.0)) == (0.0, -6.02, -math.inf)


def test_a_meter_a_channel() -> None:
    """Filled to the RMS, marked at the peak, in decibels below full scale."""
    lines = meters((0.25, 0.0), (0.5, 0.0), 5, 61, PLAIN)
    assert lines == [f"   L {'━' * 36}{'─' * 5}╸{'─' * 6}  -12 dB", f"   R {'─' * 48}    · dB"]
    assert meters((0.5,), (0.5,), 5, 61, PLAIN)[0].startswith("     ━")
    assert {columns(line) for line in lines} == {61}


def test_a_meter_that_has_no_room_is_none() -> None:
    """Narrow terminals do without."""
    assert meters((0.5, 0.5), (0.5, 0.5), 5, 20, PLAIN) == []


def test_loud_is_yellow_and_too_loud_is_red() -> None:
    """From 12 and 3 dB below full scale on; without its colours it is the plain one."""
    (line,) = meters((1.0,), (1.0,), 5, 80, Brush(colour=True))
    assert [style for style in re.findall(r"\x1b\[(\d+)m", line) if style in ("32", "33", "31")] == ["32", "33", "31"]
    assert [re.sub(r"\x1b\[\d+m", "", line)] == meters((1.0,), (1.0,), 5, 80, PLAIN)
    (soft,) = meters((0.1,), (0.1,), 5, 80, Brush(colour=True))
    assert "\x1b[31m" not in soft
