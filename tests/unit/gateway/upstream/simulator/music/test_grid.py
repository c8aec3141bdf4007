"""Beats and seconds.

Invariant tested: time never runs backwards, and swing and ritardando do what they say.
It must not know notes.
"""

import pytest

from gateway.upstream.simulator.music.grid import BAR, Grid


def test_straight_time() -> None:
    """At 120 beats a minute a beat takes half a second."""
    grid = Grid(120, 0.0, 1000)
    assert [grid.seconds(beat) for beat in (0, 1, 2.5)] == [0, 0.5, 1.25]


def test_swing_delays_the_off_beat_alone() -> None:
    """The half of the beat comes late; whole beats stay where they are."""
    grid = Grid(60, 0.1, 1000)
    assert grid.seconds(3) == 3
    assert grid.seconds(3.5) == pytest.approx(3.6)


def test_the_end_slows_down() -> None:
    """The last bar takes longer than the one before it."""
    grid = Grid(60, 0.0, 16)
    assert grid.seconds(16) - grid.seconds(12) > grid.seconds(12) - grid.seconds(8) == BAR


@pytest.mark.parametrize("swing", [0.0, 0.15])
def test_time_never_runs_backwards(swing: float) -> None:
    """Later beats come later, through swing and ritardando."""
    grid = Grid(97, swing, 16)
    times = [grid.seconds(step / 16) for step in range(24 * 16)]
    assert times == sorted(set(times))
