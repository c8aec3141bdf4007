"""Tests of the loudness of whole clips, measured by FFmpeg.

Invariant under test: a clip has its target's loudness within 0.2 LU and its peaks below -1 dBFS; one gain, no length
lost, silence untouched, and a loop's ends still meet. The tests know nothing of how it is measured.
"""

from math import inf

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.transcode.test_meter import band, integrated
from transcode.normalise import loudness, normalised

CEILING = 10 ** (-1 / 20)


def pcm(sound: NDArray[np.float32]) -> bytes:
    return (sound * 32767).clip(-32768, 32767).round().astype("<i2").T.tobytes()


def sound(data: bytes, channels: int) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.frombuffer(data, "<i2").reshape(-1, channels).T.astype(np.float32) / 32768)


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (44100, 2), (8000, 1)])
@pytest.mark.parametrize("level", [-34.0, -20.0])
@pytest.mark.parametrize("target", [-16.0, -30.0])
def test_a_clip_has_its_loudness(rate: int, channels: int, level: float, target: float) -> None:
    """Quiet and loud, up and down, with a soft passage that does not count."""
    parts = [band(rate, 3, level, channels), band(rate, 2, level - 30, channels), band(rate, 3, level + 2, channels)]
    data = pcm(np.concatenate(parts, axis=1))
    made = normalised(data, rate, channels, target)
    assert len(made) == len(data)
    found = sound(made, channels)
    assert integrated(found, rate) == pytest.approx(target, abs=0.2)
    assert loudness(made, rate, channels) == pytest.approx(target, abs=0.2)
    assert np.abs(found).max() <= CEILING * 1.0001


def test_what_the_limiter_takes_is_given_back() -> None:
    """Music with high peaks, brought up to where they do not fit any more."""
    quiet = band(48000, 6, -24.0)
    quiet[:, ::4800] *= 3
    made = sound(normalised(pcm(quiet), 48000, 2, -12.0), 2)
    assert integrated(made, 48000) == pytest.approx(-12.0, abs=0.3)
    assert np.abs(made).max() <= CEILING * 1.0001


def test_one_gain_for_all() -> None:
    """What was 12 dB softer still is."""
    parts = np.concatenate([band(24000, 2, -20.0, 1), band(24000, 2, -32.0, 1)], axis=1)
    made = sound(normalised(pcm(parts), 24000, 1, -23.0), 1)
    ratio = made / np.where(np.abs(parts) > 0.01, parts, np.nan)
    assert np.nanmax(ratio) / np.nanmin(ratio) < 1.02


@pytest.mark.parametrize("count", [1, 100, 799, 801, 3199])
def test_a_blip_has_the_loudness_of_all_of_it(count: int) -> None:
    """Less than 400 ms is no block of R128; it still gets about what it is asked for."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(count) / 8000 + 1).astype(np.float32).reshape(1, -1) * np.float32(0.01)
    made = normalised(pcm(tone), 8000, 1, -23.0)
    assert len(made) == 2 * count
    if count >= 100:
        rms = np.sqrt(np.mean(sound(made, 1) ** 2))
        assert 20 * np.log10(rms) == pytest.approx(-23.0, abs=1.5)


def test_silence_stays_silence() -> None:
    """And noise of the last bit is not brought up beyond 24 dB."""
    assert normalised(bytes(8000), 8000, 1, -16.0) == bytes(8000)
    assert normalised(b"", 8000, 2, -16.0) == b""
    assert loudness(bytes(8000), 8000, 1) == -inf
    noise = np.random.default_rng(1).integers(-8, 9, 16000).astype("<i2")
    made = np.frombuffer(normalised(noise.tobytes(), 8000, 1, -16.0), "<i2")
    assert np.abs(made).max() <= 8 * 16


def test_a_limited_loop_meets_itself() -> None:
    """A peak at the very end is limited on both sides of the seam, with no step of the gain there."""
    tone = 0.3 * np.sin(2 * np.pi * 100 * np.arange(16000) / 8000)
    tone[-40:] *= 3
    data = pcm(tone.astype(np.float32).reshape(1, -1))
    made = np.frombuffer(normalised(data, 8000, 1, -8.0, loop=True), "<i2").astype(float)
    gain = made / np.where(np.abs(tone) > 0.1, tone, np.nan)
    ends = gain[np.r_[-30:0, 0:30]]
    assert np.nanmax(np.abs(np.diff(ends[~np.isnan(ends)]))) < np.nanmax(gain) * 0.15
    assert np.nanmean(gain[:30]) < 0.6 * np.nanmax(gain)
