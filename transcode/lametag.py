"""What an encoder says in the silent frame at the head of an MP3: how much of the sound it added at both ends.

Read from the songs of others, and written for files whose end is known.
Invariant: nothing is believed that does not come whole and from an encoder that is known to mean it (LAME, and
FFmpeg's, which writes the same fields); what is written is read back as it was meant. Figures are samples a channel.
It must not know streams or decoders' errors; what a frame says is all there is.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from transcode.errors import EncodeError
from transcode.mp3header import HEADER_BYTES, Header, parse_header

DECODER_DELAY = 529  # what every decoder adds, by the arithmetic of the codec's filters

_FRAMES, _BYTES, _INDEX, _QUALITY = 1, 2, 4, 8
_ENCODERS = (b"LAME", b"Lavf", b"Lavc")
_DELAYS_AT = 21  # octets behind the encoder's name
_MOST_FRAMES = 1 << 28
_INDEX_BYTES = 100
_CONSTANT, _VARIABLE = 1, 2  # how the bits were shared out, as LAME numbers it
_BITRATES = range(1, 15)  # as indices in a header, the lowest first
# Behind the mark: which fields follow, frames, bytes, the index and the quality.
_FIGURES = struct.Struct(f">4sIII{_INDEX_BYTES}sI")
# LAME's own: its name, the method, 10 octets for what is not known here, the bitrate, delay with padding, four more for
# what is not known, the length and the checksum of everything. Behind them stands the checksum of all that was said.
_LAME = struct.Struct(">9sB10xB3s4xI2x")
_CHECKSUM_BYTES = 2


@dataclass(frozen=True, slots=True)
class Trim:
    """What of a decoded song is no song: the first `lead` samples, and those from `end` up to `stop`.

    Both ends are counted from the first decoded sample; they are None when the length is not told.
    """

    lead: int
    end: int | None = None
    stop: int | None = None


NOTHING = Trim(0)


def trim(frame: bytes) -> Trim:
    """What the Info or Xing frame says. One without an encoder's figures, or that is neither, says nothing."""
    header = parse_header(frame)
    if header is None:
        return NOTHING
    start = HEADER_BYTES + header.kind.side_info
    # In a frame with a checksum some encoders count its two octets, LAME does not.
    at = next((at for at in (start, start + 2) if frame[at : at + 4] in (b"Xing", b"Info")), None)
    if at is None or len(frame) < at + 8:
        return NOTHING
    fields = int.from_bytes(frame[at + 4 : at + 8], "big")
    at += 8
    count = int.from_bytes(frame[at : at + 4], "big") if fields & _FRAMES else 0
    for field, size in ((_FRAMES, 4), (_BYTES, 4), (_INDEX, 100), (_QUALITY, 4)):
        at += size if fields & field else 0
    figures = frame[at + _DELAYS_AT : at + _DELAYS_AT + 3]
    if frame[at : at + 4] not in _ENCODERS or len(figures) < 3:
        return NOTHING
    both = int.from_bytes(figures, "big")
    delay, padding = both >> 12, both & 0xFFF
    lead = delay + DECODER_DELAY
    stop = count * header.kind.samples
    end = max(stop - padding + DECODER_DELAY, lead)
    if not 0 < count < _MOST_FRAMES or end > stop:
        return Trim(lead)
    return Trim(lead, end, stop)


def info(song: bytes, delay: int, padding: int) -> bytes:
    """The frame to stand before `song`, which is whole MP3 frames of one kind and nothing else.

    A decoder is to drop `delay` samples at their start, with those that it adds itself, and `padding` at their end.
    Raises EncodeError for what it cannot say.
    """
    own = delay - DECODER_DELAY
    added = padding + DECODER_DELAY
    first = parse_header(song)
    if first is None or not 0 <= own < 1 << 12 or not 0 <= added < 1 << 12:
        raise EncodeError(f"no Info frame tells of a delay of {delay} and a padding of {padding} samples")
    starts, rates = [], set()
    for at, header in _frames(song):
        starts.append(at)
        rates.add(header.bitrate)
    constant = len(rates) == 1
    head, size = _head(song, first)
    total = size + len(song)
    # Players jump by it in a file whose frames are of many sizes: where each hundredth begins, in 256ths of the file.
    index = bytes((size + starts[part * len(starts) // _INDEX_BYTES]) * 256 // total for part in range(_INDEX_BYTES))
    frame = head + bytes(first.kind.side_info)
    fields = _FRAMES | _BYTES | _INDEX | _QUALITY
    frame += _FIGURES.pack(b"Info" if constant else b"Xing", fields, len(starts), total, index, 0)
    method, least = (_CONSTANT if constant else _VARIABLE), min(min(rates) // 1000, 255)
    frame += _LAME.pack(b"LAME3.100", method, least, (own << 12 | added).to_bytes(3, "big"), total)
    return (frame + _checksum(frame).to_bytes(_CHECKSUM_BYTES, "big")).ljust(size, b"\0")


def _frames(song: bytes) -> Iterator[tuple[int, Header]]:
    at = 0
    while (header := parse_header(song, at)) is not None:
        yield at, header
        at += header.size


def _head(song: bytes, first: Header) -> tuple[bytes, int]:
    """A header like the first frame's, without a checksum or padding, and the size of a frame that holds all figures.

    Its bitrate is the song's own where that is enough: there are players that believe no other.
    """
    least = HEADER_BYTES + first.kind.side_info + _FIGURES.size + _LAME.size + _CHECKSUM_BYTES
    own = song[2] >> 4
    for index in (own, *_BITRATES):
        head = bytes((song[0], song[1] | 1, index << 4 | song[2] & 0x0C, song[3]))
        header = parse_header(head)
        if header is not None and header.size >= least:
            return head, header.size
    raise EncodeError("no MP3 frame of this kind holds an encoder's figures")  # pragma: no cover - the largest do


def _checksum(data: bytes) -> int:
    """CRC-16 as LAME has it (reflected, 0x8005)."""
    crc = 0
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
