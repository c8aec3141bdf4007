"""Tests of the limiter.

Invariant under test: no sample above the ceiling, no step in the gain, the same samples for any slicing, and nothing
changed where there is nothing to limit. The tests know the ceiling, and that 5 ms are held back.
"""

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from transcode.errors import EncodeError
from transcode.limiter import Limiter

Sound = NDArray[np.float32]
CEILING = 10 ** (-1 / 20)


def limited(sound: Sound, rate: int, sizes: tuple[int, ...] = (1 << 30,)) -> Sound:
    limiter = Limiter(rate, len(sound))
    draw = random.Random(3)
    out, at = [], 0
    while at < sound.shape[1]:
        size = draw.choice(sizes)
        out.append(limiter.process(sound[:, at : at + size]))
        at += size
    out.append(limiter.flush())
    return np.concatenate(out, axis=1)


def noise(count: int, level: float, channels: int = 2) -> Sound:
    sound = np.random.default_rng(2).normal(0, level, (channels, count))
    return sound.astype(np.float32)


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (44100, 1), (8000, 1), (11025, 2)])
def test_no_peak_is_left(rate: int, channels: int) -> None:
    """From the first sample to the last, be the input twice full scale."""
    sound = noise(rate, 0.7, channels)
    sound[:, 0] = sound[:, -1] = -2.0
    found = limited(sound, rate)
    assert found.shape == sound.shape
    assert np.abs(found).max() <= CEILING * 1.000001
    # It is limited, not cut off: what is left keeps its sign and most of its size.
    assert np.sqrt(np.mean(found**2)) > 0.2
    assert (found * sound >= 0).all()


def test_what_is_below_the_ceiling_is_untouched() -> None:
    """Sample for sample, in its place; silence too."""
    quiet = noise(20000, 0.1).clip(-0.7, 0.7)
    assert np.array_equal(limited(quiet, 44100), quiet)
    assert not limited(np.zeros((1, 999), np.float32), 8000).any()


@pytest.mark.parametrize("rate", [48000, 8000])
def test_slices_do_not_matter(rate: int) -> None:
    """Loud and soft passages, cut anywhere, give the very same samples."""
    sound = noise(rate // 2, 0.3) * np.repeat([0.1, 1.0, 3.0, 0.2, 2.0], rate // 10).astype(np.float32)
    whole = limited(sound, rate)
    assert np.array_equal(limited(sound, rate, (0, 1, 7, 50)), whole)
    assert np.array_equal(limited(sound, rate, (1,)), whole)
    assert np.array_equal(limited(sound, rate, (1152, 3)), whole)


def test_the_gain_has_no_step() -> None:
    """A burst in a tone: the tone is drawn down within the look-ahead and let go slowly, without a jump."""
    tone = np.full((1, 48000), 0.5, np.float32)
    tone[0, 24000:24010] = 2.0
    found = limited(tone, 48000)
    gain = (found / tone)[0]
    assert gain[24000:24010].max() <= CEILING / 2 * 1.000001
    assert np.abs(np.diff(gain)).max() < 0.006
    assert gain[: 24000 - 5 * 48].min() == 1.0
    assert gain[24000 + 4800] < 0.9
    assert gain[24000 + 14400] == 1.0


def test_peaks_between_samples_count() -> None:
    """A sine at a quarter of the rate hides its peaks between the samples: 0.95 would really be 1.34."""
    sine = (1.34 * np.sin(np.pi / 2 * np.arange(4800) + np.pi / 4)).astype(np.float32).reshape(1, -1)
    found = limited(sine, 48000)
    assert np.abs(found[0, 480:-480]).max() < 0.8


def test_it_holds_back_five_milliseconds() -> None:
    """No more than its latency is ever missing, and all of it comes in the end."""
    limiter = Limiter(48000, 2)
    assert limiter.latency == 5 * 48
    given = 0
    for count in range(1, 200):
        given += limiter.process(noise(count, 0.5)).shape[1]
        assert 0 <= count * (count + 1) // 2 - given <= limiter.latency
    assert given + limiter.flush().shape[1] == 199 * 200 // 2


def test_flush_ends_it() -> None:
    """A second flush gives nothing, and no sample is taken any more; nothing in, nothing out."""
    limiter = Limiter(8000, 1)
    limiter.process(np.ones((1, 3), np.float32))
    assert limiter.flush().shape == (1, 3)
    assert limiter.flush().shape == (1, 0)
    with pytest.raises(EncodeError, match="flushed"):
        limiter.process(np.ones((1, 3), np.float32))
    assert Limiter(8000, 2).flush().shape == (2, 0)
