"""What an encoder gives: packets, and the few facts without which nobody can play them.

Invariant: joined, the packets of one encoder cover the song without hole or overlap: each begins where the one before
it ended. Times are samples a channel at the encoder's rate, counted from the song's first sample.
It must not know containers: those tell time in their own units.
"""

from dataclasses import dataclass

from msgspec import Struct

from transcode.spec import EncoderSpec


# The collector need not look at those: they hold no reference to anything that could refer back.
class Packet(Struct, frozen=True, array_like=True, gc=False):
    """One codec unit, or several whole ones, in `data`.

    `pts` is where its sound begins, negative while an encoder's delay passes; `duration` is how long it lasts, delay
    and padding included; `padding` is how much of its end lies behind the song's end, known for the last packets only.
    `discontinuity` tells that sound was lost right before it.
    """

    data: bytes
    pts: int
    duration: int
    padding: int = 0
    discontinuity: bool = False


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """`delay` is what a decoder must drop at the start. `extradata` is OpusHead, AudioSpecificConfig or STREAMINFO.

    The first for opus, the second for aac, the third, 34 bytes with no MD5 and no length, for flac; else it is empty.
    """

    spec: EncoderSpec
    delay: int = 0
    extradata: bytes = b""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What came of a step: packets, and the config from the step on in which it is known.

    Taking up the encode behind these packets needs `lead`, how many samples at the song's rate were dropped at its
    start because an encoder had put them there, and `rewind`, the sample of the song, counted from its first frame,
    from which bytes must be fed so that the packets are as they would have been.
    """

    packets: tuple[Packet, ...]
    config: CodecConfig | None
    lead: int = 0
    rewind: int = 0


@dataclass(frozen=True, slots=True)
class Resume:
    """Where an encode that broke off is taken up again.

    `at` is the pts of the first packet that is wanted, on the grid of the first encode. The bytes that follow begin
    `skipped` samples, at the song's rate, behind its first frame; `lead` is what the first encode told.
    """

    at: int
    skipped: int
    lead: int
