"""Signed 16-bit little-endian PCM, channels interleaved: no codec at all.

Invariant: joined, the packets are the samples, those of a 16-bit song untouched.
It must not know containers.
"""

from transcode.encoders.grid import Grid
from transcode.packet import CodecConfig, Packet
from transcode.samples import Block, to_s16le
from transcode.spec import EncoderSpec

_PACKETS_A_SECOND = 50  # at least: whoever cuts chunks of them has somewhere to cut, and little to hold back


class PcmEncoder:
    """PCM from `start` on. See `Encoder`."""

    @staticmethod
    def grid(spec: EncoderSpec) -> Grid:
        """Packets may begin at any sample."""
        return Grid(1)

    def __init__(self, spec: EncoderSpec, start: int = 0, at: int | None = None) -> None:
        self.config = CodecConfig(spec)
        self._next = start
        self._most = spec.sample_rate // _PACKETS_A_SECOND

    def encode(self, block: Block) -> list[Packet]:
        """All of the block, at once."""
        channels, samples = block.shape
        data, begin, most, size = to_s16le(block), self._next, self._most, 2 * channels
        self._next += samples
        return [
            Packet(data[at * size : (at + most) * size], begin + at, min(most, samples - at))
            for at in range(0, samples, most)
        ]

    def flush(self) -> list[Packet]:
        """Nothing: all was given."""
        return []
