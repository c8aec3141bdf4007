"""Single-cycle waves and how to read them: the one source of pitched sound.

A wave is a table of harmonics, read by a 32-bit phase that wraps by itself, so pitch is exact over any length and a
note never drifts. Invariant: no table holds harmonics that its pitch would carry beyond the ear (`CEILING`), so nothing
aliases. It must not know instruments, envelopes or the score.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 48000
CEILING = 15000.0

Samples = npt.NDArray[np.float32]
Phase = npt.NDArray[np.uint32]

_BITS = 11
_SIZE = 1 << _BITS
_SHIFT = np.uint32(32 - _BITS)
_MASK = np.uint32((1 << (32 - _BITS)) - 1)
_FRACTION = np.float32(1.0 / (1 << (32 - _BITS)))


def frequency(pitch: float) -> float:
    """Hertz of a MIDI pitch, equal temperament, A4 = 440."""
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


def harmonics_below(ceiling: float, hertz: float) -> int:
    """How many harmonics of a tone fit below a frequency; at least the fundamental."""
    return max(1, int(min(ceiling, CEILING) / hertz))


def wave(amplitudes: Sequence[float] | npt.NDArray[np.float64]) -> Samples:
    """A table from the amplitudes of harmonics 1, 2, ...; one guard sample at the end for interpolation.

    Phases follow Schroeder's rule, which spreads the energy over the cycle and keeps peaks low.
    """
    count = len(amplitudes)
    number = np.arange(1, count + 1)
    spectrum = np.zeros(_SIZE // 2 + 1, dtype=np.complex128)
    spectrum[1 : count + 1] = np.asarray(amplitudes) * np.exp(-1j * np.pi * number * (number - 1) / max(1, count))
    cycle = np.fft.irfft(spectrum, _SIZE) * (_SIZE / 2)
    return np.append(cycle, cycle[0]).astype(np.float32)


def steady(hertz: float, samples: int, start: float = 0.0) -> Phase:
    """The phase of a constant tone; `start` is in cycles."""
    step = np.uint32(round(hertz / SAMPLE_RATE * 2**32))
    return np.arange(samples, dtype=np.uint32) * step + np.uint32(int(start % 1.0 * 2**32))


def gliding(hertz: Samples) -> Phase:
    """The phase of a tone whose frequency changes from sample to sample."""
    steps = (hertz.astype(np.float64) * (2**32 / SAMPLE_RATE)).astype(np.uint32)
    phase: Phase = np.cumsum(steps, dtype=np.uint32)
    return phase


def read(table: Samples, phase: Phase) -> Samples:
    """The wave at each phase, interpolated between its points."""
    index = phase >> _SHIFT
    low = table.take(index)
    part = (phase & _MASK).astype(np.float32) * _FRACTION
    result: Samples = low + part * (table.take(index + np.uint32(1)) - low)
    return result
