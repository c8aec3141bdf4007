"""An MP3 of variable bitrate out of one of constant bitrate: each frame's sound in a frame of another size.

Invariant: it decodes to the same samples. What an encoder lent to later frames (its reservoir) is moved to where it
belongs, so that every frame stands for itself; then a frame takes the smallest size that holds it, or one of the next
two in turn, so that sizes vary with any encoder. MPEG 1, stereo, without checksums only: what our encoder makes.
It must not decode.
"""

from collections.abc import Iterable, Iterator

from transcode.framer import Framer
from transcode.mp3header import HEADER_BYTES, bitrates, parse_header

BITRATE = 128_000
"""What to encode with: 384 bytes a frame and the 511 of a reservoir still fit into the largest frame of 960."""

_HEAD = HEADER_BYTES + 32  # header and side information
_SIDE_BITS = 256
_BACK_BITS = 9  # how far back the sound begins, at the beginning of the side information
_PARTS = tuple(_SIDE_BITS - 20 - 59 * part - 12 for part in range(4))  # where the lengths of the four parts stand
_LARGEST_RESERVOIR = 511


def vary(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The frames of an MP3 at `BITRATE` that comes in arbitrary pieces, anew."""
    framer = Framer()
    repacking = _Repacking()
    for piece in pieces:
        yield b"".join(repacking.frame(frame.data) for frame in framer.feed(piece))
    yield b"".join(repacking.frame(frame.data) for frame in framer.flush())


class _Repacking:
    def __init__(self) -> None:
        self._lent = b""  # the end of the sound data that has been seen
        self._number = 0

    def frame(self, frame: bytes) -> bytes:
        side = int.from_bytes(frame[HEADER_BYTES:_HEAD], "big")
        back = side >> (_SIDE_BITS - _BACK_BITS)
        length = -(-sum(side >> at & 0xFFF for at in _PARTS) // 8)
        data = self._lent + frame[_HEAD:]
        start = len(self._lent) - back
        self._lent = data[-_LARGEST_RESERVOIR:]
        head = self._header(frame, _HEAD + length)
        self._number += 1
        own = side & (1 << _SIDE_BITS - _BACK_BITS) - 1
        found = parse_header(head)
        assert found is not None, "only the bitrate of a good header was changed"
        sound = data[start : start + length]
        return (head + own.to_bytes(_SIDE_BITS // 8, "big") + sound).ljust(found.size, b"\0")

    def _header(self, frame: bytes, needed: int) -> bytes:
        rates = bitrates(48000)
        heads = [frame[:2] + bytes((index << 4 | frame[2] & 0x0D,)) + frame[3:4] for index in range(1, len(rates) + 1)]
        fitting = [head for head in heads if (header := parse_header(head)) is not None and header.size >= needed]
        return fitting[min(self._number % 3, len(fitting) - 1)]
