"""Tests of the MP3 framer on clean songs: which bytes come out, when, and what is said of them.

Invariant under test: whole frames of the provider's own bytes, tags gone, whatever the slicing. Damage has a file of
its own, test_mp3_damage.py. Golden truth for the sound is PyAV's decode of the original file.
"""

import io
from collections.abc import Mapping

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from transcode.formats import MP3, CodecFrame, StreamFormat
from transcode.mp3 import Mp3Framer
from transcode.mp3header import parse_header

NAMES = ["bare", "cbr128", "cbr192", "cbr320", "vbr", "mono24k", "mono16k", "mono8k", "id3v1", "cover"]
HEADER = b"\xff\xfb\x90\x64"  # MPEG 1, 128 kbit/s, 44.1 kHz, stereo: a frame of 417 octets
EMPTY_TAG = b"ID3\x04\0\0\0\0\0\0"


def cut(data: bytes, size: int | None = None) -> tuple[list[CodecFrame], Mp3Framer]:
    """All frames of a song fed in slices of `size`, or at once."""
    framer = Mp3Framer()
    frames = []
    for at in range(0, len(data), size or len(data)):
        frames += framer.feed(data[at : at + (size or len(data))])
    return frames + framer.flush(), framer


def join(frames: list[CodecFrame]) -> bytes:
    return b"".join(frame.data for frame in frames)


def decode(mp3: bytes) -> NDArray[np.float32]:
    """What PyAV hears in a file: shape (channels, samples)."""
    with av.open(io.BytesIO(mp3), "r", format="mp3") as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def a_frame(mark: bytes = b"", at: int = 0, header: bytes = HEADER) -> bytes:
    """A frame whose body is zeros but for `mark` at offset `at`."""
    parsed = parse_header(header)
    assert parsed is not None
    return (header.ljust(at, b"\0") + mark).ljust(parsed.size, b"\0")


@pytest.mark.parametrize("name", NAMES)
def test_joined_frames_are_the_providers_bytes(songs: Mapping[str, bytes], name: str) -> None:
    """From the first frame to the last nothing is missing, added or moved; only tags are gone."""
    song = songs[name]
    frames, framer = cut(song)
    joined = join(frames)
    first = song.index(joined)
    assert song[:first] == b"" or song.startswith(b"ID3")
    assert song[first + len(joined) :] == b"" or song[first + len(joined) :].startswith(b"TAG")
    assert framer.skipped == 0
    assert framer.init == b""
    assert not any(frame.discontinuity for frame in frames)
    for frame in frames:
        header = parse_header(frame.data)
        assert header is not None
        assert header.size == len(frame.data)


@pytest.mark.parametrize("name", NAMES)
def test_joined_frames_sound_the_same(songs: Mapping[str, bytes], name: str) -> None:
    """A decoder hears the same in the joined frames as in the file, sample for sample."""
    assert np.array_equal(decode(join(cut(songs[name])[0])), decode(songs[name]))


@pytest.mark.parametrize(
    ("name", "sample_rate", "channels", "bitrate", "samples"),
    [
        ("bare", 44100, 2, 192000, 1152),
        ("cbr128", 44100, 2, 128000, 1152),
        ("cbr320", 48000, 2, 320000, 1152),
        ("mono24k", 24000, 1, 64000, 576),
        ("mono16k", 16000, 1, 32000, 576),
        ("mono8k", 8000, 1, 16000, 576),
        ("cover", 44100, 2, 192000, 1152),
    ],
)
def test_format(
    songs: Mapping[str, bytes], name: str, sample_rate: int, channels: int, bitrate: int, samples: int
) -> None:
    """The format is what was encoded, and every sounding frame has its version's length."""
    frames, framer = cut(songs[name])
    assert framer.format == StreamFormat(MP3, sample_rate, channels, bitrate)
    assert {frame.samples for frame in frames} - {0} == {samples}
    assert sum(frame.samples for frame in frames) >= 2 * sample_rate


@pytest.mark.parametrize("name", ["cbr128", "cbr320", "vbr", "mono24k", "mono16k"])
def test_info_frame_carries_no_sound(songs: Mapping[str, bytes], name: str) -> None:
    """The encoder's Info frame is relayed, takes no time, and lends the song its bitrate in nothing."""
    frames, framer = cut(songs[name])
    assert [frame.samples == 0 for frame in frames[:3]] == [True, False, False]
    assert b"Xing" in frames[0].data or b"Info" in frames[0].data
    sounding = parse_header(frames[1].data)
    assert sounding is not None
    assert framer.format is not None
    assert framer.format.bitrate == sounding.bitrate


