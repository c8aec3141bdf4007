"""An MP3 of variable bitrate out of one of constant bitrate: each frame's sound in a frame of another size.

Invariant: it decodes to the same samples. What an encoder lent to later frames (its reservoir) is moved to where it
belongs, so that every frame stands for itself; then a frame takes the smallest size that holds it, or one of the next
two in turn, so that sizes vary with any encoder. Frames without checksums only: what our encoder makes.
It must not decode.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from transcode.framer import Framer
from transcode.mp3header import HEADER_BYTES, Kind, bitrates, parse_header

BITRATE = 128_000
"""What a stereo song at 48 kHz is to be encoded with."""

_LARGEST_RESERVOIR = 511


def bitrate(sample_rate: int, channels: int) -> int:
    """What to encode with, in bit/s, for `vary`: at most 64 kbit/s a channel.

    The rest of the condition is that a frame's sound and all that it may have borrowed fit into the largest frame: at
    48 kHz, 384 bytes and the 511 of a reservoir into 960.
    """
    rates = bitrates(sample_rate)
    borrowed = 511 if sample_rate >= 32000 else 255  # MPEG 1; MPEG 2 and 2.5 count it in a bit less
    samples = 1152 if sample_rate >= 32000 else 576
    sizes = {rate: samples // 8 * rate // sample_rate for rate in rates}
    return max(rate for rate in rates if rate <= 64_000 * channels and sizes[rate] + 1 + borrowed <= sizes[rates[-1]])


def vary(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The frames of an MP3 at `bitrate` that comes in arbitrary pieces, anew."""
    framer = Framer()
    repacking = _Repacking()
    for piece in pieces:
        yield b"".join(repacking.frame(frame.data) for frame in framer.feed(piece))
    yield b"".join(repacking.frame(frame.data) for frame in framer.flush())


@dataclass(frozen=True, slots=True)
class _Side:
    """Where things stand in side information of `bits` bits.

    It begins with how far back the sound begins, in `back` bits, and ends with `parts` descriptions of `width` bits,
    each of which begins with the length of its part of the sound, in bits, in 12 bits.
    """

    bits: int
    back: int
    parts: int
    width: int

    @classmethod
    def of(cls, kind: Kind) -> "_Side":
        if kind.version == "1":
            return cls(8 * kind.side_info, 9, 2 * kind.channels, 59)
        return cls(8 * kind.side_info, 8, kind.channels, 63)

    def length(self, side: int) -> int:
        """Bytes of sound that belong to the frame."""
        return -(-sum(side >> self.width * (part + 1) - 12 & 0xFFF for part in range(self.parts)) // 8)


class _Repacking:
    def __init__(self) -> None:
        self._lent = b""  # the end of the sound data that has been seen
        self._number = 0

    def frame(self, frame: bytes) -> bytes:
        found = parse_header(frame)
        assert found is not None, "the framer gives whole frames"
        layout = _Side.of(found.kind)
        head = HEADER_BYTES + found.kind.side_info
        side = int.from_bytes(frame[HEADER_BYTES:head], "big")
        start = len(self._lent) - (side >> (layout.bits - layout.back))
        length = layout.length(side)
        data = self._lent + frame[head:]
        self._lent = data[-_LARGEST_RESERVOIR:]
        header, size = self._header(frame, found.kind, head + length)
        self._number += 1
        own = side & (1 << layout.bits - layout.back) - 1
        sound = data[start : start + length]
        return (header + own.to_bytes(found.kind.side_info, "big") + sound).ljust(size, b"\0")

    def _header(self, frame: bytes, kind: Kind, needed: int) -> tuple[bytes, int]:
        """A header like the frame's with a size, in bytes, of at least `needed`."""
        indices = range(1, len(bitrates(kind.sample_rate)) + 1)
        heads = [frame[:2] + bytes((index << 4 | frame[2] & 0x0D,)) + frame[3:4] for index in indices]
        found = [(head, parse_header(head)) for head in heads]
        fitting = [(head, row.size) for head, row in found if row is not None and row.size >= needed]
        return fitting[min(self._number % 3, len(fitting) - 1)]
