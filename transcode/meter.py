"""How loud sound is, after EBU R128 (ITU-R BS.1770): K-weighted power, and the gated loudness of a programme.

Invariant: numbers depend on the sound alone; memory is the same for a second and for a day. Loudness is in LUFS, that
of silence minus infinity. From FFmpeg's ebur128 the integrated loudness of music differs by less than 0.1 LU.
It must not know who measures, nor what is done about it.

The weighting is done on spectra: by Parseval the power of a filtered block is the sum of its weighted squares. So no
sample passes a recursive filter, which numpy has not. A second of 48 kHz stereo costs 0.7 ms.
"""

from math import inf, log10
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

HOPS = 10  # a second; a block of R128 is four of them
BLOCK = 4
SHORT = 30  # hops in the short-term window
_ABSOLUTE = -70.0  # LUFS; what is softer is no programme
_RELATIVE = -10.0  # LU below the mean of what is left
_OFFSET = -0.691  # so that a 997 Hz sine at full scale in one channel reads -3.01
_BIN = 0.1  # LU
_LOWEST = -100.0
_BINS = 1200


def lufs(power: float) -> float:
    """The loudness of a weighted mean square, summed over channels; of 0 it is minus infinity."""
    return _OFFSET + 10 * log10(power) if power > 0 else -inf


def power(loudness: float) -> float:
    """The inverse of `lufs`."""
    return float(10 ** ((loudness - _OFFSET) / 10))


class Weighting:
    """K-weighting of hops at `sample_rate` Hz. `hop` is how many samples, a tenth of a second."""

    def __init__(self, sample_rate: int) -> None:
        self.hop = sample_rate // HOPS
        # Room for the tail of the filter behind a block, so that it does not run into its head.
        self._size = _fast(self.hop + sample_rate // 50)
        frequency = np.fft.rfftfreq(self._size, 1 / sample_rate)
        weights = _response(frequency, sample_rate) * 2 / (self._size * self.hop)
        weights[0] /= 2
        # A complex number is two floats here, each of which is squared.
        self._weights = np.repeat(weights, 2).astype(np.float32)

    def power(self, hop: Samples) -> float:
        """The weighted mean square, summed over channels, of a (channels, hop) block; not a number is silence."""
        # A constant is no sound, but where it is cut off it would be heard.
        centred = np.ascontiguousarray(hop - hop.mean(axis=1, keepdims=True))
        spectrum = np.fft.rfft(centred, self._size).astype(np.complex64, copy=False).view(np.float32)
        np.square(spectrum, out=spectrum)
        found = float((spectrum @ self._weights).sum())
        return found if 0 < found < inf else 0.0


class Programme:
    """The loudness of all that was heard: the mean of R128's blocks that are loud enough to count."""

    def __init__(self, floor: float = _ABSOLUTE) -> None:
        """Blocks softer than `floor` LUFS do not count."""
        self._counts = np.zeros(_BINS)
        self._powers = np.zeros(_BINS)
        self._floor = floor
        self.blocks = 0

    def add(self, block: float) -> bool:
        """Take the power of a block of 400 ms; say whether it counts."""
        loudness = lufs(block)
        if loudness <= self._floor:
            return False
        place = min(_BINS - 1, int((loudness - _LOWEST) / _BIN))
        self._counts[place] += 1
        self._powers[place] += block
        self.blocks += 1
        return True

    def loudness(self, expected: float = 0.0, weight: float = 0.0) -> float:
        """The gated loudness in LUFS, as if `weight` blocks of the power `expected` had been heard, too."""
        count, total = self._counts.sum() + weight, self._powers.sum() + expected * weight
        if not count or total <= 0:
            return -inf
        gate = lufs(total / count) + _RELATIVE
        first = max(0, min(_BINS - 1, round((gate - _LOWEST) / _BIN)))
        count, total = self._counts[first:].sum() + weight, self._powers[first:].sum() + expected * weight
        return lufs(float(total / count))


def _fast(size: int) -> int:
    """The next size of which a Fourier transform is quick."""
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 1


def _response(frequency: npt.NDArray[np.floating[Any]], sample_rate: int) -> npt.NDArray[np.float64]:
    """|H|² of BS.1770's two filters: a shelf for the head, then a high pass. Constants as in its libebur128 form."""
    z = np.exp(-2j * np.pi * frequency / sample_rate)
    k = np.tan(np.pi * 1681.974450955533 / sample_rate)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    shelf = (high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k)
    shelf_poles = (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k)
    k = np.tan(np.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    pass_poles = (1.0, 2 * (k * k - 1) / (1 + k / q + k * k), (1 - k / q + k * k) / (1 + k / q + k * k))
    response = _polynomial(shelf, z) / _polynomial(shelf_poles, z) * _polynomial((1.0, -2.0, 1.0), z)
    return np.abs(response / _polynomial(pass_poles, z)) ** 2


def _polynomial(factors: tuple[float, float, float], z: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    made: npt.NDArray[np.complex128] = factors[0] + factors[1] * z + factors[2] * z * z
    return made
