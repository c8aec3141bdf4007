"""The singer: syllables as vowels with formants, a breath of consonant before them, vibrato and slides.

A vowel is a set of resonances that stay where they are while the pitch moves, which is what makes it a vowel; they lie
higher for the female voice. A syllable opens from a darker sound into its vowel, as a mouth does.
Invariant: a note begins and ends at zero, and the same seed sings the same. It must not know words or the score.
"""

import numpy as np

from gateway.upstream.simulator.music.oscillator import (
    CEILING,
    SAMPLE_RATE,
    Samples,
    frequency,
    gliding,
    harmonics_below,
    read,
    wave,
)

# Four resonances a vowel, in hertz, of an adult male; a female throat is shorter by about a sixth. The upper two lie
# close together, as trained singers put them to be heard over a band.
_FORMANTS: dict[str, tuple[int, int, int, int]] = {
    "a": (710, 1150, 2600, 3300),
    "e": (500, 1780, 2550, 3300),
    "i": (310, 2150, 2900, 3400),
    "o": (480, 850, 2550, 3250),
    "u": (340, 750, 2450, 3200),
}
_WIDTHS = (95.0, 130.0, 180.0, 230.0)
_STRENGTHS = (1.0, 0.65, 0.42, 0.34)
_SIZES = {"male": 1.0, "female": 1.17}
_OPENING = "u"
_ATTACK, _RELEASE = 0.045, 0.11
_LEVEL = 0.62
# Consonant -> its length in seconds, the band of its noise in hertz, and how loud it is beside the vowel.
_CONSONANTS: dict[str, tuple[float, float, float, float]] = {
    "hiss": (0.085, 4200, 7500, 0.05),
    "stop": (0.028, 1500, 4500, 0.10),
    "breath": (0.06, 900, 3500, 0.045),
}


class Singer:
    """One voice, `male` or `female`."""

    def __init__(self, gender: str, seed: int) -> None:
        self._size = _SIZES[gender]
        self._waves: dict[tuple[str, int], Samples] = {}
        noise = np.random.default_rng(seed)
        self._consonants = {name: _noise(noise, *row) for name, row in _CONSONANTS.items()}
        self._drift = _wander(noise)
        self._taken = 0

    def play(self, pitch: int, seconds: float, velocity: float, sound: str, slide: int = 0) -> Samples:
        """One syllable as (2, n) samples. `sound` is `onset vowel`, `slide` in semitones where the pitch comes from."""
        onset, vowel = sound.split()
        count = int((seconds + _RELEASE) * SAMPLE_RATE)
        time = np.arange(count, dtype=np.float32) / np.float32(SAMPLE_RATE)
        phase = gliding(self._hertz(pitch, time, slide))
        opened = np.clip(time / np.float32(0.09 if onset == "soft" else 0.05), 0.0, 1.0)
        closed, open_ = read(self._wave(_OPENING, pitch), phase), read(self._wave(vowel, pitch), phase)
        voice = closed + opened * (open_ - closed)
        voice *= _breathing(time, seconds) * np.float32(_LEVEL * velocity)
        noise = self._consonants.get(onset)
        if noise is not None:
            reach = min(len(noise), count)
            voice[:reach] += noise[:reach] * np.float32(velocity)
        return np.stack((voice, voice))

    def _hertz(self, pitch: int, time: Samples, slide: int) -> Samples:
        """Vibrato that sets in late, a slow drift, and a slide of about 60 ms from the note before."""
        self._taken = (self._taken + 7919) % len(self._drift)
        drift = np.resize(np.roll(self._drift, -self._taken), len(time))
        depth = np.float32(0.26) * np.clip((time - 0.22) / 0.45, 0.0, 1.0)
        vibrato = depth * np.sin(time * np.float32(2 * np.pi * 5.4))
        bend = slide * np.exp(-time * np.float32(38.0)) + vibrato + drift
        result: Samples = (np.float32(frequency(pitch)) * np.exp2(bend / 12)).astype(np.float32)
        return result

    def _wave(self, vowel: str, pitch: int) -> Samples:
        table = self._waves.get((vowel, pitch))
        if table is None:
            table = self._waves[vowel, pitch] = self._vowel(vowel, frequency(pitch))
        return table

    def _vowel(self, vowel: str, hertz: float) -> Samples:
        at = np.arange(1, harmonics_below(min(CEILING, 9000.0), hertz) + 1) * hertz
        source = (at / hertz) ** -0.6
        filtered = np.full(len(at), 0.02)
        for formant, width, strength in zip(_FORMANTS[vowel], _WIDTHS, _STRENGTHS, strict=True):
            # Wider than speech at high pitches, where harmonics are too far apart to trace a narrow peak.
            spread = width + 0.22 * hertz
            filtered += strength / (1.0 + ((at - formant * self._size) / spread) ** 2)
        amplitude = source * filtered
        return wave(amplitude / np.sqrt(np.sum(amplitude**2)))


def _breathing(time: Samples, seconds: float) -> Samples:
    rise = np.sin(np.clip(time / np.float32(_ATTACK), 0.0, 1.0) * np.float32(np.pi / 2)) ** 2
    fall = np.cos(np.clip((time - np.float32(seconds)) / np.float32(_RELEASE), 0.0, 1.0) * np.float32(np.pi / 2)) ** 2
    swell = 0.88 + 0.12 * np.sin(np.clip(time / np.float32(max(seconds, 0.1)), 0.0, 1.0) * np.float32(np.pi))
    result: Samples = (rise * fall * swell).astype(np.float32)
    return result


def _noise(draw: np.random.Generator, seconds: float, low: float, high: float, level: float) -> Samples:
    """A consonant: band-limited noise under a smooth hump, ready at full velocity."""
    count = int(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(draw.standard_normal(count))
    at = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    spectrum *= 1.0 / (1.0 + (low / np.maximum(at, 1.0)) ** 4) / (1.0 + (at / high) ** 4)
    noise = np.fft.irfft(spectrum, count)
    hump = np.sin(np.linspace(0.0, np.pi, count)) ** 1.5
    result: Samples = (noise / np.sqrt(np.mean(noise**2)) * hump * level).astype(np.float32)
    return result


def _wander(draw: np.random.Generator) -> Samples:
    """Five seconds of slow pitch drift that meets its own start, a few cents wide, in semitones."""
    time = np.arange(5 * SAMPLE_RATE, dtype=np.float32) / np.float32(5 * SAMPLE_RATE)
    total = np.zeros(len(time), dtype=np.float32)
    for cycles in range(2, 14):
        total += (np.sin((time * cycles + draw.random()) * np.float32(2 * np.pi)) / cycles).astype(np.float32)
    result: Samples = total * np.float32(0.05)
    return result
