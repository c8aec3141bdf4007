"""Tests of driving FFmpeg's encoders.

Invariant under test: units depend on samples, not on how they came; errors are ours; no thread is left.
Golden truth are codecs that do nothing.
"""

import os

import av
import numpy as np
import pytest

from transcode.encoders.codec import Codec
from transcode.errors import EncodeError
from transcode.samples import as_float


def test_units_are_the_samples() -> None:
    """For a codec that is none: floats stay floats, 16 bits stay 16 bits, converted to what the codec takes."""
    block = np.array([[0.5, -0.25], [0.125, 0.75]], dtype=np.float32)
    floats = Codec("pcm_f32le", 8000, 2, None, "flt")
    assert b"".join(floats.encode(block)) == block.T.astype("<f4").tobytes()
    whole = Codec("pcm_s16le", 8000, 2, None, "s16")
    integers = (block * 32768).astype(np.int16)
    assert b"".join(whole.encode(integers) + whole.encode(block)) == integers.T.astype("<i2").tobytes() * 2
    assert whole.finish() == []


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_a_unit_is_there_with_its_last_sample(kind: type[np.float32 | np.int16]) -> None:
    """And what is over stays for the next one, or for the end."""
    codec = Codec("flac", 8000, 2, None, "s16", {"compression_level": "2"})
    frame = codec.frame
    noise = np.random.default_rng(1).integers(-99, 99, (2, 3 * frame + 5)).astype(np.int16)
    block = noise if kind is np.int16 else as_float(noise)
    begin, units = 0, []
    for size, made in ((frame - 1, 0), (1, 1), (frame + 7, 1), (frame - 8, 0), (6, 1)):
        found = codec.encode(block[:, begin : begin + size])
        assert len(found) == made
        units += found
        begin += size
    units += codec.finish()
    whole = Codec("flac", 8000, 2, None, "s16", {"compression_level": "2"})
    assert [unit for unit in units if unit] == whole.encode(block) + whole.finish()


def test_nothing_in_nothing_out() -> None:
    """An empty block is none, and an encoder that saw nothing has nothing to finish."""
    codec = Codec("aac", 44100, 1, 64000, "fltp")
    assert codec.encode(np.empty((1, 0), dtype=np.float32)) == []
    assert codec.finish() == []
    assert codec.frame == 1024
    assert codec.extradata


def test_what_ffmpeg_refuses_is_an_encode_error() -> None:
    """When it opens, and when it is at work."""
    with pytest.raises(EncodeError, match="no aac at 44101 Hz, 2 channels, 96000 bit/s"):
        Codec("aac", 44101, 2, 96000, "fltp")
    codec = Codec("aac", 44100, 1, 64000, "fltp")
    with pytest.raises(EncodeError, match="aac has failed"):
        codec.encode(np.full((1, 5000), np.nan, dtype=np.float32))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="there is no affinity here to narrow")
def test_where_affinity_is_forbidden_it_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With idle threads, which end with it; and where there is no such thing, too."""

    def forbidden(pid: int, cpus: set[int]) -> None:
        raise PermissionError

    samples = np.zeros((1, 3000), dtype=np.float32)
    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    assert Codec("aac", 44100, 1, 64000, "fltp").encode(samples)
    monkeypatch.delattr(os, "sched_setaffinity")
    assert Codec("aac", 44100, 1, 64000, "fltp").encode(samples)


def test_codecs_are_there() -> None:
    """All that the family files name, in this build of FFmpeg."""
    assert {"aac", "flac"} <= av.codecs_available
