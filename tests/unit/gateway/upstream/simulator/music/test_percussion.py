"""Grooves, fills and crashes.

Invariant tested: every groove and fill is one bar of drums that the kit has.
It must not know sound beyond the names.
"""

import random

import pytest

from gateway.upstream.simulator.music.drumkit import Drumkit
from gateway.upstream.simulator.music.mood import Style
from gateway.upstream.simulator.music.percussion import bar, crash, fill, has_drums

WITH_DRUMS = [style for style in Style if has_drums(style)]


@pytest.mark.parametrize("style", WITH_DRUMS)
@pytest.mark.parametrize("play", [bar, fill])
@pytest.mark.parametrize("energy", [0.3, 0.9])
def test_one_bar_of_known_drums(style: Style, play: object, energy: float) -> None:
    """Every stroke falls into its bar and names a drum that the kit has."""
    kit = Drumkit(1)
    assert callable(play)
    for seed in range(8):
        events = play(style, energy, 4.0, random.Random(seed))
        assert events
        assert all(4.0 <= event.beat < 8.0 and 0 < event.velocity <= 1 for event in events)
        assert all(kit.hit(event.sound, event.velocity).shape[0] == 2 for event in events)


def test_quiet_styles_have_no_drums() -> None:
    """Ambient and classical songs do without."""
    assert set(Style) - set(WITH_DRUMS) == {Style.AMBIENT, Style.CLASSICAL}


def test_a_crash_opens_a_section() -> None:
    """One stroke, on the beat, louder in louder sections."""
    assert crash(8.0, 0.5)[0].beat == 8.0
    assert crash(8.0, 0.5)[0].velocity < crash(8.0, 1.0)[0].velocity
