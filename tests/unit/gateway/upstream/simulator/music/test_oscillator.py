"""Waves and phases.

Invariant tested: pitch is exact, nothing aliases, and gliding joins.
It must not know instruments.
"""

import numpy as np
import pytest

from gateway.upstream.simulator.music.oscillator import (
    CEILING,
    SAMPLE_RATE,
    frequency,
    gliding,
    harmonics_below,
    read,
    steady,
    wave,
)


def test_pitches() -> None:
    """A4 is 440 Hz, and an octave doubles."""
    assert frequency(69) == 440
    assert frequency(57) == pytest.approx(220)


@pytest.mark.parametrize("hertz", [100, 1234])
def test_a_sine_is_a_sine(hertz: int) -> None:
    """One harmonic gives one line of the spectrum, everything else at least 80 dB below."""
    tone = read(wave([1.0]), steady(hertz, SAMPLE_RATE))
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone))))
    peak = int(spectrum.argmax())
    assert peak == hertz
    spectrum[peak - 3 : peak + 4] = 0
    assert spectrum.max() < 1e-4 * SAMPLE_RATE / 4


def test_harmonics_have_their_amplitudes() -> None:
    """The second harmonic of a wave is as strong as it was told to be."""
    tone = read(wave([1.0, 0.5]), steady(100, SAMPLE_RATE))
    spectrum = np.abs(np.fft.rfft(tone)) / (SAMPLE_RATE / 2)
    assert spectrum[100] == pytest.approx(1.0, rel=0.01)
    assert spectrum[200] == pytest.approx(0.5, rel=0.01)


def test_a_phase_may_start_anywhere() -> None:
    """A quarter of a cycle later, a sine has its top."""
    tone = read(wave([1.0]), steady(100, 480, start=0.25))
    assert abs(tone[0] - read(wave([1.0]), steady(100, 480))[120]) < 1e-3


def test_gliding_at_one_pitch_is_steady() -> None:
    """A glide that goes nowhere has the pitch of the steady tone."""
    glide = gliding(np.full(SAMPLE_RATE, 440.0, dtype=np.float32))
    spectrum = np.abs(np.fft.rfft(read(wave([1.0]), glide)))
    assert int(spectrum.argmax()) == 440


def test_the_ceiling_counts_harmonics() -> None:
    """As many harmonics as fit, and at least one."""
    assert harmonics_below(1000, 300) == 3
    assert harmonics_below(50000, 1000) == CEILING / 1000
    assert harmonics_below(100, 300) == 1