@pytest.mark.parametrize(
    ("mark", "at", "header"),
    [
        (b"Xing", 36, HEADER),
        (b"Info", 36, b"\xff\xfa\x90\x64"),
        (b"Info", 38, b"\xff\xfa\x90\x64"),
        (b"Xing", 21, b"\xff\xfb\x90\xc4"),
        (b"Info", 21, b"\xff\xf3\x84\x64"),
        (b"Xing", 13, b"\xff\xf3\x84\xc4"),
        (b"VBRI", 36, b"\xff\xfb\x90\xc4"),
    ],
)
def test_every_kind_of_info_frame(mark: bytes, at: int, header: bytes) -> None:
    """The mark is found where each version, channel count and checksum puts it, and nowhere else."""
    frames, _ = cut(a_frame(mark, at, header) + a_frame(header=header))
    assert frames[0].samples == 0
    assert frames[1].samples > 0
    frames, _ = cut(a_frame(mark, at + 4, header) + a_frame(header=header))
    assert frames[0].samples > 0


def test_info_is_looked_for_only_at_a_beginning() -> None:
    """In the middle of a song the same octets are sound, after a tag they begin the next song."""
    info = a_frame(b"Info", 36)
    frames, _ = cut(a_frame() + info + EMPTY_TAG + info + a_frame())
    assert [frame.samples for frame in frames] == [1152, 1152, 0, 1152]


def test_info_frame_alone() -> None:
    """A song that ends after its Info frame still gives it, with the only bitrate that it has."""
    frames, framer = cut(a_frame(b"Info", 36), 1)
    assert frames == [CodecFrame(a_frame(b"Info", 36), 0)]
    assert framer.format == StreamFormat(MP3, 44100, 2, 128000)


@pytest.mark.parametrize("name", ["bare", "cover"])
def test_a_frame_comes_out_with_its_last_byte(songs: Mapping[str, bytes], name: str) -> None:
    """Fed byte by byte, every frame, the very first included, is given at the byte that completes it."""
    song = songs[name]
    framer, end = Mp3Framer(), song.index(join(cut(song)[0]))
    assert framer.feed(song[:end]) == []
    assert framer.format is None
    for at in range(end, end + 6000):
        for frame in framer.feed(song[at : at + 1]):
            end += len(frame.data)
            assert at + 1 == end
    assert end > at - 1441


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 2, 417, 4096])
def test_slices_of_one_size(songs: Mapping[str, bytes], name: str, size: int) -> None:
    """Slices of a byte and of a page give the frames, and the format, that one slice gives."""
    song = songs[name][-20_000:] if name == "cover" else songs[name][:20_000]
    frames, framer = cut(song, size)
    whole, other = cut(song)
    assert frames == whole
    assert framer.format == other.format


@given(sizes=st.lists(st.integers(0, 2000), min_size=1, max_size=60), name=st.sampled_from(NAMES))
def test_any_slicing(songs: Mapping[str, bytes], sizes: list[int], name: str) -> None:
    """However a song is sliced, empty slices included, the same frames come out."""
    song = songs[name][:30_000]
    framer, frames, at = Mp3Framer(), [], 0
    for size in sizes:
        frames += framer.feed(song[at : at + size])
        at += size
    frames += framer.feed(song[at:]) + framer.flush()
    whole, other = cut(song)
    assert frames == whole
    assert (framer.format, framer.skipped) == (other.format, other.skipped)


@pytest.mark.parametrize(
    "tag",
    [
        EMPTY_TAG,
        b"ID3\x04\0\x10\0\0\0\x05hello3DI\x04\0\x10\0\0\0\x05",
        b"ID3\x03\0\0\0\0\x02\x00" + HEADER * 64,
        b"TAG" + b"title".ljust(125, b"\0"),
        b"APETAGEX" + (2000).to_bytes(4, "little") + (42).to_bytes(4, "little") + b"\0\0\0\0\0\0\0\xa0" + bytes(50),
        EMPTY_TAG * 3 + b"TAG" + bytes(125),
    ],
    ids=["empty", "footer", "headers inside", "id3v1", "ape", "several"],
)
@pytest.mark.parametrize("size", [None, 1, 100])
def test_tags_are_dropped_anywhere(tag: bytes, size: int | None) -> None:
    """A tag at the head, between frames or at the tail is no garbage and leaves no trace."""
    frames, framer = cut(tag + a_frame() + a_frame() + tag + a_frame() + tag, size)
    assert frames == [CodecFrame(a_frame(), 1152)] * 3
    assert framer.skipped == 0


def test_flush_on_nothing() -> None:
    """A framer that was given nothing gives nothing and has no format."""
    framer = Mp3Framer()
    assert framer.feed(b"") == []
    assert framer.flush() == []
    assert framer.format is None
    assert framer.skipped == 0
