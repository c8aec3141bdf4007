"""Tests of the WAV framer: 10 ms of whole blocks, the header verbatim, and lengths believed only when they are true.

Invariant under test: header and frames joined are the input up to the end of the sound, in any slicing. Headers are
packed by hand; the golden truth for coding names is PyAV's own reading of the file.
"""

import io
import pickle
import random
import struct

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcode.errors import UnknownFormat
from transcode.formats import WAV, CodecFrame, StreamFormat
from transcode.wav import WavFramer

NOISE = random.Random(9).randbytes(400_000)
LIST = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf60.16.100\0"


def wav(
    pcm: bytes, *, channels: int = 2, rate: int = 44100, bits: int = 16, number: int = 1, size: int | None = None
) -> bytes:
    """A WAV file; `size` is the length that its data chunk claims, by default the truth."""
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", number, channels, rate, rate * block, block, bits)
    claimed = len(pcm) if size is None else size
    return b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", claimed) + pcm


def cut(data: bytes, size: int | None = None) -> tuple[list[CodecFrame], WavFramer]:
    framer, frames = WavFramer(), []
    for at in range(0, len(data), size or len(data)):
        frames += framer.feed(data[at : at + (size or len(data))])
    return frames + framer.flush(), framer


def join(frames: list[CodecFrame]) -> bytes:
    return b"".join(frame.data for frame in frames)


