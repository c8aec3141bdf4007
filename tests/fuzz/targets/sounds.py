"""Sound as the provider sends it: MP3, WAV and PCM without a header, cut into whole codec frames.

Invariant under test: the frames, what they say of the song, and the one refusal do not depend on where the network
cuts; no octet is invented, doubled or moved; what is held back is bounded.
"""

import pickle
from collections.abc import Iterable

from tests.fuzz.target import Target, octets, slices
from transcode.errors import UnknownFormat
from transcode.formats import WAV, CodecFrame, StreamFormat
from transcode.framer import Framer
from transcode.mp3header import parse_header
from transcode.rawframer import RawFramer
from transcode.wavheader import MAX_HEADER, wav_header

# A frame of the largest kind, the head of the next, and what an object weighs.
MOST_HELD = 2881 + 4 + 2048
# Octet by octet, longer inputs cost more than they tell.
SHORT = 1000

Outcome = tuple[list[CodecFrame], StreamFormat | None, str | None, bytes, int] | str


def _framed(pieces: Iterable[bytes]) -> Outcome:
    framer, frames = Framer(), list[CodecFrame]()
    try:
        for piece in pieces:
            frames += framer.feed(piece)
        held = len(pickle.dumps(framer))
        assert held <= MOST_HELD + 192000 // 100 * 8 + (MAX_HEADER if framer.format is None else 0)
        frames += framer.flush()
    except UnknownFormat:
        return "unknown"
    return frames, framer.format, framer.codec, framer.init, framer.skipped


def framer(data: bytes) -> None:
    """The door to both framers: frames stand in the input in their order, and are whole."""
    outcome = _framed([data])
    assert _framed(slices(data)) == outcome
    if len(data) <= SHORT:
        assert _framed(octets(data)) == outcome
    if isinstance(outcome, str):
        return
    frames, form, codec, init, skipped = outcome
    assert (form is None) == (codec is None)
    assert form is not None or not frames
    at = len(init)
    assert data.startswith(init)
    for frame in frames:
        found = data.find(frame.data, at)
        assert found >= 0, "a frame is the provider's own octets, in their order"
        if codec == "mp3":
            header = parse_header(frame.data)
            assert header is not None
            assert header.size == len(frame.data)
            assert frame.samples in (0, header.kind.samples)
        else:
            assert found == at, "a WAV has no gaps"
            assert form is not None
            assert form.format == WAV
            assert frame.samples > 0
        at = found + len(frame.data)
    assert len(init) + sum(len(frame.data) for frame in frames) + skipped <= len(data)


def raw(data: bytes) -> None:
    """PCM without a header: joined, the frames are the input but for a part of a sample block."""
    for channels in (1, 2):
        for pieces in ([data], slices(data), octets(data)):
            cutter = RawFramer(StreamFormat(WAV, 24000, channels, 24000 * channels * 16))
            frames = [frame for piece in pieces for frame in cutter.feed(piece)] + cutter.flush()
            joined = b"".join(frame.data for frame in frames)
            assert joined == data[: len(data) - len(data) % (2 * channels)]
            assert sum(frame.samples for frame in frames) * 2 * channels == len(joined)


_STEREO = b"\xff\xfb\x90\x64" + b"\0" * 413
_MONO_24K = b"\xff\xf3\x84\xc4" + b"\x55" * 380
_INFO = b"\xff\xfb\x90\x64" + b"\0" * 32 + b"Info" + b"\0" * 377
_ID3 = b"ID3\x04\0\0\0\0\0\x0a" + b"t" * 10
_HEADER = wav_header(24000, 1)

MP3_TOKENS = (
    *(b"\xff\xfb\x90\x64", b"\xff\xf3\x84\xc4", b"\xff\xe3\x18\xc4", b"\xff\xfb\x00\x64", b"\xff", _STEREO, _MONO_24K),
    *(_INFO, _ID3, b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"TAG" + b"\0" * 125, b"APETAGEX", b"LYRICSBEGIN", b"3DI"),
)
WAV_TOKENS = (
    *(b"RIFF\xff\xff\xff\xffWAVE", b"RF64", b"fmt \x10\0\0\0", b"data\xff\xff\xff\xff", b"data\0\0\0\0", b"LIST"),
    *(_HEADER, wav_header(48000, 2, 8), wav_header(8000, 1, 3), b"ds64\x1c\0\0\0", b"id3 \x04\0\0\0", b"\0" * 480),
)

TARGETS = (
    Target(
        "mp3",
        framer.__doc__ or "",
        framer,
        (_STEREO * 3, _ID3 + _INFO + _STEREO * 2, _STEREO + b"garbage" + _STEREO * 2, _MONO_24K * 2 + _STEREO * 2),
        MP3_TOKENS,
    ),
    Target(
        "wav",
        framer.__doc__ or "",
        framer,
        (
            _HEADER + b"\1\2" * 300,
            wav_header(8000, 1, 3) + b"abc\0LIST\4\0\0\0abcd",
            b"RIFF\0\0\0\0WAVELIST\3\0\0\0abc\0" + _HEADER[12:] + b"\1" * 99,
        ),
        WAV_TOKENS,
    ),
    Target("pcm", raw.__doc__ or "", raw, (b"", b"\1\2\3", b"\1\2" * 500), (b"\0", b"RIFF")),
)
