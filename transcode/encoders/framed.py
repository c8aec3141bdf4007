"""An encoder whose packets are all of one length, the last one filled up with silence: Opus and AAC.

Invariant: packets cover the song from its first sample to its last and no more; what the last one holds behind the
song's end is told as padding.
It must not know which of the two it is.
"""

from typing import Protocol

import numpy as np

from transcode.encoders.grid import Grid, Timeline
from transcode.packet import CodecConfig, Packet
from transcode.samples import Block
from transcode.spec import EncoderSpec


class Units(Protocol):
    """What makes one codec's units of samples."""

    @property
    def extradata(self) -> bytes:
        """What a container must hold beside them."""

    def encode(self, block: Block) -> list[bytes]:
        """The units that this block completes."""


class FramedEncoder:
    """Drives `codec`, whose units lie on `grid`, from sample `start` of the song on, at the encoder's rate.

    See `Encoder`.
    """

    def __init__(self, spec: EncoderSpec, codec: Units, grid: Grid, start: int) -> None:
        self.config = CodecConfig(spec, grid.delay, codec.extradata)
        self._codec = codec
        self._timeline = Timeline(grid, start)
        self._silence = np.zeros((spec.channels, grid.frame), dtype=np.int16)

    def encode(self, block: Block) -> list[Packet]:
        """Take a block, give the packets that it completes."""
        self._timeline.end += block.shape[1]
        return self._timeline.timed(self._codec.encode(block))

    def flush(self) -> list[Packet]:
        """Give the rest. It is of no use afterwards."""
        timeline = self._timeline
        units: list[bytes] = []
        due = timeline.due
        while len(units) < due:
            units += self._codec.encode(self._silence)
        return timeline.timed(units, last=True)