@pytest.mark.parametrize(
    ("number", "bits", "channels", "rate"),
    [(1, 8, 1, 8000), (1, 16, 2, 44100), (1, 24, 2, 48000), (1, 32, 1, 96000), (3, 32, 2, 48000), (1, 16, 1, 22050)],
)
@pytest.mark.parametrize("size", [None, 1000])
def test_ten_milliseconds_each(number: int, bits: int, channels: int, rate: int, size: int | None) -> None:
    """Frames are a hundredth of a second long, the last one is the rest; joined they are the samples."""
    block = channels * bits // 8
    song = wav(NOISE[: block * 5000], channels=channels, rate=rate, bits=bits, number=number)
    frames, framer = cut(song, size)
    assert {frame.samples for frame in frames[:-1]} == {rate // 100}
    assert frames[-1].samples == (5000 % (rate // 100) or rate // 100)
    assert all(len(frame.data) == frame.samples * block for frame in frames)
    assert framer.init + join(frames) == song
    assert framer.format == StreamFormat(WAV, rate, channels, rate * channels * bits)
    assert framer.skipped == 0
    with av.open(io.BytesIO(song)) as container:
        assert container.streams.audio[0].codec_context.name == framer.codec


def test_a_frame_comes_out_with_its_last_byte() -> None:
    """Fed byte by byte, a frame is given at the byte that completes it."""
    song = wav(NOISE[: 4 * 441 * 3])
    framer = WavFramer()
    known = [(framer.feed(song[at : at + 1]), framer.format is not None) for at in range(44)]
    assert known == [([], False)] * 43 + [([], True)]
    ends = [at for at in range(44, len(song)) if framer.feed(song[at : at + 1])]
    assert ends == [44 + 4 * 441 * n - 1 for n in (1, 2, 3)]


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF - 44, 36, 40_000, 39_999])
@pytest.mark.parametrize("size", [None, 1, 999])
def test_a_false_length_is_not_believed(claimed: int, size: int | None) -> None:
    """Placeholders and lengths that are simply wrong cut nothing off and drop nothing."""
    song = wav(NOISE[:60_000], size=claimed)
    frames, framer = cut(song, size)
    assert join(frames) == NOISE[:60_000]
    assert framer.skipped == 0


@pytest.mark.parametrize(
    "trailer", [LIST, b"id3 \x0a\0\0\0ID3\x03\0\0\0\0\0\0", b"_PMX\x02\0\0\0<>", LIST + NOISE[:5000]]
)
@pytest.mark.parametrize("size", [None, 1, 999])
def test_a_chunk_behind_the_declared_end_is_dropped(trailer: bytes, size: int | None) -> None:
    """Where the declared length is true and another chunk follows, the sound ends there, and nothing is garbage."""
    frames, framer = cut(wav(NOISE[:20_000]) + trailer, size)
    assert join(frames) == NOISE[:20_000]
    assert framer.skipped == 0
    assert framer.feed(NOISE) == []


def test_a_chunk_elsewhere_is_sound() -> None:
    """Bytes that look like a chunk, but not where the declared length ends, are samples."""
    for claimed in (0, 0xFFFFFFFF, 10_000):
        song = NOISE[:20_000] + LIST + NOISE[:2]
        assert join(cut(wav(song, size=claimed))[0]) == song


@pytest.mark.parametrize("size", [None, 1])
def test_padding(size: int | None) -> None:
    """After an odd number of bytes one more stands before the next chunk, or before the end: it is no sample."""
    odd = wav(NOISE[:801], channels=1, rate=8000, bits=8)
    for trailer in (b"\0" + LIST, b"\0"):
        frames, framer = cut(odd + trailer, size)
        assert join(frames) == NOISE[:801]
        assert framer.skipped == 0
    assert join(cut(odd + b"\0\0", size)[0]) == NOISE[:801] + b"\0\0"


@pytest.mark.parametrize("beyond", [1, 4, 7])
def test_too_little_behind_the_end_to_tell(beyond: int) -> None:
    """Fewer bytes than a chunk's head behind the declared end are samples, except a part of a block."""
    frames, framer = cut(wav(NOISE[: 4000 + beyond], size=4000), 1)
    assert join(frames) == NOISE[: 4000 + beyond - beyond % 4]
    assert framer.skipped == beyond % 4


def test_a_part_of_a_block_is_dropped() -> None:
    """A song that ends within a sample block loses that part, and says so."""
    frames, framer = cut(wav(NOISE[:1001], size=0))
    assert join(frames) == NOISE[:1000]
    assert framer.skipped == 1
    frames, framer = cut(wav(NOISE[:3], size=0))
    assert frames == []
    assert framer.skipped == 3


@given(
    sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=40),
    claimed=st.sampled_from([0, 0xFFFFFFFF, 20_000, 19_999]),
    trailer=st.sampled_from([b"", LIST, b"\0" + LIST, NOISE[:9]]),
)
def test_any_slicing(sizes: list[int], claimed: int, trailer: bytes) -> None:
    """However a song is sliced, empty slices included, the same frames come out."""
    song = wav(NOISE[:20_000], size=claimed) + trailer
    framer, frames, at = WavFramer(), [], 0
    for size in sizes:
        frames += framer.feed(song[at : at + size])
        at += size
    frames += framer.feed(song[at:]) + framer.flush()
    whole, other = cut(song)
    assert frames == whole
    assert (framer.skipped, framer.init, framer.format) == (other.skipped, other.init, other.format)


def test_memory_is_bounded() -> None:
    """After the header no more than 10 ms and the next chunk's head are held."""
    framer = WavFramer()
    song = wav(NOISE, size=100_000)
    for at in range(0, len(song), 997):
        framer.feed(song[at : at + 997])
        assert len(pickle.dumps(framer)) < 1764 + 1000  # 1000: the framer itself


def test_nothing_and_half_a_header() -> None:
    """Without a whole header there are no frames, no format and no exception."""
    for data in (b"", wav(b"")[:30]):
        frames, framer = cut(data, 7)
        assert frames == []
        assert framer.format is None
        assert framer.codec is None
        assert framer.init == b""


def test_what_cannot_be_read_is_refused() -> None:
    """A WAV of another coding raises at the byte that says so, samples or not."""
    with pytest.raises(UnknownFormat, match="0x0011"):
        WavFramer().feed(wav(b"", number=0x11))
