"""Silence told without decoding, on real encodes of it and of what is next to it.

Invariant under test: zeros are silence in every coding and at every rate, and the softest noise is none.
It must not know who asks.
"""

import numpy as np
import pytest

from tests.unit.transcode.test_fade import cut, mp3
from transcode.formats import CodecFrame
from transcode.framer import Framer
from transcode.silence import silent

SECONDS = 1.0


def zeros(rate: int, channels: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.zeros((channels, round(SECONDS * rate)))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [48000, 44100, 24000, 8000])
def test_encoded_zeros_are_silence(rate: int, channels: int) -> None:
    """In MPEG 1, 2 and 2.5; one step of a 16-bit sample in it is not."""
    _, frames = cut(mp3(zeros(rate, channels), rate, channels))
    assert len(frames) > 10
    assert all(silent(frame, "mp3") for frame in frames)
    quiet = np.random.default_rng(1).integers(-1, 2, (channels, round(SECONDS * rate))) / 32768
    _, frames = cut(mp3(quiet, rate, channels))
    assert not any(silent(frame, "mp3") for frame in frames[3:-3])


def test_a_checksum_moves_the_side_information() -> None:
    """With one in front of it, it is found all the same."""
    _, frames = cut(mp3(zeros(48000, 2), 48000, 2))
    frame = frames[5].data
    checked = frame[:1] + bytes((frame[1] & ~1,)) + frame[2:4] + b"\xff\xff" + frame[4:-2]
    assert silent(CodecFrame(checked, 1152), "mp3")
    assert not silent(CodecFrame(checked[:8] + b"\xff" + checked[9:], 1152), "mp3")


@pytest.mark.parametrize(
    ("codec", "data", "is_silent"),
    [
        ("pcm_s16le", bytes(400), True),
        ("pcm_s16le", bytes(399) + b"\1", False),
        ("pcm_s16le", b"\1" + bytes(399), False),
        ("pcm_s24le", bytes(600), True),
        ("pcm_s32le", bytes(800), True),
        ("pcm_f32le", bytes(800), True),
        ("pcm_u8", b"\x80" * 200, True),
        ("pcm_u8", bytes(200), False),
        ("mp3", b"no frame at all", False),
    ],
)
def test_samples_are_silent_where_each_is_zero(codec: str, data: bytes, is_silent: bool) -> None:
    """Whatever zero is in that coding."""
    assert silent(CodecFrame(data, 100), codec) is is_silent


def test_what_is_no_sound_is_not_silent() -> None:
    """A tag takes no time."""
    tag = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
    framer = Framer()
    frames = framer.feed(tag + mp3(zeros(48000, 2), 48000, 2)) + framer.flush()
    assert [silent(CodecFrame(tag, 0), "mp3"), silent(frames[-1], "mp3")] == [False, True]
