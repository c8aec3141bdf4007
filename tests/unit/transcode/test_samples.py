"""Tests of blocks of samples.

Invariant under test: every change of form is to the nearest value, clips, and loses nothing where nothing must be lost.
Golden truth is arithmetic on a few samples.
"""

import numpy as np

from transcode.samples import LOUDEST, as_float, as_s16, from_s16le, limited, to_s16le


def test_bytes_are_interleaved_and_blocks_planar() -> None:
    """There and back they are the same bytes, for any number of samples."""
    pcm = np.arange(-6, 6, dtype="<i2").tobytes()
    block = from_s16le(pcm, 2)
    assert block.tolist() == [[-6, -4, -2, 0, 2, 4], [-5, -3, -1, 1, 3, 5]]
    assert to_s16le(block) == pcm
    assert to_s16le(as_float(block)) == pcm
    assert from_s16le(b"", 2).shape == (2, 0)
    assert to_s16le(from_s16le(b"", 1)) == b""


def test_all_16_bit_samples_survive_being_floats() -> None:
    """Full scale is 1, and the way back ends where it began."""
    block = np.arange(-32768, 32768).astype(np.int16).reshape(2, -1)
    floats = as_float(block)
    assert floats.dtype == np.float32
    assert floats.min() == -1.0
    assert np.array_equal(as_s16(floats), block)


def test_rounding_is_to_the_nearest_and_clips() -> None:
    """Also below zero, where cutting would go the wrong way."""
    floats = np.array([[0.4, 0.6, -0.4, -0.6, 40000.0, -40000.0, 1e30]], dtype=np.float32) / 32768
    assert as_s16(floats).tolist() == [[0, 1, 0, -1, 32767, -32768, 32767]]


def test_what_is_right_already_is_not_copied() -> None:
    """A block of the right kind is given back."""
    floats, integers = np.zeros((1, 4), dtype=np.float32), np.zeros((1, 4), dtype=np.int16)
    assert as_float(floats) is floats
    assert as_s16(integers) is integers


def test_what_is_no_number_is_silence() -> None:
    """And what is absurdly loud is held down; honest samples are left alone."""
    samples = np.array([np.nan, np.inf, -np.inf, 1e20, -9.0, 1.5, -0.25], dtype=np.float32)
    assert limited(samples).tolist() == [0, LOUDEST, -LOUDEST, LOUDEST, -LOUDEST, 1.5, -0.25]
    honest = np.array([1.5, -0.25], dtype=np.float32)
    assert limited(honest).tolist() == [1.5, -0.25]
    assert limited(np.empty(0, dtype=np.float32)).size == 0
