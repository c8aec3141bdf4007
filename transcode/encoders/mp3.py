"""MP3 for whoever may join anywhere: whole frames, which need as few of those before them as they can.

Invariant: packets are single frames; the first sound is heard as late as its grid says. LAME's frames that borrow are
freed of it up to 160 kbit/s (stereo at 44.1 kHz; constant bitrate becomes variable, and 5 % less). Above, a frame
needs one other, and only the first packet of an encode that is taken up again is freed.
It must not know which LAME it is.
"""

from transcode.encoders.grid import Grid, Timeline
from transcode.encoders.reservoir import Reservoir, frees
from transcode.errors import EncodeError
from transcode.mp3encoder import DELAY, Mp3Encoder
from transcode.mp3header import MPEG1_RATE, parse_header
from transcode.packet import CodecConfig, Packet
from transcode.samples import Block, to_s16le
from transcode.spec import EncoderSpec

# LAME makes its first frame of 224 samples more than it needs for each further one, with so much silence before the
# song of as many: a decoded song, which comes frame by frame, is then not kept waiting for its next one.
_SILENCE = 224


def _ahead(spec: EncoderSpec) -> int:
    """Samples of silence that are put before the song: where a frame is given only when the next one is made."""
    return _SILENCE if spec.sample_rate >= MPEG1_RATE and not frees(spec.sample_rate, spec.bitrate or 0) else 0


class LiveMp3Encoder:
    """MP3 from `start` on. See `Encoder`."""

    @staticmethod
    def grid(spec: EncoderSpec) -> Grid:
        """Where its packets lie."""
        return Grid(1152 if spec.sample_rate >= MPEG1_RATE else 576, DELAY + _ahead(spec), warmup=20)

    def __init__(self, spec: EncoderSpec, start: int = 0, at: int | None = None) -> None:
        if spec.bitrate is None:
            raise EncodeError("an MP3 needs a bitrate")
        self._encoder = Mp3Encoder(spec.sample_rate, spec.channels, spec.bitrate)
        self._before = bytes(2 * spec.channels * _ahead(spec))  # of no sound nothing is made
        self._rest = b""  # frames that are not whole yet
        self._given = False  # the first of them has been given all the same
        self._reservoir = Reservoir() if self._encoder.borrows else None
        grid = self.grid(spec)
        self._timeline = Timeline(grid, start)
        # How many frames nobody will hear, until the first of which somebody has nothing to borrow from.
        self._unheard = None if at is None else (at + grid.delay - start) // grid.frame
        self.config = CodecConfig(spec, grid.delay)

    def encode(self, block: Block) -> list[Packet]:
        """Take a block, give the packets that it completes."""
        if not block.shape[1]:
            return []
        self._timeline.end += block.shape[1]
        pcm, self._before = self._before + to_s16le(block), b""
        return self._timeline.timed(self._cut(self._encoder.feed(pcm)))

    def flush(self) -> list[Packet]:
        """Give the rest. It is of no use afterwards."""
        return self._timeline.timed(self._cut(self._encoder.flush()), last=True)

    def _cut(self, data: bytes) -> list[bytes]:
        """The frames in LAME's bytes, which are nothing else, each as soon as it can be given."""
        rest, at, units = self._rest + data, 0, []
        while (header := parse_header(rest, at)) is not None and at + header.size <= len(rest):
            unit = self._freed(rest[at : at + header.size])
            if not self._given:
                units.append(unit)
            self._given = False
            at += header.size
        self._rest = rest[at:]
        if self._reservoir is not None and not self._given:
            early = self._reservoir.early(self._rest)
            self._given = early is not None
            units += [early] if early is not None else []
        return units

    def _freed(self, frame: bytes) -> bytes:
        if self._reservoir is None:
            return frame
        first = self._unheard == 0
        if self._unheard is not None:
            self._unheard -= 1
        return self._reservoir.taken(frame, first=first)
