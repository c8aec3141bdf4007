"""Tests of changing rate and channels.

Invariant under test: samples out depend on samples in, not on how they were cut; their number is exact; pitch, level
and place of the sound stay. Golden truth is a sine, of which every sample is known at every rate.
"""

import os
import random

import numpy as np
import pytest
from numpy.typing import NDArray

from transcode.remix import Remix, resampled
from transcode.samples import Block

RATES = [(48000, 8000), (44100, 48000), (48000, 44100), (24000, 48000), (22050, 16000), (44101, 48000), (96000, 24000)]


def sine(rate: int, count: int) -> NDArray[np.float32]:
    """(count,) samples of 1 kHz at half of full scale."""
    return (np.sin(2 * np.pi * 1000 * np.arange(count) / rate) / 2).astype(np.float32)


def remixed(block: Block, form: tuple[int, int, int, int], sizes: tuple[int, ...] = (1 << 30,)) -> Block:
    """All of it in pieces of random ones of `sizes`."""
    remix = Remix(*form)
    draw = random.Random(3)
    out, at = [], 0
    while at < block.shape[1]:
        size = draw.choice(sizes)
        out.append(remix.feed(block[:, at : at + size]))
        at += size
    return np.concatenate([*out, remix.flush()], axis=1)


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_sine_stays_where_and_what_it_is(source: int, target: int) -> None:
    """Every sample but those next to the ends is that of the same sine at the other rate."""
    found = remixed(np.stack([sine(source, source), -sine(source, source)]), (source, 2, target, 2))
    assert found.shape == (2, target)
    middle = slice(target // 100, -target // 100)
    for row, sign in zip(found, (1, -1), strict=True):
        assert np.abs(row[middle] * sign - sine(target, target)[middle]).max() < 1e-3


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("channels", [(1, 1), (2, 1), (1, 2)])
def test_cuts_do_not_matter(source: int, target: int, channels: tuple[int, int]) -> None:
    """Pieces of any size, some of them empty, give what one piece gives."""
    noise = np.random.default_rng(1).normal(0, 0.2, (channels[0], 2400)).astype(np.float32)
    form = (source, channels[0], target, channels[1])
    whole = remixed(noise, form)
    for sizes in ((0, 1, 3, 50), (1,), (1001, 7)):
        assert np.array_equal(remixed(noise, form, sizes), whole)


def test_lengths_are_to_the_nearest() -> None:
    """A half is a whole."""
    assert [resampled(count, 48000, 24000) for count in range(4)] == [0, 1, 1, 2]
    assert [resampled(count, 44100, 48000) for count in (1, 147, 44100)] == [1, 160, 48000]


@pytest.mark.parametrize(("source", "target"), RATES)
def test_the_length_is_exact(source: int, target: int) -> None:
    """From one sample on, shorter than any filter, the length is the ratio's, rounded."""
    for count in (1, 2, 17, 1000):
        found = remixed(np.full((1, count), 0.3, dtype=np.float32), (source, 1, target, 1))
        assert found.shape == (1, int(count * target / source + 0.5))
        assert resampled(count, source, target) == found.shape[1]


def test_two_channels_become_their_mean() -> None:
    """At the same rate and at another one, exactly; 16-bit samples become floats rather than be rounded."""
    block = np.stack([np.full(3000, 1000), np.full(3000, 2001)]).astype(np.int16)
    assert set(remixed(block, (44100, 2, 44100, 1))[0].tolist()) == {1500.5 / 32768}
    assert remixed(block, (44100, 2, 16000, 1))[0, 500] == pytest.approx(1500.5 / 32768, rel=1e-4)


def test_one_channel_becomes_two_alike() -> None:
    """With the level that it had."""
    block = sine(24000, 4800)[np.newaxis]
    assert np.array_equal(remixed(block, (24000, 1, 24000, 2)), np.repeat(block, 2, axis=0))
    other = remixed(block, (24000, 1, 48000, 2))
    assert np.array_equal(other[0], other[1])
    assert np.abs(other).max() == pytest.approx(0.5, rel=0.02)


def test_equal_ends_pass_through() -> None:
    """The very block, 16-bit or not."""
    block = np.zeros((2, 10), dtype=np.int16)
    remix = Remix(48000, 2, 48000, 2)
    assert remix.feed(block) is block
    assert remix.flush().shape == (2, 0)


def test_it_lags_little() -> None:
    """After one millisecond of input there is output, for a rate near the other."""
    assert Remix(44100, 2, 48000, 2).feed(np.zeros((2, 44), dtype=np.float32)).shape[1] > 0


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted where Linux lists them")
def test_no_thread_is_started() -> None:
    """Any number at work is one thread, this one."""
    before = len(os.listdir("/proc/self/task"))
    working = [Remix(48000, 2, 24000, 1) for _ in range(8)]
    for remix in working:
        remix.feed(np.zeros((2, 4800), dtype=np.float32))
    assert len(os.listdir("/proc/self/task")) == before
