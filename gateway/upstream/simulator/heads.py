"""What stands before the sound in a file: a tag, an Info frame, a WAV's header in its honest and its other forms.

Invariant: each head is whole and well-formed; where one lies, it lies about sizes only, as live encoders do.
It must not know songs.
"""

import struct
from collections.abc import Callable

from transcode.mp3header import bitrates, parse_header
from transcode.wavheader import wav_header

_SHORT_SECONDS = 0.5
_PLACEHOLDER = 0xFFFFFFFF
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def id3(name: str) -> bytes:
    """An ID3v2.4 tag with a title and the name of what made the song, as the provider's files begin with one."""
    frames = _text_frame(b"TIT2", name) + _text_frame(b"TSSE", "Wavegate simulator")
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + frames


def info_frame(mark: bytes, bitrate: int, sample_rate: int = 48000, channels: int = 2) -> bytes:
    """A silent frame at `bitrate` in bit/s that holds an encoder's mark, `Info` or `Xing`, without any figures.

    An encoder that streams cannot know them yet when this frame goes out. `sample_rate` in Hz and `bitrate` are a pair
    that MP3 has, and a frame has room for the mark from 16 kbit/s on.
    """
    index = bitrates(sample_rate).index(bitrate) + 1
    # MPEG 1, 2 and 2.5 without a checksum, three rates each.
    heads = (
        bytes((0xFF, version, index << 4 | rate << 2, 0x00 if channels == 2 else 0xC0))
        for version in (0xFB, 0xF3, 0xE3)
        for rate in range(3)
    )
    found = ((head, parse_header(head)) for head in heads)
    head, header = next((head, row) for head, row in found if row is not None and row.kind.sample_rate == sample_rate)
    return (head + bytes(header.kind.side_info) + mark + bytes(4)).ljust(header.size, b"\0")


def _extensible(rate: int, channels: int) -> bytes:
    block = 2 * channels
    form = struct.pack("<HHIIHHHHI", 0xFFFE, channels, rate, rate * block, block, 16, 22, 16, 3) + _PCM_GUID
    return struct.pack("<4sI4s4sI40s4sI", b"RIFF", _PLACEHOLDER, b"WAVE", b"fmt ", 40, form, b"data", _PLACEHOLDER)


def _sized(riff: int, data: int) -> Callable[[int, int], bytes]:
    def build(rate: int, channels: int) -> bytes:
        head = bytearray(wav_header(rate, channels))
        struct.pack_into("<I", head, 4, riff)
        struct.pack_into("<I", head, 40, data)
        return bytes(head)

    return build


def _short(rate: int, channels: int) -> bytes:
    return wav_header(rate, channels, round(rate * _SHORT_SECONDS) * 2 * channels)


# Form of a WAV's header -> how it is made, from a rate in Hz and a number of channels.
WAV_FORMS: dict[str, Callable[[int, int], bytes]] = {
    "0xFFFFFFFF": _sized(_PLACEHOLDER, _PLACEHOLDER),
    "0x7FFFFFFF": _sized(0x7FFFFFFF, 0x7FFFFFFF - 36),
    "0": _sized(0, 0),
    "short": _short,
    "extensible": _extensible,
    "bare": lambda rate, channels: b"",
}


def _text_frame(name: bytes, text: str) -> bytes:
    body = b"\x03" + text.encode()
    return name + _synchsafe(len(body)) + b"\x00\x00" + body


def _synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
