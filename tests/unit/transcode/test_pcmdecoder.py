"""Tests of decoding WAV codings.

Invariant under test: every sample as FFmpeg would give it, floats as they are but for what is no number.
Golden truth is PyAV's decode of a whole file.
"""

import numpy as np
import pytest

from tests.support.packets import melody, read, wav
from transcode.errors import UnknownFormat
from transcode.formats import CodecFrame
from transcode.framer import Framer
from transcode.pcmdecoder import PcmDecoder
from transcode.samples import as_float


@pytest.mark.parametrize("coding", ["u8", "s16", "s24", "s32", "f32", "extensible"])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_ffmpegs(coding: str, channels: int) -> None:
    """To the bit, or where 32 bits become a float's 24, to its last one."""
    file = wav(melody(24000, channels, 0.3), 24000, coding)
    framer = Framer()
    frames = framer.feed(file) + framer.flush()
    assert framer.codec is not None
    decoder = PcmDecoder(framer.codec, 24000, channels)
    (sound,) = decoder.decode(frames)
    assert sound.block.dtype == (np.int16 if coding in ("s16", "extensible") else np.float32)
    assert not sound.discontinuity
    expected = read(file, "wav")
    assert sound.block.shape == expected.shape == (channels, 7200)
    assert np.abs(as_float(sound.block) - expected).max() <= (2**-24 if coding == "s32" else 0)
    assert decoder.flush() == []
    assert (decoder.lead, decoder.errors) == (0, 0)


def test_the_ends_of_every_scale() -> None:
    """The lowest value is -1, one step is one step, and the sign stands where it belongs."""
    for codec, data, expected in (
        ("pcm_u8", b"\x00\x80\xff", [-1, 0, 127 / 128]),
        ("pcm_s24le", b"\x00\x00\x80\xff\xff\xff\x01\x00\x00", [-1, -(2**-23), 2**-23]),
        ("pcm_s32le", b"\x00\x00\x00\x80\x00\x01\x00\x00", [-1, 2**-23]),
        ("pcm_f32le", np.array([1.5, np.nan, 1e9], dtype="<f4").tobytes(), [1.5, 0, 8]),
    ):
        (sound,) = PcmDecoder(codec, 8000, 1).decode([CodecFrame(data, len(expected))])
        assert sound.block[0].tolist() == expected


def test_frames_are_joined_up_to_a_gap() -> None:
    """One block for what belongs together."""
    frames = [CodecFrame(b"aabb", 1), CodecFrame(b"ccdd", 1), CodecFrame(b"eeff", 1, True), CodecFrame(b"gghh", 1)]
    first, second = PcmDecoder("pcm_s16le", 8000, 2).decode(frames)
    assert (first.block.shape, first.discontinuity) == ((2, 2), False)
    assert (second.block.shape, second.discontinuity) == ((2, 2), True)
    assert second.block[:, 0].tobytes() == b"eeff"
    assert PcmDecoder("pcm_s16le", 8000, 2).decode([]) == []


def test_foreign_codings_are_refused() -> None:
    """What no framer gives."""
    with pytest.raises(UnknownFormat, match="pcm_alaw"):
        PcmDecoder("pcm_alaw", 8000, 1)
