"""The door to the decoders: whole codec frames of a song in, blocks of its samples out.

Invariant: the samples that come out depend on the frames that went in, never on how many came at once, but for the
noise that damage may be; all of them are at the rate and in the channels that the song began with. Time is neither
added nor lost, but for what an encoder put around the song.
It must not know where frames come from.
"""

from collections.abc import Sequence
from typing import Protocol

from transcode.formats import CodecFrame
from transcode.mp3decoder import Mp3Decoder
from transcode.pcmdecoder import PcmDecoder
from transcode.samples import Sound


class Decoder(Protocol):
    """A decoder of one song; `errors` is how many frames it refused, which were made silence, and are a gap."""

    sample_rate: int
    channels: int
    errors: int

    @property
    def lead(self) -> int:
        """Samples dropped at the song's start because an encoder had put them there; true once samples are out."""

    def decode(self, frames: Sequence[CodecFrame]) -> list[Sound]:
        """Take frames in order, give all their samples, joined up to where sound is missing."""

    def flush(self) -> list[Sound]:
        """Give what is left. It is of no use afterwards."""


def decoder(codec: str, sample_rate: int, channels: int, *, skipped: int = 0, lead: int = 0) -> Decoder:
    """The decoder of a song of this coding, in FFmpeg's name for it, as a framer tells.

    `skipped` is how many samples the song has before the first frame that will come, and `lead` what was told of it.
    Raises `UnknownFormat` for a coding that is none of a framer's.
    """
    if codec == "mp3":
        return Mp3Decoder(sample_rate, channels, skipped=skipped, lead=lead)
    return PcmDecoder(codec, sample_rate, channels)
