"""From a song's samples to packets: brought to the encoder's rate, channels and loudness, cut to its grid, encoded.

Invariant: sample n of the song stands at the same place of the grid whether its beginning went through here or not.
So where work begins in the middle, it begins at a sample that has its exact counterpart at the other rate, and with the
next frame of the grid from there.
It must not know where samples come from.
"""

from collections.abc import Sequence
from math import gcd
from typing import Protocol

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from transcode.encoder import encoder, grid
from transcode.errors import EncodeError
from transcode.packet import CodecConfig, Packet
from transcode.remix import Remix, resampled
from transcode.samples import Block, Sound, as_float
from transcode.spec import EncoderSpec


class Levelling(Protocol):
    """What `transcode.loudness` makes: as many samples out as in, in the end, some of them later."""

    def process(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a block, give what is ready."""

    def flush(self) -> NDArray[np.float32]:
        """Give the rest."""


class Line:
    """Makes `spec` of a song at `sample_rate` in `channels`.

    The first sample that comes is the song's sample `position`. Packets before `at` are not wanted; None is all are.
    Raises `EncodeError` when `at` is no packet's beginning, or lies before what can be made.
    """

    def __init__(
        self, spec: EncoderSpec, sample_rate: int, channels: int, *, position: int = 0, at: int | None = None
    ) -> None:
        cells = grid(spec)
        step = stride(spec, sample_rate)
        first = -(-position // step) * step
        self._early = first - position  # samples to drop before conversion
        self._origin = first * spec.sample_rate // sample_rate  # `first`, at the encoder's rate
        start = -(-self._origin // cells.frame) * cells.frame
        if at is not None:
            wanted = at + cells.delay
            if wanted % cells.frame or wanted < start:
                raise EncodeError(f"no packet of {spec.codec} begins at {at} in what begins at sample {position}")
            start = max(start, wanted - cells.warmup * cells.frame)
        self._surplus = start - self._origin  # samples to drop after it
        self._at = at
        self._rates = sample_rate, spec.sample_rate
        self._remix = Remix(sample_rate, channels, spec.sample_rate, spec.channels)
        self._levelling = _levelling(spec)
        self._encoder = encoder(spec, start, at)
        self._taken = 0  # samples that went into conversion
        self._splices: list[int] = []  # where sound is missing, in samples at the encoder's rate

    @property
    def config(self) -> CodecConfig:
        """What the encoder says of itself."""
        return self._encoder.config

    def feed(self, sounds: Sequence[Sound]) -> list[Packet]:
        """Take what was decoded, give the packets that it completes."""
        blocks = []
        for sound in sounds:
            if sound.discontinuity:
                self._splices.append(self._origin + resampled(self._taken, *self._rates))
            early = min(self._early, sound.block.shape[1])
            self._early -= early
            blocks.append(sound.block[:, early:])
            self._taken += sound.block.shape[1] - early
        if not blocks:
            return []
        block = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)
        return self._encoded(self._remix.feed(block))

    def flush(self) -> list[Packet]:
        """Give the rest. It is of no use afterwards."""
        packets = self._encoded(self._remix.flush())
        if self._levelling is not None:
            packets += self._wanted(self._encoder.encode(self._cut(self._levelling.flush())))
        return packets + self._wanted(self._encoder.flush())

    def _encoded(self, block: Block) -> list[Packet]:
        if not block.shape[1]:
            return []
        if self._levelling is not None:
            block = self._levelling.process(as_float(block))
        return self._wanted(self._encoder.encode(self._cut(block)))

    def _cut(self, block: Block) -> Block:
        if self._surplus:
            surplus = min(self._surplus, block.shape[1])
            self._surplus -= surplus
            block = block[:, surplus:]
        return block

    def _wanted(self, packets: list[Packet]) -> list[Packet]:
        """The packets from `at` on; that in which sound is missing, or the next one, says so."""
        if self._at is not None:
            packets = [packet for packet in packets if packet.pts >= self._at]
        if not self._splices:
            return packets
        flagged = []
        for packet in packets:
            passed = [splice for splice in self._splices if splice < packet.pts + packet.duration]
            del self._splices[: len(passed)]
            flagged.append(replace(packet, discontinuity=True) if passed else packet)
        return flagged


def stride(spec: EncoderSpec, song_rate: int) -> int:
    """The samples of a song, at `song_rate`, from whose multiples on `spec` can be made."""
    return song_rate // gcd(song_rate, spec.sample_rate)


def _levelling(spec: EncoderSpec) -> Levelling | None:
    if spec.loudness is None:
        return None
    # Only who wants it pays for its tables.
    from transcode.loudness import Loudness

    levelling: Levelling = Loudness(spec.sample_rate, spec.channels, spec.loudness)
    return levelling
