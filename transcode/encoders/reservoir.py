"""MP3 frames that borrow nothing from their neighbours, out of frames that do (ISO/IEC 11172-3, 2.4.2.7).

LAME puts a frame's bits into what frames before it left free, so that whoever joins in the middle, or hears an encode
that another one took up, has frames without their beginning. `lameenc` cannot be told not to.
Invariant: not a bit of the coded sound changes, and what is freed is given the lowest bitrate that holds it.
It must not know where frames come from, nor time.
"""

from bisect import bisect_left
from functools import cache, lru_cache

from transcode.mp3header import HEADER_BYTES, MPEG1_RATE, Header, Kind, parse_header
from transcode.sideinfo import LENGTH_BITS, parts

_INDICES = range(1, 15)  # of bitrates, the lowest first
_REACH = 511  # octets that a frame can borrow at most
_HALF_REACH = 255  # and below MPEG 1


def frees(sample_rate: int, bitrate: int) -> bool:
    """Whether every frame at this rate in Hz and bitrate in bit/s can be freed: the largest frame holds it and what it
    borrows.
    """
    octets, most, reach = (144, 320_000, _REACH) if sample_rate >= MPEG1_RATE else (72, 160_000, _HALF_REACH)
    return octets * bitrate // sample_rate + 1 + reach <= octets * most // sample_rate


class Reservoir:
    """Takes frames in order, from an encoder's first one on, without checksums."""

    def __init__(self) -> None:
        self._before = b""  # the last octets of what frames have held

    def taken(self, frame: bytes, *, first: bool = False) -> bytes:
        """The frame, freed if all frames of its kind and bitrate can be, else as it is.

        The latter are nearly all so large that they borrow from one neighbour alone. The `first` that somebody hears is
        freed all the same, but for what frames after it have put into it; where nothing is large enough for both, it is
        silent.
        """
        header = parse_header(frame)
        if header is None:
            return frame
        start = HEADER_BYTES + header.kind.side_info
        before, slot = self._before, frame[start:]
        self._before = (before + slot)[-_REACH:]
        fits = frees(header.kind.sample_rate, header.bitrate)
        if not fits and not first:
            return frame
        borrowed, own = _fields(frame, header)
        # An encoder that has made nothing yet borrows nothing.
        held = before[len(before) - borrowed :] + slot if borrowed <= len(before) else b""
        lent = b"" if fits else held[own:]
        head = _head(frame, start + own + len(lent)) if len(held) >= own else None
        if head is None:
            return frame[:HEADER_BYTES] + bytes(header.kind.side_info) + slot
        side = _unborrowed(frame[HEADER_BYTES:start], header.kind)
        return (head + side + held[:own]).ljust(_size(head) - len(lent), b"\0") + lent

    def early(self, frame: bytes) -> bytes | None:
        """What `taken` will give of a frame whose end is not there yet, as soon as all that is its own is there.

        What is missing then are octets for frames behind it: to wait for them would cost the time of a frame.
        """
        header = parse_header(frame)
        if header is None:
            return None
        start = HEADER_BYTES + header.kind.side_info
        if len(frame) < start or not frees(header.kind.sample_rate, header.bitrate):
            return None
        borrowed, own = _fields(frame, header)
        held = self._before[len(self._before) - borrowed :] + frame[start:]
        if borrowed > len(self._before) or len(held) < own or (head := _head(frame, start + own)) is None:
            return None
        return (head + _unborrowed(frame[HEADER_BYTES:start], header.kind) + held[:own]).ljust(_size(head), b"\0")


def _fields(frame: bytes, header: Header) -> tuple[int, int]:
    """From the side information: the octets that the frame borrows, and all that are its own."""
    kind = header.kind
    fields = int.from_bytes(frame[HEADER_BYTES : HEADER_BYTES + kind.side_info], "big")
    pointer, lengths = _shifts(kind)
    bits = sum([fields >> shift & (1 << LENGTH_BITS) - 1 for shift in lengths])
    return fields >> pointer, (bits + 7) // 8


@cache
def _shifts(kind: Kind) -> tuple[int, list[int]]:
    """How far the pointer, and the length of each part, stand from the end of the side information, in bits."""
    bits = kind.side_info * 8
    return bits - (9 if kind.version == "1" else 8), [bits - part - LENGTH_BITS for part in parts(kind)]


def _unborrowed(side: bytes, kind: Kind) -> bytes:
    return bytes((0, side[1] & 0x7F)) + side[2:] if kind.version == "1" else b"\0" + side[1:]


def _head(frame: bytes, octets: int) -> bytes | None:
    """The frame's header with the lowest bitrate, and without or with padding, by which it has so many octets."""
    sizes, heads = _heads(bytes((frame[0], frame[1], frame[2] & 0x0D, frame[3])))
    at = bisect_left(sizes, octets)
    return heads[at] if at < len(heads) else None


@lru_cache(1 << 8)  # a song has as many as its frames have ways to join two channels
def _heads(blank: bytes) -> tuple[list[int], list[bytes]]:
    """All that a header without bitrate and padding can be, the smallest frame first, and the frames' sizes."""
    bits = [index << 4 | padding for index in _INDICES for padding in (0, 2)]
    heads = [bytes((blank[0], blank[1], blank[2] | bit, blank[3])) for bit in bits]
    return [_size(head) for head in heads], heads


def _size(head: bytes) -> int:
    header = parse_header(head)
    return header.size if header else 0
