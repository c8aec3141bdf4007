"""Tests of the framer of PCM without a header.

Invariant under test: joined, frames are the input in whole sample blocks, whatever the slicing.
Golden truth is the input itself.
"""

import random

import pytest

from transcode.formats import PCM, CodecFrame, StreamFormat
from transcode.rawframer import RawFramer


@pytest.mark.parametrize("channels", [1, 2])
def test_any_slicing(channels: int) -> None:
    """Each frame is whole sample blocks and says how many; a part of one at the end is dropped."""
    framer = RawFramer(StreamFormat(PCM, 24000, channels, None))
    assert framer.codec == "pcm_s16le"
    assert framer.format.sample_rate == 24000
    data, draw = random.Random(1).randbytes(4001), random.Random(2)
    frames, at = [], 0
    while at < len(data):
        size = draw.choice((0, 1, 2, 3, 50))
        frames += framer.feed(data[at : at + size])
        at += size
    assert framer.flush() == []
    assert b"".join(frame.data for frame in frames) == data[:4000]
    assert all(len(frame.data) == 2 * channels * frame.samples > 0 for frame in frames)


def test_everything_comes_at_once() -> None:
    """What is whole waits for nothing."""
    framer = RawFramer(StreamFormat(PCM, 8000, 1, None))
    assert framer.feed(b"abcde") == [CodecFrame(b"abcd", 2)]
    assert framer.feed(b"f") == [CodecFrame(b"ef", 1)]
