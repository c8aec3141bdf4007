"""Where the parts of an MP3 frame's side information stand, against real encodes.

Invariant under test: what is read there adds up to the frames' own sizes, in every version and with either number of
channels. It must not know what the parts are read for.
"""

import numpy as np
import pytest

from tests.unit.transcode.test_fade import cut, mp3
from transcode.mp3header import parse_header
from transcode.sideinfo import LENGTH_BITS, parts, start_of


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [48000, 44100, 22050, 8000])
def test_the_lengths_fit_into_the_frames(rate: int, channels: int) -> None:
    """Without a reservoir the coded sound of a frame lies in it, and fills most of a noisy one."""
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, (channels, rate))
    _, frames = cut(mp3(noise, rate, channels, reservoir=False))
    filled = []
    for frame in frames[2:-2]:
        header = parse_header(frame.data)
        assert header is not None
        start, size = start_of(frame.data), header.kind.side_info
        side, bits = int.from_bytes(frame.data[start : start + size], "big"), 8 * size
        coded = sum(side >> bits - part - LENGTH_BITS & 0xFFF for part in parts(header.kind)) / 8
        assert 0 < coded <= header.size - start - size
        filled.append(coded / (header.size - start - size))
    assert np.mean(filled) > 0.8
