"""The position-coded scale.

Invariant tested: every half second can be told from every other, and steps join without a click.
It must not know encodings.
"""

from itertools import pairwise

import numpy as np
import pytest

from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.scale import STEPS, blocks, pitch

HALF = SAMPLE_RATE // 2


def test_every_step_has_its_pitch() -> None:
    """At least 120 pitches, all different, and then the same again."""
    assert len({pitch(step) for step in range(STEPS)}) == STEPS >= 120
    assert pitch(STEPS + 3) == pitch(3)


def test_the_sound_has_the_pitch() -> None:
    """The spectrum of each half second has its peak exactly where `pitch` says."""
    for step, block in enumerate(blocks(12.0)):
        assert int(np.abs(np.fft.rfft(block[:, 0])).argmax()) * 2 == pitch(step)


def test_neighbours_are_told_apart_in_50_ms() -> None:
    """The number of zero crossings in any 50 ms differs from that of the next half second."""
    music = np.concatenate(list(blocks(10.0)))[:, 0] >= 0
    crossings = [
        int((music[at : at + 2400][1:] != music[at : at + 2400][:-1]).sum()) for at in range(12000, 240000, HALF)
    ]
    assert all(after > before for before, after in pairwise(crossings))


def test_the_level_never_changes_and_nothing_clicks() -> None:
    """Each half second is as loud as the others, and no step between samples is steeper than the tone itself."""
    whole = np.concatenate(list(blocks(8.0)))
    levels = [np.sqrt(np.mean(part.astype(float) ** 2)) for part in whole.reshape(-1, HALF, 2)]
    assert max(levels) - min(levels) < 2
    steepest = 2 * np.pi * pitch(15) / SAMPLE_RATE * np.abs(whole).max()
    assert np.abs(np.diff(whole.astype(int), axis=0)).max() <= steepest + 2


@pytest.mark.parametrize("seconds", [0.1, 0.5, 7.77])
def test_it_lasts_as_long_as_asked(seconds: float) -> None:
    """The number of samples is that of the time asked for, in stereo."""
    assert np.concatenate(list(blocks(seconds))).shape == (round(seconds * SAMPLE_RATE), 2)


def test_a_low_rate_holds_fewer_pitches() -> None:
    """None is above what the rate can hold, and still the first minute has each pitch once."""
    pitches = [pitch(step, 8000) for step in range(STEPS)]
    assert max(pitches) < 3600
    assert len(set(pitches[:120])) == 120
    assert [pitch(step, 16000) for step in range(STEPS)] == [pitch(step) for step in range(STEPS)]
