"""Tests of the WAV header, read and written: what it lets through is what it says, the rest is refused with words.

Invariant under test: fed whole or byte by byte, a header is read alike. Headers are packed by hand from the format's
specification; the tests know nothing of frames.
"""

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcode.errors import EncodeError, UnknownFormat
from transcode.wavheader import MAX_HEADER, Coding, WavHeader, wav_header

GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def form(number: int = 1, channels: int = 2, rate: int = 44100, bits: int = 16, block: int | None = None) -> bytes:
    block = channels * bits // 8 if block is None else block
    return struct.pack("<HHIIHH", number, channels, rate, rate * block, block, bits)


def extensible(number: int, bits: int, tail: bytes = GUID_TAIL) -> bytes:
    return form(0xFFFE, bits=bits) + struct.pack("<HHIH", 22, bits, 3, number) + tail


def wav(*chunks: bytes, data: int = 0xFFFFFFFF, magic: bytes = b"RIFF") -> bytes:
    return magic + b"\xff\xff\xff\xffWAVE" + b"".join(chunks) + b"data" + struct.pack("<I", data)


def read(data: bytes, size: int | None = None) -> WavHeader:
    header = WavHeader()
    for at in range(0, len(data), size or len(data)):
        header.feed(data[at : at + (size or len(data))])
    return header


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (form(1, 2, 44100, 16), Coding("pcm_s16le", 44100, 2, 4)),
        (form(1, 1, 8000, 8), Coding("pcm_u8", 8000, 1, 1)),
        (form(1, 2, 48000, 24), Coding("pcm_s24le", 48000, 2, 6)),
        (form(1, 1, 192000, 32), Coding("pcm_s32le", 192000, 1, 4)),
        (form(3, 2, 96000, 32), Coding("pcm_f32le", 96000, 2, 8)),
        (extensible(1, 16), Coding("pcm_s16le", 44100, 2, 4)),
        (extensible(3, 32), Coding("pcm_f32le", 44100, 2, 8)),
        (form(1, 2, 24000, 16) + b"\0\0", Coding("pcm_s16le", 24000, 2, 4)),
    ],
)
@pytest.mark.parametrize("size", [None, 1])
def test_codings(body: bytes, coding: Coding, size: int | None) -> None:
    """Every coding that is let through is named as FFmpeg names it, with its block size."""
    head = wav(chunk(b"fmt ", body))
    header = read(head, size)
    assert header.coding == coding
    assert (header.init, header.payload) == (head, b"")
    assert read(head + b"PCM").payload == b"PCM"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"RIFF\0\0\0\0AVI ", "not a WAV file"),
        (b"OggS\0\0\0\0WAVE", "not a WAV file"),
        (wav(), "does not say"),
        (wav(chunk(b"fmt ", form()[:14])), "cut short"),
        (wav(chunk(b"fmt ", form(0x55))), "coding 0x0055"),
        (wav(chunk(b"fmt ", form(6, bits=8))), "coding 0x0006"),
        (wav(chunk(b"fmt ", form(1, bits=12))), "12 bits"),
        (wav(chunk(b"fmt ", form(3, bits=64))), "64 bits"),
        (wav(chunk(b"fmt ", extensible(1, 16, bytes(14)))), "coding 0xfffe"),
        (wav(chunk(b"fmt ", extensible(1, 16)[:30])), "coding 0xfffe"),
        (wav(chunk(b"fmt ", form(channels=6))), "6 channels"),
        (wav(chunk(b"fmt ", form(channels=0))), "0 channels"),
        (wav(chunk(b"fmt ", form(rate=7999))), "7999 Hz"),
        (wav(chunk(b"fmt ", form(rate=192001))), "192001 Hz"),
        (wav(chunk(b"fmt ", form(block=3))), "blocks of 3"),
        (wav(b"LIST\xff\xff\xff\xff"), "64 KiB"),
    ],
)
@pytest.mark.parametrize("size", [None, 1])
def test_refusals(data: bytes, says: str, size: int | None) -> None:
    """What cannot be read is refused with a sentence that names the reason, before any samples are needed."""
    with pytest.raises(UnknownFormat, match=says):
        read(data, size)


def test_other_chunks_are_kept() -> None:
    """Chunks before the samples, known or not, of odd length too, stay in the header untouched."""
    head = wav(chunk(b"LIST", b"INFOISFT\x05\0\0\0Lavf\0"), chunk(b"fmt ", form()), chunk(b"junk", b"odd"), data=1000)
    header = read(head + b"samples")
    assert header.init == head
    assert header.payload == b"samples"
    assert header.declared == 1000


@pytest.mark.parametrize(
    ("ds64", "data", "declared"),
    [
        (struct.pack("<QQQI", 5_000_000_036, 5_000_000_000, 1, 0), 0xFFFFFFFF, 5_000_000_000),
        (struct.pack("<QQQI", 5_000_000_036, 5_000_000_000, 1, 0), 400, 400),
        (b"short", 0xFFFFFFFF, 0),
    ],
)
def test_rf64(ds64: bytes, data: int, declared: int) -> None:
    """RF64 has its long length in the ds64 chunk; the data chunk's own counts if it is not the placeholder."""
    header = read(wav(chunk(b"ds64", ds64), chunk(b"fmt ", form()), data=data, magic=b"RF64"))
    assert header.coding is not None
    assert header.declared == declared


def test_the_limit_is_exact() -> None:
    """A header may be 64 KiB long, not two bytes longer."""
    room = MAX_HEADER - len(wav(chunk(b"fmt ", form()), chunk(b"JUNK", b"")))
    longest = read(wav(chunk(b"fmt ", form()), chunk(b"JUNK", bytes(room))), 1000)
    assert len(longest.init) == MAX_HEADER
    with pytest.raises(UnknownFormat, match="64 KiB"):
        read(wav(chunk(b"fmt ", form()), chunk(b"JUNK", bytes(room + 2))))


def test_unfinished() -> None:
    """A header that is not whole yet says nothing."""
    header = read(wav(chunk(b"fmt ", form()))[:-1])
    assert header.coding is None
    assert header.init == b""


@given(st.binary(max_size=200), st.integers(1, 50))
def test_anything_behind_the_magic(noise: bytes, size: int) -> None:
    """Any bytes at all are read, waited for or refused: no other exception, and any slicing alike."""

    def outcome(size: int | None) -> object:
        try:
            header = read(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + noise, size)
        except UnknownFormat as refusal:
            return str(refusal)
        return header.coding, header.init

    assert outcome(size) == outcome(None)


def test_wav_header_is_what_the_standard_library_writes() -> None:
    """A header of known length is, octet for octet, the one of Python's own `wave`."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(b"\1\2\3\4" * 100)
    assert wav_header(44100, 2, 400) + b"\1\2\3\4" * 100 == buffer.getvalue()


def test_wav_header_of_a_stream() -> None:
    """Without a length both sizes are the placeholder, everything else is the same."""
    header = wav_header(24000, 1)
    assert len(header) == 44
    assert struct.unpack_from("<I", header, 4) == struct.unpack_from("<I", header, 40) == (0xFFFFFFFF,)
    assert header[8:40] == wav_header(24000, 1, 0)[8:40]


@pytest.mark.parametrize("values", [(44100, 70000, 0), (-1, 1, 0), (44100, 2, 1 << 32)])
def test_wav_header_refuses_what_does_not_fit(values: tuple[int, int, int]) -> None:
    """Values beyond their fields are an EncodeError, not a broken file."""
    with pytest.raises(EncodeError):
        wav_header(*values)
