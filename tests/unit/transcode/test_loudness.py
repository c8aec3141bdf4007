"""Tests of the live loudness control: songs of the simulator and made-up programmes, measured after R128.

Invariant under test: a song ends near its target, its quiet passages stay quiet, its peaks below -1 dBFS, and nothing
depends on slices. The tests know what is expected of a song that is heard for the first time.
"""

import random
from time import process_time

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.upstream.simulator.music.composer import compose
from gateway.upstream.simulator.music.synthesiser import Synthesiser
from tests.unit.transcode.test_meter import band, integrated
from transcode.errors import EncodeError
from transcode.loudness import Loudness

Sound = NDArray[np.float32]
CEILING = 10 ** (-1 / 20)


def levelled(sound: Sound, rate: int, target: float, sizes: tuple[int, ...] = (1152,)) -> Sound:
    loudness = Loudness(rate, len(sound), target)
    draw = random.Random(3)
    out, at = [], 0
    while at < sound.shape[1]:
        size = draw.choice(sizes)
        out.append(loudness.process(sound[:, at : at + size]))
        at += size
    out.append(loudness.flush())
    found = np.concatenate(out, axis=1)
    assert found.shape == sound.shape
    assert found.dtype == np.float32
    return found


def programme(rate: int, channels: int, *parts: tuple[float, float]) -> Sound:
    """Noise like music, in parts of (seconds, dBFS)."""
    pieces = [band(rate, seconds, level, channels, seed) for seed, (seconds, level) in enumerate(parts)]
    return np.concatenate(pieces, axis=1)


@pytest.fixture(scope="module", params=["a quiet lullaby by the sea, soft piano", "loud rock anthem, energetic drums"])
def song(request: pytest.FixtureRequest) -> Sound:
    """50 s of 44.1 kHz stereo."""
    heard: list[NDArray[np.int16]] = []
    for block in Synthesiser(compose(request.param)).blocks():
        heard.append(np.asarray(block))
        if sum(map(len, heard)) >= 50 * 44100:
            break
    return np.ascontiguousarray(np.concatenate(heard)[: 50 * 44100].T.astype(np.float32) / 32768)


@pytest.mark.parametrize("target", [-12.0, -16.0, -23.0])
def test_a_song_ends_at_its_target(song: Sound, target: float) -> None:
    """Within 1 LU, as a whole and without its first seconds, and with its peaks below the ceiling."""
    found = levelled(song, 44100, target)
    assert integrated(found, 44100) == pytest.approx(target, abs=1.0)
    assert integrated(found[:, 5 * 44100 :], 44100) == pytest.approx(target, abs=1.0)
    assert np.abs(found).max() <= CEILING * 1.000001


@pytest.mark.parametrize("level", [-6.0, -14.0, -22.0])
@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (8000, 1)])
def test_an_even_programme_ends_at_its_target(level: float, rate: int, channels: int) -> None:
    """However loud it came, within 1 LU after eight seconds."""
    found = levelled(programme(rate, channels, (20, level)), rate, -16.0)
    assert integrated(found[:, 8 * rate :], rate) == pytest.approx(-16.0, abs=1.0)
    assert np.abs(found).max() <= CEILING * 1.000001


def test_verses_stay_below_choruses() -> None:
    """Once two of each were heard, they are as far apart as they were, within 1.5 LU."""
    rate = 24000
    sound = programme(rate, 1, *[(8, -26), (8, -18)] * 4)
    found = levelled(sound, rate, -16.0)
    quiet, loud = (found[:, at * rate : (at + 6) * rate] for at in (49, 57))
    assert integrated(loud, rate) - integrated(quiet, rate) == pytest.approx(8.0, abs=1.5)
    assert integrated(found, rate) == pytest.approx(-16.0, abs=1.0)


def test_a_quiet_opening_does_not_wind_it_up() -> None:
    """After an opening 20 LU softer the band does not come in deafening, and is in its place within two seconds."""
    rate = 48000
    found = levelled(programme(rate, 2, (5, -38), (10, -14)), rate, -16.0)
    assert integrated(found[:, :rate], rate) < -30
    assert integrated(found[:, 5 * rate : 7 * rate], rate) < -10
    assert integrated(found[:, 7 * rate :], rate) == pytest.approx(-16.0, abs=1.5)


