"""What stands before the sound in a file: a tag, an Info frame, a WAV's header in its honest and its other forms.

Invariant: each head is whole and well-formed; where one lies, it lies about sizes only, as live encoders do.
It must not know songs.
"""

import struct
from collections.abc import Callable

from transcode.encoder import wav_header
from transcode.mp3header import bitrates, parse_header

_SHORT_SECONDS = 0.5
_PLACEHOLDER = 0xFFFFFFFF
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def id3(name: str) -> bytes:
    """An ID3v2.4 tag with a title and the name of what made the song, as the provider's files begin with one."""
    frames = _text_frame(b"TIT2", name) + _text_frame(b"TSSE", "Wavegate simulator")
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + frames


def info_frame(mark: bytes, bitrate: int) -> bytes:
    """A silent frame of 48 kHz stereo at `bitrate` that holds an encoder's mark, `Info` or `Xing`, without any figures.

    An encoder that streams cannot know them yet when this frame goes out.
    """
    index = bitrates(48000).index(bitrate) + 1
    head = bytes((0xFF, 0xFB, index << 4 | 1 << 2, 0x00))
    header = parse_header(head)
    assert header is not None, "this is a header of MPEG 1 at 48 kHz"
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
}


def _text_frame(name: bytes, text: str) -> bytes:
    body = b"\x03" + text.encode()
    return name + _synchsafe(len(body)) + b"\x00\x00" + body


def _synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
