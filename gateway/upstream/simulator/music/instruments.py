"""The band's instruments: a table of tones, and how one note of a tone is made.

A tone has up to three layers of harmonics, each with its own decay, so that a struck or plucked note darkens as it dies
the way real ones do; sustained tones hold their layers. Invariant: a note begins and ends at zero, so it never clicks.
It must not know the score, sections or the singer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.upstream.simulator.music.oscillator import (
    SAMPLE_RATE,
    Phase,
    Samples,
    frequency,
    gliding,
    harmonics_below,
    read,
    steady,
    wave,
)

_MIDDLE_C = 60
_BRIGHTEST = 12000.0
_SOFT_ROOF = 7500.0


@dataclass(frozen=True, slots=True)
class Layer:
    """Harmonics `first` to `last`, falling as 1/k**`slope`, dying by e every 1/`decay` seconds; `odd`: no even ones."""

    first: int
    last: int
    slope: float
    level: float
    decay: float
    odd: bool = False


@dataclass(frozen=True, slots=True)
class Tone:
    """`attack`, `release` and `longest` in seconds; `detune` (between left and right) and `vibrato` in cents."""

    layers: tuple[Layer, ...]
    level: float
    attack: float
    release: float
    detune: float = 0.0
    vibrato: float = 0.0
    breath: float = 0.0
    longest: float = 9.0


TONES: dict[str, Tone] = {
    "piano": Tone(
        (Layer(1, 2, 0.8, 0.9, 0.9), Layer(3, 7, 1.0, 1.0, 2.0), Layer(8, 20, 1.0, 0.9, 5.5)),
        0.5, 0.003, 0.16, detune=1.2, longest=4.0,
    ),
    "electric piano": Tone(
        (Layer(1, 1, 1.0, 1.0, 0.8), Layer(2, 5, 1.3, 0.55, 1.7), Layer(7, 11, 0.8, 0.34, 7.0)),
        0.55, 0.004, 0.14, detune=3.0, longest=4.0,
    ),
    "guitar": Tone(
        (Layer(1, 3, 0.8, 0.8, 1.6), Layer(4, 9, 1.0, 1.0, 3.6), Layer(10, 26, 1.0, 1.0, 9.0)),
        0.48, 0.002, 0.1, detune=0.8, longest=3.0,
    ),
    "crunch": Tone(
        (Layer(1, 4, 0.4, 0.5, 0.7), Layer(5, 20, 0.8, 1.0, 1.6)),
        0.36, 0.004, 0.07, detune=7.0, longest=4.0,
    ),
    "zither": Tone(
        (Layer(1, 2, 0.6, 0.7, 1.5), Layer(3, 9, 0.8, 0.9, 3.0), Layer(10, 26, 0.9, 1.0, 9.0)),
        0.48, 0.0015, 0.3, detune=1.5, longest=3.5,
    ),
    "bell": Tone(
        (Layer(1, 1, 1.0, 1.0, 1.3), Layer(4, 4, 1.0, 0.7, 2.6), Layer(10, 10, 0.7, 0.6, 6.0)),
        0.5, 0.002, 0.5, detune=2.0, longest=3.5,
    ),
    "synth pluck": Tone(
        (Layer(1, 3, 0.8, 0.7, 3.5), Layer(4, 16, 0.9, 1.0, 7.0)),
        0.5, 0.003, 0.12, detune=6.0, longest=1.2,
    ),
    "square": Tone((Layer(1, 19, 1.0, 0.8, 2.2, odd=True),), 0.4, 0.003, 0.05, longest=2.0),
    "warm pad": Tone((Layer(1, 12, 1.25, 0.8, 0.0),), 0.34, 0.35, 0.7, detune=9.0),
    "bright pad": Tone((Layer(1, 24, 0.95, 0.7, 0.0),), 0.28, 0.5, 0.9, detune=11.0),
    "strings": Tone((Layer(1, 22, 1.0, 0.7, 0.0),), 0.3, 0.28, 0.55, detune=8.0, vibrato=6.0),
    "finger bass": Tone((Layer(1, 2, 0.2, 1.0, 0.7), Layer(3, 12, 0.9, 0.9, 3.0)), 0.8, 0.006, 0.07, longest=4.0),
    "pick bass": Tone((Layer(1, 3, 0.3, 0.9, 0.7), Layer(4, 22, 0.9, 1.0, 2.6)), 0.7, 0.003, 0.06, longest=4.0),
    "synth bass": Tone((Layer(1, 2, 0.2, 0.9, 0.25), Layer(3, 16, 0.9, 0.9, 3.5)), 0.7, 0.005, 0.06, longest=6.0),
    "flute": Tone((Layer(1, 7, 1.5, 1.0, 0.0),), 0.38, 0.06, 0.12, vibrato=14.0, breath=0.05),
    "violin": Tone((Layer(1, 20, 0.9, 0.75, 0.0),), 0.36, 0.09, 0.16, vibrato=18.0, breath=0.012),
    "soft lead": Tone((Layer(1, 14, 1.05, 0.85, 0.25),), 0.42, 0.02, 0.14, detune=5.0, vibrato=10.0),
}  # fmt: skip


class Instrument:
    """One tone, ready to play; keeps the waves of the pitches it has played. `seed` shapes its breath."""

    def __init__(self, tone: Tone, seed: int) -> None:
        self._tone = tone
        self._waves: dict[int, list[Samples]] = {}
        noise = np.random.default_rng(seed).standard_normal(SAMPLE_RATE).astype(np.float32)
        self._breath = np.convolve(noise, np.hanning(24) / 12, "same").astype(np.float32)

    def play(self, pitch: int, seconds: float, velocity: float, slide: int = 0) -> Samples:
        """One note as (2, n) samples, left and right; n covers its release. It comes from `slide` semitones away."""
        tone = self._tone
        held = max(tone.attack, min(seconds, tone.longest))
        count = int((held + tone.release) * SAMPLE_RATE)
        time = np.arange(count, dtype=np.float32) / np.float32(SAMPLE_RATE)
        gain = _envelope(tone, time, held) * np.float32(tone.level * velocity**1.3)
        decays = [
            np.exp(-time * np.float32(layer.decay * _shorter(pitch))) if layer.decay else None for layer in tone.layers
        ]
        sides = []
        for cents in (-tone.detune, tone.detune) if tone.detune else (0.0,):
            phase = self._phase(pitch, cents / 200, time, slide)
            sides.append(self._sound(pitch, phase, decays, velocity) * gain)
        if tone.breath:
            hiss = np.resize(self._breath, count) * gain * np.float32(tone.breath)
            sides = [side + hiss for side in sides]
        return np.stack((sides[0], sides[-1]))

    def _phase(self, pitch: int, offset: float, time: Samples, slide: int) -> Phase:
        hertz = frequency(pitch + offset)
        if not self._tone.vibrato:
            return steady(hertz, len(time))
        # The vibrato sets in late, as a player's does; a slide takes about a twentieth of a second.
        depth = self._tone.vibrato / 100 * np.clip((time - 0.2) / 0.4, 0.0, 1.0)
        bend = depth * np.sin(time * np.float32(2 * np.pi * 5.1)) + slide * np.exp(-time * np.float32(45.0))
        return gliding(hertz * np.exp2(bend / 12))

    def _sound(self, pitch: int, phase: Phase, decays: Sequence[Samples | None], velocity: float) -> Samples:
        total = np.zeros(len(phase), dtype=np.float32)
        for number, (table, decay) in enumerate(zip(self._tables(pitch), decays, strict=True)):
            # What is struck harder is brighter: the upper layers gain more than the lowest.
            part = read(table, phase) * np.float32(velocity ** (0.6 * number))
            total += part if decay is None else part * decay
        return total

    def _tables(self, pitch: int) -> list[Samples]:
        tables = self._waves.get(pitch)
        if tables is None:
            tables = self._waves[pitch] = [_table(layer, frequency(pitch)) for layer in self._tone.layers]
        return tables


def _table(layer: Layer, hertz: float) -> Samples:
    number = np.arange(1, min(layer.last, harmonics_below(_BRIGHTEST, hertz)) + 1)
    amplitude = np.where(number >= layer.first, number.astype(np.float64) ** -layer.slope, 0.0)
    if layer.odd:
        amplitude[1::2] = 0.0
    # A soft roof: harmonics near the upper limit fade instead of stopping.
    amplitude *= 1.0 / (1.0 + (number * hertz / _SOFT_ROOF) ** 4)
    power = float(np.sqrt(np.sum(amplitude**2)))
    return wave(amplitude * (layer.level / power) if power > 0 else amplitude)


def _envelope(tone: Tone, time: Samples, held: float) -> Samples:
    rise = np.sin(np.clip(time / np.float32(tone.attack), 0.0, 1.0) * np.float32(np.pi / 2)) ** 2
    fall = np.cos(np.clip((time - np.float32(held)) / np.float32(tone.release), 0.0, 1.0) * np.float32(np.pi / 2)) ** 2
    result: Samples = (rise * fall).astype(np.float32)
    return result


def _shorter(pitch: int) -> float:
    """Higher strings die sooner."""
    return float(2.0 ** ((pitch - _MIDDLE_C) / 24.0))