def test_silence_stays_silence() -> None:
    """Before, between and after sound; the gain does not move in it."""
    rate = 8000
    assert not levelled(np.zeros((2, 3 * rate), np.float32), rate, -10.0).any()
    loudness = Loudness(rate, 1, -10.0)
    loudness.process(programme(rate, 1, (3, -20)))
    gain = loudness.gain
    loudness.process(np.zeros((1, 20 * rate), np.float32))
    loudness.process(programme(rate, 1, (5, -65)))
    assert loudness.gain == pytest.approx(gain, abs=1.0)
    loudness.process(np.zeros((1, rate), np.float32))
    assert not loudness.process(np.zeros((1, rate), np.float32)).any()


def test_gains_are_bounded() -> None:
    """Near silence is not brought up by more than 12 dB, nor a roar down by more than 24; and both take their time."""
    loudness = Loudness(8000, 1, -10.0)
    gains = []
    for _ in range(250):
        loudness.process(band(8000, 0.1, -45.0, 1))
        gains.append(loudness.gain)
    assert gains[-1] == pytest.approx(12.0, abs=0.2)
    assert np.diff(gains).max() <= 0.2001
    loudness = Loudness(8000, 1, -40.0)
    for _ in range(50):
        loudness.process(band(8000, 0.1, -3.0, 1))
    assert loudness.gain == -24.0


def test_there_is_no_click() -> None:
    """In a low tone a step of the gain would be heard: no sample moves further than the tone itself does."""
    rate = 48000
    level = np.repeat([0.02, 0.6, 0.05, 0.3], 3 * rate)
    smooth = np.convolve(level, np.ones(4800) / 4800, "same")
    tone = (smooth * np.sin(2 * np.pi * 100 * np.arange(len(level)) / rate)).astype(np.float32).reshape(1, -1)
    found = levelled(tone, rate, -12.0)
    slope = CEILING * 2 * np.pi * 100 / rate
    assert np.abs(np.diff(found)).max() < slope * 1.05
    # The second difference of a tone is small, that of a step is the step.
    assert np.abs(np.diff(found, 2)).max() < 0.002


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (8000, 1)])
def test_slices_do_not_matter(rate: int, channels: int) -> None:
    """Sample for sample, over changes of the gain and limited peaks."""
    sound = programme(rate, channels, (1.5, -30), (1.5, -6), (0.5, -40))
    whole = levelled(sound, rate, -9.0, (1 << 30,))
    assert np.array_equal(levelled(sound, rate, -9.0, (0, 1, 7, 4799, 4801)), whole)
    assert np.array_equal(levelled(sound, rate, -9.0, (1152,)), whole)
    assert np.array_equal(levelled(sound[:, : rate // 4], rate, -9.0, (1,)), whole[:, : rate // 4])
    assert np.array_equal(levelled(np.asfortranarray(sound), rate, -9.0, (1000,)), whole)


def test_it_holds_back_five_milliseconds() -> None:
    """As it says itself; what comes out is in its place."""
    loudness = Loudness(48000, 2, -14.0)
    assert loudness.latency == 240
    sound = band(48000, 0.3, -20.0)
    found = loudness.process(sound)
    assert sound.shape[1] - found.shape[1] <= loudness.latency
    # The expected loudness is the target: the first blocks pass as they are.
    assert np.array_equal(found, sound[:, : found.shape[1]])


def test_flush_ends_it() -> None:
    """A second flush gives nothing, and no sample is taken any more."""
    loudness = Loudness(8000, 1, -14.0)
    loudness.process(np.ones((1, 5), np.float32))
    assert loudness.flush().shape == (1, 5)
    assert loudness.flush().shape == (1, 0)
    with pytest.raises(EncodeError, match="flushed"):
        loudness.process(np.ones((1, 3), np.float32))


def test_it_takes_as_long_at_the_end_as_at_the_beginning() -> None:
    """However much was heard before: a second costs no more than three times what the first ones cost.

    What one costs at all is for the bench to tell; a test cannot know how busy the machine is.
    """
    sound = programme(48000, 2, (4, -12))
    loudness = Loudness(48000, 2, -9.0)
    costs = []
    for _ in range(20):
        start = process_time()
        for at in range(0, sound.shape[1], 1152):
            loudness.process(sound[:, at : at + 1152])
        costs.append(process_time() - start)
    assert min(costs[-5:]) < 3 * min(costs[:5])
