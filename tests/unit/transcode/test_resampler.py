"""Tests of the resampler.

Invariant under test: samples out depend on samples in, not on slices; their number is exact; pitch, level and place of
the sound stay. Golden truth is a sine, of which every sample is known at every rate.
The tests know nothing of filters.
"""

import os
import random

import numpy as np
import pytest
from numpy.typing import NDArray

from transcode.errors import EncodeError
from transcode.resampler import Resampler

RATES = [
    (48000, 8000),
    (48000, 22050),
    (48000, 24000),
    (44100, 48000),
    (22050, 16000),
    (8000, 48000),
    (24000, 44100),
    (44101, 48000),
    (8000, 192000),
    (48000, 48000),
]


def sine(rate: int, count: int, hertz: float = 1000.0) -> NDArray[np.float64]:
    """(count,) samples at half of full scale."""
    wave: NDArray[np.float64] = np.sin(2 * np.pi * hertz * np.arange(count) / rate) * 16000
    return wave


def pcm(*sides: NDArray[np.float64]) -> bytes:
    return np.stack(sides, axis=1).round().astype("<i2").tobytes()


def resampled(data: bytes, form: tuple[int, int, int, int], sizes: tuple[int, ...] = (1 << 30,)) -> NDArray[np.int16]:
    """All of it in slices of random ones of `sizes`: (n, channels)."""
    resampler = Resampler(*form)
    draw = random.Random(3)
    out, at = [], 0
    while at < len(data):
        size = draw.choice(sizes)
        out.append(resampler.feed(data[at : at + size]))
        at += size
    out.append(resampler.flush())
    return np.frombuffer(b"".join(out), dtype="<i2").reshape(-1, form[3])


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_sine_stays_where_and_what_it_is(source: int, target: int) -> None:
    """Every sample but those next to the ends is that of the same sine at the other rate, 85 dB above what is wrong."""
    found = resampled(pcm(sine(source, source), -sine(source, source)), (source, 2, target, 2))
    expected = sine(target, target)
    assert found.shape == (target, 2)
    middle = slice(target // 100, -target // 100)
    for side, sign in enumerate((1, -1)):
        wrong = found[middle, side] * sign - expected[middle]
        assert np.sqrt(np.mean(wrong**2)) < 16000 / np.sqrt(2) * 10 ** (-85 / 20)


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("channels", [(1, 1), (2, 2), (2, 1), (1, 2)])
def test_slices_do_not_matter(source: int, target: int, channels: tuple[int, int]) -> None:
    """Slices of any size, cut within samples and some of them empty, give the bytes that one slice gives."""
    noise = np.random.default_rng(1).normal(0, 6000, 1200).clip(-32768, 32767)
    data = pcm(*[noise[side * 600 :][:600] for side in range(channels[0])])
    form = (source, channels[0], target, channels[1])
    whole = resampled(data, form)
    assert np.array_equal(resampled(data, form, (0, 1, 3, 5, 50)), whole)
    assert np.array_equal(resampled(data, form, (1,)), whole)
    assert np.array_equal(resampled(data, form, (1001, 7)), whole)


@pytest.mark.parametrize(("source", "target"), RATES)
def test_the_length_is_exact(source: int, target: int) -> None:
    """From one sample on, shorter than any filter, the length is the ratio's, rounded."""
    for count in (1, 2, 3, 17, 33, 1000):
        found = resampled(pcm(np.full(count, 9000.0)), (source, 1, target, 1))
        assert len(found) == int(count * target / source + 0.5)


def test_two_channels_become_their_mean() -> None:
    """At the same rate and at another one, neither louder nor softer."""
    data = pcm(np.full(2000, 10000.0), np.full(2000, 20000.0))
    assert set(resampled(data, (44100, 2, 44100, 1))[:, 0].tolist()) == {15000}
    assert resampled(data, (44100, 2, 16000, 1))[300, 0] == pytest.approx(15000, abs=2)


def test_one_channel_becomes_two_alike() -> None:
    """With the level that it had."""
    data = pcm(sine(24000, 4800))
    assert np.array_equal(
        resampled(data, (24000, 1, 24000, 2)), resampled(data, (24000, 1, 24000, 1)).repeat(2, axis=1)
    )
    other = resampled(data, (24000, 1, 48000, 2))
    assert np.array_equal(other[:, 0], other[:, 1])
    assert np.abs(other).max() == pytest.approx(16000, rel=0.02)


def test_what_the_lower_rate_cannot_hold_is_gone() -> None:
    """6 kHz has no place at 8 kHz, and does not come back as 2."""
    found = resampled(pcm(sine(48000, 48000, 6000.0)), (48000, 1, 8000, 1))
    assert np.abs(found[100:-100]).max() < 16


def test_equal_ends_pass_through() -> None:
    """The very bytes, at once; only a cut sample waits for its other part."""
    resampler = Resampler(24000, 2, 24000, 2)
    data = bytes(range(200)) * 2
    assert resampler.feed(data) == data
    assert resampler.feed(b"abcde") == b"abcd"
    assert resampler.feed(b"fgh") == b"efgh"
    assert resampler.feed(b"ab") == b""
    assert resampler.flush() == b""


def test_it_lags_little() -> None:
    """After one millisecond of input there is output, for a rate near the other."""
    assert Resampler(44100, 2, 48000, 2).feed(bytes(4 * 44)) != b""


@pytest.mark.parametrize("form", [(44100, 2, 48000, 1), (44100, 2, 44100, 2)])
def test_flush_ends_it(form: tuple[int, int, int, int]) -> None:
    """After flush another flush gives nothing and feed is refused."""
    resampler = Resampler(*form)
    out = resampler.feed(bytes(4 * 441)) + resampler.flush()
    assert len(out) == 2 * form[3] * form[2] // 100
    assert resampler.flush() == b""
    with pytest.raises(EncodeError, match="flushed"):
        resampler.feed(b"\0\0\0\0")


def test_nothing_in_nothing_out() -> None:
    """Without a whole sample there is none."""
    resampler = Resampler(44100, 2, 8000, 1)
    assert resampler.feed(b"") + resampler.feed(b"abc") + resampler.flush() == b""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted where Linux lists them")
def test_no_thread_is_started() -> None:
    """Any number of resamplers at work is one thread, this one."""
    before = len(os.listdir("/proc/self/task"))
    working = [Resampler(48000, 2, 24000, 1) for _ in range(8)]
    for resampler in working:
        resampler.feed(bytes(40000))
    assert len(os.listdir("/proc/self/task")) == before


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ((0, 2, 48000, 2), "at 0 Hz"),
        ((48000, 2, -1, 2), "at -1 Hz"),
        ((48000, 2, 200000, 2), "200000 Hz, only at 8000 to 192000 Hz"),
        ((48000, 0, 48000, 1), "channels here, not 0"),
        ((48000, 2, 48000, 6), "channels here, not 6"),
    ],
)
def test_impossible_parameters(form: tuple[int, int, int, int], says: str) -> None:
    """What is refused is named."""
    with pytest.raises(EncodeError, match=says):
        Resampler(*form)
