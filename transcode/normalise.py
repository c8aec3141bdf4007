"""A whole clip brought to a loudness: measured after EBU R128 first, then scaled, with its peaks below -1 dBFS.

Invariant: one gain for the whole clip, and a limiter for what would come out too high; where that made it softer, it is
measured and scaled again. Silence stays as it is. Memory is the clip's, twice, and a second of it as floats.
It must not know codecs, nor why a clip is as it is.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from transcode.limiter import Limiter
from transcode.meter import BLOCK, Programme, Weighting, lufs
from transcode.samples import as_float, from_s16le, to_s16le

_MOST_GAIN: Final = 24.0  # dB; what needs more is noise
_CEILING: Final = -1.0  # dBFS
_NEAR: Final = 0.1  # LU
_ROUNDS: Final = 4

Samples = npt.NDArray[np.float32]


def loudness(pcm: bytes, sample_rate: int, channels: int) -> float:
    """The integrated loudness in LUFS of signed 16-bit samples; of less than 400 ms, that of all of them alike."""
    weighting, programme = Weighting(sample_rate), Programme()
    powers: list[float] = []
    count = len(pcm) // (2 * channels)
    for block in _blocks(pcm, channels, weighting.hop):
        missing = weighting.hop - block.shape[1]
        if missing and count >= BLOCK * weighting.hop:
            break
        powers.append(weighting.power(np.pad(block, ((0, 0), (0, missing)))))
        if len(powers) >= BLOCK:
            programme.add(sum(powers[-BLOCK:]) / BLOCK)
    if count < BLOCK * weighting.hop:
        programme.add(sum(powers) * weighting.hop / max(1, count))
    return programme.loudness()


def normalised(pcm: bytes, sample_rate: int, channels: int, target: float, *, loop: bool = False) -> bytes:
    """The samples at `target` LUFS, or as near as 24 dB of gain bring them.

    With `loop` the limiter knows that the end is followed by the beginning.
    """
    found = loudness(pcm, sample_rate, channels)
    if found == lufs(0.0):
        return pcm
    gain = 0.0
    made = pcm
    for _ in range(_ROUNDS):
        gain = min(_MOST_GAIN, gain + target - found)
        made = _scaled(pcm, sample_rate, channels, gain, loop=loop)
        found = loudness(made, sample_rate, channels)
        if abs(target - found) < _NEAR or gain == _MOST_GAIN:
            break
    return made


def _scaled(pcm: bytes, sample_rate: int, channels: int, gain: float, *, loop: bool) -> bytes:
    limiter = Limiter(sample_rate, channels, _CEILING)
    amplitude = np.float32(10 ** (gain / 20))
    around = 2 * channels * sample_rate if loop else 0
    before, after = pcm[-around:] if loop else b"", pcm[:around]
    out = bytearray()
    for part in (before, pcm, after):
        for block in _blocks(part, channels, sample_rate):
            out += to_s16le(limiter.process(block * amplitude))
    out += to_s16le(limiter.flush())
    return bytes(out[len(before) : len(before) + len(pcm)])


def _blocks(pcm: bytes, channels: int, count: int) -> Iterator[Samples]:
    """Blocks of (channels, count) samples, the last one shorter."""
    size = 2 * channels * count
    parts = (from_s16le(pcm[at : at + size], channels) for at in range(0, len(pcm), size))
    return (np.ascontiguousarray(as_float(part)) for part in parts)
