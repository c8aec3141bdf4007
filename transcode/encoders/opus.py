"""Opus, by libopus, in packets of 20 ms.

Invariant: the delay is what OpusHead calls pre-skip, which counts at 48 kHz whatever the rate. It must not know
containers.
"""

from transcode.encoders.framed import FramedEncoder
from transcode.encoders.grid import Grid
from transcode.encoders.libopus import LibOpus
from transcode.errors import EncodeError
from transcode.spec import EncoderSpec

_PRE_SKIP = 312  # at 48 kHz: libopus' look-ahead for "audio"


class OpusEncoder(FramedEncoder):
    """Opus from `start` on, at 8, 12, 16, 24 or 48 kHz. See `Encoder`."""

    @staticmethod
    def grid(spec: EncoderSpec) -> Grid:
        """Where its packets lie."""
        # Its predictions reach back; after a second nothing is left of where it began.
        return Grid(spec.sample_rate // 50, _PRE_SKIP * spec.sample_rate // 48000, warmup=50)

    def __init__(self, spec: EncoderSpec, start: int = 0, at: int | None = None) -> None:
        del at  # as in AAC
        codec, grid = LibOpus(spec.sample_rate, spec.channels, spec.bitrate), self.grid(spec)
        if codec.lookahead != grid.delay:
            raise EncodeError("this libopus has another delay than is known here")
        super().__init__(spec, codec, grid, start)
