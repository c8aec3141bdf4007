"""FLAC, by FFmpeg's own encoder, 16 bits a sample.

Invariant: every sample comes back as it was, the last frame is as short as the song makes it, and frames are numbered
from the song's first one, wherever the encoder began. STREAMINFO claims neither a length nor an MD5, which a live song
has not got yet.
It must not know containers.
"""

from transcode.encoders.codec import Codec
from transcode.encoders.flacframe import renumbered
from transcode.encoders.grid import Grid
from transcode.errors import EncodeError
from transcode.packet import CodecConfig, Packet
from transcode.samples import Block
from transcode.spec import EncoderSpec

# Levels from 3 on have frames four times as long, 109 ms to wait, for 1 % less.
_OPTIONS = {"compression_level": "2"}
_FRAME_MS = 27  # at this level frames are the longest of the usual lengths that last no longer
_LENGTHS = (4096, 2304, 2048, 1152, 1024, 576, 512, 256, 192)
_STREAMINFO_BYTES = 34
_LENGTH_AT = 13  # the octet whose lower half begins the 36 bits of the length; the MD5 follows


class FlacEncoder:
    """FLAC from `start` on. See `Encoder`."""

    @staticmethod
    def grid(spec: EncoderSpec) -> Grid:
        """Where its packets lie; only the last one is shorter."""
        return Grid(next(length for length in _LENGTHS if length <= spec.sample_rate * _FRAME_MS // 1000))

    def __init__(self, spec: EncoderSpec, start: int = 0, at: int | None = None) -> None:
        self._codec = Codec("flac", spec.sample_rate, spec.channels, None, "s16", _OPTIONS)
        self._frame = self.grid(spec).frame
        if self._codec.frame != self._frame:
            raise EncodeError("this FLAC encoder has another frame length than is known here")
        self.config = CodecConfig(spec, 0, _endless(self._codec.extradata))
        self._next = start
        self._end = start
        self._first = start // self._frame  # the number that the encoder calls 0

    def encode(self, block: Block) -> list[Packet]:
        """Take a block, give the packets that it completes."""
        self._end += block.shape[1]
        return self._timed(self._codec.encode(block))

    def flush(self) -> list[Packet]:
        """Give the last packet. It is of no use afterwards."""
        return self._timed(self._codec.finish())

    def _timed(self, units: list[bytes]) -> list[Packet]:
        packets = []
        for unit in units:
            length = min(self._frame, self._end - self._next)
            data = renumbered(unit, self._first) if self._first else unit
            packets.append(Packet(data, self._next, length))
            self._next += length
        return packets


def _endless(streaminfo: bytes) -> bytes:
    """STREAMINFO without the length and the MD5."""
    head = streaminfo[:_LENGTH_AT] + bytes((streaminfo[_LENGTH_AT] & 0xF0,))
    return head.ljust(_STREAMINFO_BYTES, b"\0")
