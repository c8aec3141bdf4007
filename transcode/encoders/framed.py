"""An encoder whose packets are all of one length, the last one filled up with silence: Opus and AAC.

Invariant: packets cover the song from its first sample to its last and no more; what the last one holds behind the
song's end is told as padding. A song at another rate goes through one resampler, that which cuts it to frames.
It must not know which of the two it is.
"""

import numpy as np

from transcode.encoders.codec import Codec
from transcode.encoders.grid import Grid, Timeline
from transcode.packet import CodecConfig, Packet
from transcode.remix import resampled
from transcode.samples import Block
from transcode.spec import EncoderSpec


class FramedEncoder:
    """Drives `codec`, whose units lie on `grid`, from sample `start` of the song on, at the encoder's rate.

    See `Encoder`.
    """

    def __init__(self, spec: EncoderSpec, codec: Codec, grid: Grid, start: int) -> None:
        self._rates = codec.song_rate, spec.sample_rate
        self._start, self._taken = start, 0
        self.config = CodecConfig(spec, grid.delay, codec.extradata)
        self._codec = codec
        self._timeline = Timeline(grid, start)
        self._silence = np.zeros((spec.channels, grid.frame), dtype=np.int16)

    def encode(self, block: Block) -> list[Packet]:
        """Take a block, give the packets that it completes."""
        self._taken += block.shape[1]
        self._timeline.end = self._start + resampled(self._taken, *self._rates)
        return self._timeline.timed(self._codec.encode(block))

    def flush(self) -> list[Packet]:
        """Give the rest. It is of no use afterwards."""
        timeline = self._timeline
        units: list[bytes] = []
        due = timeline.due
        while len(units) < due:
            units += self._codec.encode(self._silence)
        return timeline.timed(units, last=True)
