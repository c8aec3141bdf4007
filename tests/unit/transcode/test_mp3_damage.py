"""Tests of the MP3 framer on damaged songs and on what is no song at all.

Invariant under test: never an exception after the first frame, little lost around each wound, bounded memory, linear
time, and the same frames whatever the slicing. Random damage is seeded.
"""

import pickle
import random
import time
from collections.abc import Mapping

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcode.errors import UnknownFormat
from transcode.formats import CodecFrame
from transcode.mp3 import MAX_HEAD, Mp3Framer
from transcode.mp3header import parse_header

MEGABYTE = 1 << 20
STEREO = b"\xff\xfb\x90\x64"
MONO = b"\xff\xfb\x90\xc4"
GARBAGE = {
    "random": random.Random(3).randbytes(MEGABYTE),
    "zeros": bytes(MEGABYTE),
    "ones": b"\xff" * MEGABYTE,
    "html": (b"<html><body>502 Bad Gateway</body></html>" * 26000)[:MEGABYTE],
    "almost headers": b"\xff\xfb" * (MEGABYTE // 2),
    "free format": b"\xff\xfb\x00\x64" * (MEGABYTE // 4),
    "layer II": (b"\xff\xfd\x90\x64" + bytes(414)) * (MEGABYTE // 418),
}


def cut(data: bytes, sizes: list[int] | None = None) -> tuple[list[CodecFrame], Mp3Framer]:
    """All frames of a song fed in slices of these sizes, over and over, or at once."""
    framer, frames, at = Mp3Framer(), [], 0
    sizes = sizes or [len(data)]
    while at < len(data):
        for size in sizes:
            frames += framer.feed(data[at : at + size])
            at += size
    return frames + framer.flush(), framer


def total(frames: list[CodecFrame]) -> int:
    return sum(frame.samples for frame in frames)


def decoded(frames: list[CodecFrame]) -> int:
    """Samples that PyAV's decoder makes of the frames, those it refuses left out."""
    decoder = av.CodecContext.create("mp3float", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    samples = 0
    for frame in frames:
        try:
            samples += sum(out.samples for out in decoder.decode(av.Packet(frame.data)))
        except av.error.FFmpegError:
            continue
    return samples


def corrupt(song: bytes, share: float, seed: int) -> bytes:
    rng = random.Random(seed)
    return bytes(rng.randrange(256) if rng.random() < share else byte for byte in song)


def a_frame(header: bytes = STEREO) -> bytes:
    parsed = parse_header(header)
    assert parsed is not None
    return header.ljust(parsed.size, b"\0")


@pytest.fixture(scope="session")
def long(songs: Mapping[str, bytes]) -> bytes:
    """Twenty seconds of 192 kbit/s without tags."""
    return songs["bare"] * 10


@pytest.mark.parametrize(("share", "kept", "heard"), [(0.001, 0.99, 0.98), (0.01, 0.95, 0.92), (0.05, 0.75, 0.6)])
def test_corrupted_bytes(long: bytes, share: float, kept: float, heard: float) -> None:
    """With a part of all bytes replaced at random, most samples are still cut, and most of those decoded."""
    clean = total(cut(long)[0])
    frames, framer = cut(corrupt(long, share, 11))
    assert clean * kept <= total(frames) <= clean * 1.01
    assert decoded(frames) >= clean * heard
    assert sum(len(frame.data) for frame in frames) + framer.skipped == len(long)
    assert any(frame.discontinuity for frame in frames)


def test_lost_slices(long: bytes) -> None:
    """With one slice in ten missing, at least four fifths of the samples are cut and every gap is marked."""
    rng = random.Random(12)
    slices = [long[at : at + 3000] for at in range(0, len(long), 3000)]
    framer, frames = Mp3Framer(), []
    for slice_ in slices:
        if rng.random() >= 0.1:
            frames += framer.feed(slice_)
    frames += framer.flush()
    assert total(frames) >= 0.8 * total(cut(long)[0])
    assert sum(frame.discontinuity for frame in frames) >= 5


@pytest.mark.parametrize("kind", ["random", "zeros", "ones", "html"])
def test_garbage_inside(songs: Mapping[str, bytes], kind: str) -> None:
    """Garbage between two frames is dropped to the byte, costs no frame, and marks the next one."""
    clean, _ = cut(songs["bare"])
    at = sum(len(frame.data) for frame in clean[:30])
    frames, framer = cut(songs["bare"][:at] + GARBAGE[kind][:5000] + songs["bare"][at:])
    assert framer.skipped == 5000
    assert [frame.data for frame in frames] == [frame.data for frame in clean]
    assert [index for index, frame in enumerate(frames) if frame.discontinuity] == [30]


def test_garbage_before_the_song(songs: Mapping[str, bytes]) -> None:
    """Garbage at the head is neither counted nor a discontinuity: nothing was interrupted."""
    frames, framer = cut(b"\r\n" + bytes(1000) + songs["bare"])
    assert frames == cut(songs["bare"])[0]
    assert framer.skipped == 0


def test_a_lone_header_in_garbage_is_not_believed() -> None:
    """A header that no second one confirms is dropped with the garbage around it."""
    frames, framer = cut(a_frame() + b"garbage" + a_frame() + b"garbage" + a_frame() + a_frame())
    assert [frame.discontinuity for frame in frames] == [False, True, False]
    assert framer.skipped == 7 + 417 + 7


def test_change_of_kind_needs_two() -> None:
    """One frame of another kind is garbage, two in a row are a change, marked and believed."""
    one, framer = cut(a_frame() + a_frame(MONO) + a_frame() + a_frame())
    assert [(frame.data, frame.discontinuity) for frame in one] == [
        (a_frame(), False),
        (a_frame(), True),
        (a_frame(), False),
    ]
    assert framer.skipped == 417
    two, framer = cut(a_frame() + a_frame(MONO) * 2 + a_frame(STEREO) * 2)
    assert [frame.discontinuity for frame in two] == [False, True, False, True, False]
    assert framer.skipped == 0
    assert framer.format is not None
    assert framer.format.channels == 2


def test_change_of_kind_after_a_tag() -> None:
    """After a tag one header of another kind is enough, and still marked; the same kind simply goes on."""
    tag = b"ID3\x04\0\0\0\0\0\0"
    frames, framer = cut(a_frame() + tag + a_frame(MONO) + tag + a_frame(MONO))
    assert [frame.discontinuity for frame in frames] == [False, True, False]
    assert framer.skipped == 0


@pytest.mark.parametrize("cut_off", [1, 100, 415])
def test_a_frame_cut_short_is_dropped(cut_off: int) -> None:
    """The end of a song within a frame gives only whole frames and counts the rest."""
    frames, framer = cut((a_frame() * 3)[:-cut_off], [1])
    assert len(frames) == 2
    assert framer.skipped == 417 - cut_off


@pytest.mark.parametrize("tail", [b"T", b"ID", b"ID3\x04", b"APETAGEX\0", b"\xff", b"\xff\xfb\x90", b"nothing"])
def test_an_undecided_tail_is_dropped(tail: bytes) -> None:
    """What may have been a tag or a frame, had the song gone on, is garbage in the end."""
    frames, framer = cut(a_frame() + a_frame() + tail, [1])
    assert len(frames) == 2
    assert framer.skipped == len(tail)


def test_a_candidate_at_the_end_is_not_believed() -> None:
    """After garbage, the last frame of a song has nothing behind it that confirms it."""
    frames, framer = cut(a_frame() + b"garbage" + a_frame(), [100])
    assert len(frames) == 1
    assert framer.skipped == 7 + 417


def test_a_tag_cut_short() -> None:
    """A song that ends within a tag ends there."""
    frames, framer = cut(a_frame() + b"ID3\x04\0\0\0\0\x7f\x7f" + bytes(50))
    assert len(frames) == 1
    assert framer.skipped == 0


@pytest.mark.parametrize("kind", list(GARBAGE))
@pytest.mark.parametrize("size", [MEGABYTE, 4096])
def test_no_song_at_all(kind: str, size: int) -> None:
    """A megabyte without MP3 in it is an unknown format, whatever it is instead."""
    with pytest.raises(UnknownFormat, match="64 KiB"):
        cut(GARBAGE[kind], [size])


@pytest.mark.parametrize("head", [b"", b"ID3\x04\0\0\0\x07\0\0" + bytes(7 << 14)], ids=["bare", "tagged"])
@pytest.mark.parametrize("sizes", [None, [1000]])
def test_the_limit_is_exact(head: bytes, sizes: list[int] | None) -> None:
    """The song may begin after 64 KiB of garbage, not a byte later; a tag does not count."""
    song = a_frame() + a_frame()
    assert len(cut(head + bytes(MAX_HEAD) + song, sizes)[0]) == 2
    with pytest.raises(UnknownFormat):
        cut(head + bytes(MAX_HEAD + 1) + song, sizes)


def test_an_absurd_tag_is_not_believed() -> None:
    """A tag that claims 256 MB is garbage, and the song behind its head is found."""
    frames, _ = cut(b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + a_frame() * 3)
    assert len(frames) == 3


def test_little_garbage_and_nothing_else() -> None:
    """Less garbage than the limit, then the end, is no exception: there is no frame and no format."""
    frames, framer = cut(b"<html>", [1])
    assert frames == []
    assert framer.format is None


@given(
    wounds=st.lists(st.tuples(st.integers(0, 12_000), st.integers(0, 60), st.binary(max_size=60)), max_size=6),
    sizes=st.lists(st.integers(1, 1500), min_size=1, max_size=20),
    name=st.sampled_from(["bare", "vbr", "id3v1", "mono8k"]),
)
@settings(max_examples=150)
def test_damage_is_the_same_in_any_slicing(
    songs: Mapping[str, bytes], wounds: list[tuple[int, int, bytes]], sizes: list[int], name: str
) -> None:
    """Bytes replaced, removed or put in anywhere: any slicing gives the same frames, skips and format."""
    song = songs[name][-12_000:]
    for at, removed, put in wounds:
        song = song[:at] + put + song[at + removed :]
    one, framer = cut(song)
    other, sliced = cut(song, sizes)
    assert other == one
    assert (sliced.skipped, sliced.format) == (framer.skipped, framer.format)
    assert all(len(frame.data) > 20 for frame in one)


@pytest.mark.parametrize("kind", [*GARBAGE, "song"])
def test_memory_is_bounded(songs: Mapping[str, bytes], kind: str) -> None:
    """Whatever flows through, a framer never holds more than one frame and the next one's header."""
    framer = Mp3Framer()
    framer.feed(a_frame())
    data = songs["vbr"] if kind == "song" else GARBAGE[kind][:100_000]
    for at in range(0, len(data), 700):
        framer.feed(data[at : at + 700])
        assert len(pickle.dumps(framer)) < 1441 + 4 + 800  # 800: the framer itself


@pytest.mark.parametrize("kind", list(GARBAGE))
@pytest.mark.parametrize("size", [MEGABYTE, 4096])
def test_garbage_is_scanned_fast(kind: str, size: int) -> None:
    """A megabyte of garbage in the middle of a song takes less than 50 ms (measured: 0.3 to 6)."""
    best = 1.0
    framer = Mp3Framer()
    for _ in range(3):
        framer = Mp3Framer()
        framer.feed(a_frame())
        began = time.process_time()
        for at in range(0, MEGABYTE, size):
            framer.feed(GARBAGE[kind][at : at + size])
        best = min(best, time.process_time() - began)
    assert best < 0.05
    assert framer.skipped > MEGABYTE - 2000
