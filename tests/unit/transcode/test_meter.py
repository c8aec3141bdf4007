"""Tests of the loudness meter, against FFmpeg's ebur128 and the numbers that BS.1770 itself gives.

Invariant under test: the integrated loudness is R128's, at every rate, and what is no sound counts for nothing.
The tests know nothing of spectra.
"""

from math import inf

import av
import numpy as np
import pytest
from av.filter import Graph
from numpy.typing import NDArray

from transcode.meter import BLOCK, Programme, Weighting, lufs, power

Sound = NDArray[np.float32]


def integrated(sound: Sound, rate: int) -> float:
    """What FFmpeg says of (channels, n) samples."""
    layout = "mono" if len(sound) == 1 else "stereo"
    graph = Graph()
    graph.threads = 1
    source = graph.add_abuffer(sample_rate=rate, format="fltp", layout=layout)
    graph.link_nodes(source, graph.add("ebur128", "metadata=1"), graph.add("abuffersink"))
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=layout)
    frame.sample_rate = rate
    graph.push(frame)
    graph.push(None)
    found = -inf
    while True:
        try:
            found = float(graph.pull().metadata.get("lavfi.r128.I", found))
        except EOFError:
            return found


def measured(sound: Sound, rate: int) -> float:
    weighting, programme = Weighting(rate), Programme()
    starts = range(0, sound.shape[1] - weighting.hop + 1, weighting.hop)
    powers = [weighting.power(sound[:, at : at + weighting.hop]) for at in starts]
    for at in range(BLOCK, len(powers) + 1):
        programme.add(sum(powers[at - BLOCK : at]) / BLOCK)
    return programme.loudness()


def band(rate: int, seconds: float, level: float, channels: int = 2, seed: int = 1) -> Sound:
    """Noise that falls by 3 dB an octave, as music does, at about `level` dBFS."""
    count = int(rate * seconds)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal((channels, count)))
    spectrum[:, 1:] /= np.sqrt(np.arange(1, spectrum.shape[1]))
    spectrum[:, 0] = 0
    noise = np.fft.irfft(spectrum, count)
    return (noise / noise.std() * 10 ** (level / 20)).astype(np.float32)


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (44100, 2), (24000, 1), (11025, 2), (8000, 1)])
def test_it_reads_what_ffmpeg_reads(rate: int, channels: int) -> None:
    """Loud and soft passages and a pause: within 0.1 LU."""
    parts = [band(rate, 4, level, channels, seed) for seed, level in enumerate((-20, -28, -45, -14))]
    sound = np.concatenate([*parts, np.zeros((channels, rate), np.float32)], axis=1)
    assert measured(sound, rate) == pytest.approx(integrated(sound, rate), abs=0.1)


@pytest.mark.parametrize("hertz", [60.0, 997.0, 3000.0, 10000.0])
def test_a_sine_is_weighted(hertz: float) -> None:
    """Low tones count for less, high ones for more, as in FFmpeg's filters."""
    sine = (0.1 * np.sin(2 * np.pi * hertz * np.arange(48000 * 3) / 48000)).astype(np.float32).reshape(1, -1)
    assert measured(sine, 48000) == pytest.approx(integrated(sine, 48000), abs=0.15)


def test_the_reference_tone() -> None:
    """BS.1770: 997 Hz at full scale in one channel is -3.01 LUFS, in two alike 0."""
    sine = np.sin(2 * np.pi * 997 * np.arange(48000) / 48000).astype(np.float32).reshape(1, -1)
    assert measured(sine, 48000) == pytest.approx(-3.01, abs=0.05)
    assert measured(np.repeat(sine, 2, axis=0), 48000) == pytest.approx(0.0, abs=0.05)


def test_what_is_no_sound_has_no_power() -> None:
    """Silence, a constant, and what is not a number."""
    weighting = Weighting(8000)
    assert weighting.power(np.zeros((2, 800), np.float32)) == 0.0
    assert lufs(weighting.power(np.full((2, 800), 0.5, np.float32))) < -100
    assert weighting.power(np.full((1, 800), np.nan, np.float32)) == 0.0
    assert lufs(0.0) == -inf
    assert lufs(power(-23.0)) == pytest.approx(-23.0)


def test_gates() -> None:
    """Below the floor nothing counts; 10 LU below the mean what was counted counts no more."""
    programme = Programme(floor=-50.0)
    assert not programme.add(power(-50.5))
    assert programme.loudness() == -inf
    assert programme.add(power(-40.0))
    assert programme.loudness() == pytest.approx(-40.0)
    programme.add(power(-20.0))
    assert programme.loudness() == pytest.approx(-20.0)
    assert programme.blocks == 2


def test_an_expectation_counts_as_sound() -> None:
    """With as many blocks expected as heard, the power is in the middle; with none, it is what is expected."""
    programme = Programme()
    assert programme.loudness(power(-14.0), 20.0) == pytest.approx(-14.0)
    for _ in range(20):
        programme.add(power(-20.0))
    assert programme.loudness(power(-14.0), 20.0) == pytest.approx(lufs((power(-14.0) + power(-20.0)) / 2))
