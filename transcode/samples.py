"""Blocks of samples, the form in which sound travels between a decoder and an encoder, and what can be made of one.

Invariant: a block has the shape (channels, samples), planar as a decoder gives it; float32 with full scale at 1, or
int16 where the song is 16-bit and nothing has touched it. Every change of form is to the nearest value, and clips.
It must not know rates, time or codecs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32 | np.int16]

LOUDEST = np.float32(8)  # 18 dB above full scale: a lossy song's honest peaks stay below, damage does not
_SCALE = np.float32(32768)


@dataclass(frozen=True, slots=True)
class Sound:
    """A block, maybe of no samples; `discontinuity` tells that sound was lost right before it."""

    block: Block
    discontinuity: bool = False


def limited(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples, changed in place where one is no number or beyond `LOUDEST`: encoders choke on such."""
    # Looking costs a tenth of mending; what is no number fails every comparison.
    if not samples.size or (samples.max() <= LOUDEST and samples.min() >= -LOUDEST):
        return samples
    np.nan_to_num(samples, copy=False, nan=0.0, posinf=float(LOUDEST), neginf=-float(LOUDEST))
    return np.clip(samples, -LOUDEST, LOUDEST, out=samples)


def as_float(block: Block) -> NDArray[np.float32]:
    """The block as float32, itself where it is one."""
    if block.dtype == np.float32:
        return block.astype(np.float32, copy=False)
    return np.multiply(block, 1 / _SCALE, dtype=np.float32)


def as_s16(block: Block) -> NDArray[np.int16]:
    """The block as 16-bit samples, itself where it is one."""
    if block.dtype == np.int16:
        return block.astype(np.int16, copy=False)
    scaled = np.multiply(block, _SCALE, dtype=np.float32)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32768, 32767, out=scaled)
    return scaled.astype(np.int16)


def from_s16le(pcm: bytes, channels: int) -> NDArray[np.int16]:
    """A block of signed 16-bit little-endian samples, channels interleaved, in whole sample blocks."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.int16, copy=False).reshape(-1, channels).T


def to_s16le(block: Block) -> bytes:
    """The inverse of `from_s16le`, for a block of either kind."""
    channels, samples = block.shape
    # Channel by channel is four times as fast as a copy of the transposed.
    packed = np.empty((samples, channels), dtype="<i2")
    for channel, row in enumerate(as_s16(block)):
        packed[:, channel] = row
    return packed.tobytes()
