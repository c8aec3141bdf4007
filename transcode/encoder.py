"""The door to the encoders: blocks of samples in, packets out, one encoder for each codec.

Invariant: joined, the packets cover the song from where the encoder began, without hole or overlap; durations less
paddings are the delay and the sound that was fed, to the sample. What comes out depends on the samples, never on how
they were cut (PCM's packets alone lie where its input was cut).
It must not know decoders or containers.
"""

from collections.abc import Callable
from typing import Protocol

from transcode.encoders.aac import AacEncoder
from transcode.encoders.flac import FlacEncoder
from transcode.encoders.grid import Grid
from transcode.encoders.mp3 import LiveMp3Encoder
from transcode.encoders.opus import OpusEncoder
from transcode.encoders.pcm import PcmEncoder
from transcode.packet import CodecConfig, Packet
from transcode.samples import Block
from transcode.spec import EncoderSpec


class Encoder(Protocol):
    """Blocks are of the spec's channels, their samples at its rate. Raises `EncodeError` when the codec fails."""

    config: CodecConfig

    def encode(self, block: Block) -> list[Packet]:
        """Take a block, give the packets that it completes."""

    def flush(self) -> list[Packet]:
        """Give the rest, the last packets with their padding. It is of no use afterwards."""


# By `EncoderSpec.codec`: what makes an encoder, and what tells where its packets lie.
_ENCODERS: dict[str, tuple[Callable[[EncoderSpec, int, int | None], Encoder], Callable[[EncoderSpec], Grid]]] = {
    "pcm": (PcmEncoder, PcmEncoder.grid),
    "flac": (FlacEncoder, FlacEncoder.grid),
    "mp3": (LiveMp3Encoder, LiveMp3Encoder.grid),
    "aac": (AacEncoder, AacEncoder.grid),
    "opus": (OpusEncoder, OpusEncoder.grid),
}


def encoder(spec: EncoderSpec, start: int = 0, at: int | None = None) -> Encoder:
    """The encoder that makes `spec`, loudness aside, from sample `start` of the song on, a multiple of its frame.

    `at` is the pts of the first packet that will be heard, if that is not the first one made. Raises `EncodeError` for
    what the codec has not.
    """
    make, _ = _ENCODERS[spec.codec]
    return make(spec, start, at)


def grid(spec: EncoderSpec) -> Grid:
    """Where in time its packets lie."""
    _, cells = _ENCODERS[spec.codec]
    return cells(spec)
