"""The drums.

Invariant tested: every drum ends in silence, and velocity and takes differ.
It must not know grooves.
"""

import numpy as np
import pytest

from gateway.upstream.simulator.music.drumkit import Drumkit

DRUMS = ["kick", "snare", "clap", "rim", "hat", "open", "ride", "crash", "shaker", "high tom", "low tom"]


@pytest.mark.parametrize("drum", DRUMS)
def test_a_stroke_is_clean(drum: str) -> None:
    """It ends at zero, is heard, and stays inside full scale."""
    stroke = Drumkit(1).hit(drum, 1.0)
    assert np.isfinite(stroke).all()
    assert np.abs(stroke[:, -1]).max() < 1e-6
    assert 0.1 < np.abs(stroke).max() < 1.7


def test_harder_is_louder() -> None:
    """Velocity is heard."""
    kit = Drumkit(1)
    assert np.abs(kit.hit("kick", 1.0)).max() > 1.5 * np.abs(kit.hit("kick", 0.5)).max()


def test_a_roll_alternates() -> None:
    """Two strokes in a row are two takes."""
    kit = Drumkit(1)
    assert not np.array_equal(kit.hit("snare", 1.0), kit.hit("snare", 1.0))


def test_drums_stand_in_their_places() -> None:
    """The hat is on the right, the kick in the middle."""
    kit = Drumkit(1)
    hat, kick = kit.hit("hat", 1.0), kit.hit("kick", 1.0)
    assert np.abs(hat[1]).max() > 1.5 * np.abs(hat[0]).max()
    assert np.allclose(kick[0], kick[1], atol=1e-5)
