"""Tests of renumbering FLAC frames.

Invariant under test: what comes out is what an encoder would have made with that number. Golden truth is such an
encoder's own frames, and checksums computed the long way.
"""

import numpy as np
import pytest

from transcode.encoders.codec import Codec
from transcode.encoders.flacframe import renumbered


def crc(data: bytes, bits: int, polynomial: int) -> int:
    """The long way."""
    rest = 0
    for octet in data:
        for place in range(7, -1, -1):
            top = rest >> bits - 1 ^ octet >> place & 1
            rest = rest << 1 & (1 << bits) - 1
            rest ^= polynomial if top else 0
    return rest


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    """Three hundred frames of noise at a rate that has no code of its own."""
    noise = np.random.default_rng(1).normal(0, 3000, (1, 300 * 192)).astype(np.int16)
    codec = Codec("flac", 8001, 1, None, "s16", {"compression_level": "2"})
    return codec.encode(noise) + codec.finish()


@pytest.mark.parametrize("raised", [1, 100, 127, 128, 172])
def test_it_is_what_the_encoder_would_have_made(frames: list[bytes], raised: int) -> None:
    """The number apart, two encoders' frames of the same noise are alike: so it is put to frame n and taken away."""
    silence = Codec("flac", 44100, 1, None, "s16", {"compression_level": "2"})
    same = silence.encode(np.zeros((1, 1152 * 300), dtype=np.int16)) + silence.finish()
    for number in (0, 1, 27, 127, 128 - min(raised, 128)):
        if number + raised < 299:
            assert renumbered(same[number], raised) == same[number + raised]


@pytest.mark.parametrize(
    "first", [1, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x1FFFFF, 0x200000, 0x3FFFFFF, 1 << 30]
)
def test_checksums_are_right_for_numbers_of_any_length(frames: list[bytes], first: int) -> None:
    """Both of them, and the samples' part is not touched."""
    for frame in (frames[0], frames[200], frames[-1]):
        made = renumbered(frame, first)
        length = 1 if made[4] < 0x80 else 8 - (made[4] ^ 0xFF).bit_length()
        extras = {6: 1, 7: 2}.get(made[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(made[2] & 15, 0)
        header = 4 + length + extras
        assert made[header] == crc(made[:header], 8, 0x07)
        assert int.from_bytes(made[-2:], "big") == crc(made[:-2], 16, 0x8005)
        assert made[-100:-2] == frame[-100:-2]
        value = made[4] if length == 1 else made[4] & (0x7F >> length)
        for octet in made[5 : 4 + length]:
            assert octet & 0xC0 == 0x80
            value = value << 6 | octet & 0x3F
        assert value - first in (0, 200, 299)


def test_nothing_raised_is_nothing_changed(frames: list[bytes]) -> None:
    """By zero it is the frame itself."""
    assert all(renumbered(frame, 0) == frame for frame in frames)
