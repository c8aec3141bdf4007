"""Tests of the door to the framers: four bytes decide, everything else is the chosen framer's.

They know the framers' results only as far as telling them apart takes.
Invariant under test: the first bytes alone choose.
"""

from collections.abc import Mapping

import pytest

from transcode.errors import UnknownFormat
from transcode.formats import MP3, WAV, CodecFrame
from transcode.framer import Framer
from transcode.wavheader import wav_header

PCM = bytes(range(256)) * 10


def cut(data: bytes, size: int) -> tuple[list[CodecFrame], Framer]:
    framer, frames = Framer(), []
    for at in range(0, len(data), size):
        frames += framer.feed(data[at : at + size])
    return frames + framer.flush(), framer


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
@pytest.mark.parametrize("name", ["bare", "cover", "mono24k"])
def test_mp3(songs: Mapping[str, bytes], name: str, size: int) -> None:
    """Anything that is no RIFF is tried as MP3, with a tag or without, in any slices."""
    song = songs[name][-5000:] if size < 4096 and name != "cover" else songs[name]
    frames, framer = cut(song, size)
    assert framer.format is not None
    assert framer.format.format is MP3
    assert framer.codec == "mp3"
    assert framer.init == b""
    assert b"".join(frame.data for frame in frames) in song


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_wav(size: int) -> None:
    """RIFF is a WAV: its header is `init`, and what our own encoder room writes is read back."""
    song = wav_header(24000, 1) + PCM
    frames, framer = cut(song, size)
    assert framer.format is not None
    assert (framer.format.format, framer.format.sample_rate, framer.format.channels) == (WAV, 24000, 1)
    assert framer.codec == "pcm_s16le"
    assert framer.init + b"".join(frame.data for frame in frames) == song


def test_rf64_is_a_wav() -> None:
    """The long form of RIFF goes the same way."""
    _, framer = cut(b"RF64" + wav_header(24000, 1)[4:] + PCM, 100)
    assert framer.format is not None
    assert framer.format.format is WAV


def test_garbage_is_counted_through_the_door(songs: Mapping[str, bytes]) -> None:
    """`skipped` is the inner framer's."""
    _, framer = cut(songs["bare"] + bytes(100), 4096)
    assert framer.skipped == 100


def test_html_is_an_unknown_format() -> None:
    """An error page in place of a song is refused."""
    with pytest.raises(UnknownFormat):
        cut(b"<html>" * 20_000, 4096)


def test_a_tag_does_not_count_as_garbage() -> None:
    """64 KiB are searched after the ID3v2 tag, however long it is."""
    tag = b"ID3\x04\0\0\0\x08\0\0" + bytes(8 << 14)
    frame = b"\xff\xfb\x90\x64".ljust(417, b"\0")
    frames, _ = cut(tag + b"\r\n" + frame * 2, 4096)
    assert len(frames) == 2


@pytest.mark.parametrize("data", [b"", b"RIF", b"\xff\xfb"])
def test_too_little_to_tell(data: bytes) -> None:
    """Before four bytes are in there is no format, no init, no codec, nothing skipped, and flush gives nothing."""
    frames, framer = cut(data, 1)
    assert frames == []
    assert framer.format is None
    assert framer.codec is None
    assert framer.init == b""
    assert framer.skipped == 0


def test_the_codec_is_known_with_the_format() -> None:
    """Four bytes choose a framer, but only a frame or a header proves it right."""
    framer = Framer()
    framer.feed(b"<htm")
    assert framer.codec is None
