"""Room, leveller and limit.

Invariant tested: block by block is the same as at once, and nothing passes the limit.
It must not know notes.
"""

import numpy as np
import pytest

from gateway.upstream.simulator.music.mixdown import BLOCK, PEAK, Leveller, Room, limit


def test_the_room_is_a_convolution() -> None:
    """An impulse gives the response, wherever in a block it falls, across block borders."""
    first, second = Room(1.2, 3), Room(1.2, 3)
    early, late = np.zeros(4 * BLOCK, np.float32), np.zeros(4 * BLOCK, np.float32)
    early[0] = late[BLOCK - 7] = 1.0
    one = np.concatenate([first.sound(part) for part in early.reshape(4, BLOCK)], axis=1)
    two = np.concatenate([second.sound(part) for part in late.reshape(4, BLOCK)], axis=1)
    shift = BLOCK - 7
    assert np.abs(one[:, : 3 * BLOCK] - two[:, shift : shift + 3 * BLOCK]).max() < 1e-4
    assert np.abs(one).max() > 0.01


def test_the_room_dies() -> None:
    """After its time nothing is left."""
    room = Room(1.0, 3)
    impulse = np.zeros(BLOCK, np.float32)
    impulse[0] = 1.0
    silence = np.zeros(BLOCK, np.float32)
    blocks = [room.sound(impulse), *(room.sound(silence) for _ in range(3))]
    assert np.abs(blocks[3]).max() < 1e-6 < np.abs(blocks[0]).max()


@pytest.mark.parametrize("level", [0.02, 0.6])
def test_the_leveller_brings_music_near_its_target(level: float) -> None:
    """Too quiet is raised, too loud is lowered, within its reach."""
    leveller = Leveller(target=0.1)
    noise = np.random.default_rng(1).standard_normal((2, BLOCK)).astype(np.float32) * np.float32(level)
    for _ in range(40):
        leveller.apply(noise)
    out = leveller.apply(noise)
    before, after = abs(np.log(level / 0.1)), abs(np.log(np.sqrt(np.mean(out**2)) / 0.1))
    assert after < 0.65 * before


def test_gain_is_continuous_between_blocks() -> None:
    """The gain at a block's first sample is what it was at the last one's end."""
    leveller = Leveller()
    ones = np.full((2, BLOCK), 0.5, np.float32)
    one, two = leveller.apply(ones), leveller.apply(ones)
    assert abs(float(one[0, -1] - two[0, 0])) < 1e-4


def test_silence_does_not_raise_the_gain() -> None:
    """A pause is not a quiet passage."""
    leveller = Leveller()
    for _ in range(20):
        leveller.apply(np.zeros((2, BLOCK), np.float32))
    assert np.allclose(leveller.apply(np.full((2, BLOCK), 1e-3, np.float32)), 1e-3, rtol=0.01)


def test_nothing_passes_the_limit_and_little_is_touched_below_it() -> None:
    """Any level stays under the peak; what is below the knee is unchanged; order is kept."""
    ramp = np.linspace(-5, 5, 2001, dtype=np.float32)[None, :]
    out = limit(ramp)
    assert np.abs(out).max() <= PEAK
    quiet = np.abs(ramp) < 0.6
    assert np.array_equal(out[quiet], ramp[quiet])
    assert (np.diff(out[0]) >= 0).all()
