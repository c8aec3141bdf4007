"""Opus, by libopus, in packets of 20 ms.

Invariant: the delay is what OpusHead calls pre-skip, which counts at 48 kHz whatever the rate. It must not know
containers.
"""

from transcode.encoders.codec import Codec
from transcode.encoders.framed import FramedEncoder
from transcode.encoders.grid import Grid
from transcode.errors import EncodeError
from transcode.spec import EncoderSpec

_PRE_SKIP = 312  # at 48 kHz: libopus' look-ahead for "audio"
_PRE_SKIP_AT = 10  # where in OpusHead it stands
# Full complexity costs 12 ms a second of audio, half of it 8: what is saved is heard at low bitrates.
_OPTIONS = {"frame_duration": "20", "application": "audio", "compression_level": "10", "vbr": "on"}


class OpusEncoder(FramedEncoder):
    """Opus from `start` on, at 8, 12, 16, 24 or 48 kHz. See `Encoder`."""

    @staticmethod
    def grid(spec: EncoderSpec) -> Grid:
        """Where its packets lie."""
        # Its predictions reach back; after a second nothing is left of where it began.
        return Grid(spec.sample_rate // 50, _PRE_SKIP * spec.sample_rate // 48000, warmup=50)

    def __init__(self, spec: EncoderSpec, start: int = 0, at: int | None = None, song_rate: int | None = None) -> None:
        codec = Codec("libopus", spec.sample_rate, spec.channels, spec.bitrate, "flt", _OPTIONS, song_rate)
        if int.from_bytes(codec.extradata[_PRE_SKIP_AT : _PRE_SKIP_AT + 2], "little") != _PRE_SKIP:
            raise EncodeError("this libopus has another delay than is known here")
        super().__init__(spec, codec, self.grid(spec), start)
