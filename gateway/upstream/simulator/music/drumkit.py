"""The drum kit: every drum is made once, from sines and shaped noise, and then only hit.

Hits of one drum differ in loudness and, for the noisy ones, in which of two takes is used, so that a roll is not one
sample repeated. Invariant: every drum ends at zero. It must not know grooves or the score.
"""

import numpy as np

from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE, Samples

# Where each drum stands, from -1 (left) to 1 (right).
_PLACES = {"hat": 0.35, "open": 0.35, "ride": -0.4, "shaker": -0.45, "crash": -0.25, "high tom": 0.25, "low tom": -0.3}


class Drumkit:
    """The drums, built from `seed`."""

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        takes = {
            "kick": [_kick()],
            "snare": [_snare(draw), _snare(draw)],
            "clap": [_clap(draw), _clap(draw)],
            "rim": [_rim(draw)],
            "hat": [_metal(draw, 0.07, 55.0, 6200, 11000, 0.30), _metal(draw, 0.07, 65.0, 6200, 11000, 0.30)],
            "open": [_metal(draw, 0.35, 11.0, 5800, 10500, 0.26)],
            "ride": [_metal(draw, 0.9, 5.0, 4200, 9500, 0.17)],
            "crash": [_metal(draw, 2.2, 2.2, 3200, 9500, 0.26)],
            "shaker": [_shaker(draw), _shaker(draw)],
            "high tom": [_tom(150.0, draw)],
            "low tom": [_tom(95.0, draw)],
        }
        self._takes = {name: [_placed(take, _PLACES.get(name, 0.0)) for take in list_] for name, list_ in takes.items()}
        self._count = 0

    def hit(self, drum: str, velocity: float) -> Samples:
        """One stroke as (2, n) samples."""
        takes = self._takes[drum]
        self._count += 1
        stroke: Samples = takes[self._count % len(takes)] * np.float32(velocity**1.2)
        return stroke


def _time(seconds: float) -> Samples:
    return np.arange(int(seconds * SAMPLE_RATE), dtype=np.float32) / np.float32(SAMPLE_RATE)


def _ended(sound: Samples) -> Samples:
    """The last five milliseconds fade, so that nothing is cut off."""
    fade = np.clip((len(sound) - 1 - np.arange(len(sound))) / (0.005 * SAMPLE_RATE), 0.0, 1.0)
    result: Samples = (sound * fade).astype(np.float32)
    return result


def _placed(sound: Samples, place: float) -> Samples:
    angle = (place + 1) * np.pi / 4
    return np.stack((sound * np.float32(np.cos(angle)), sound * np.float32(np.sin(angle)))) * np.float32(np.sqrt(2))


def _drop(seconds: float, low: float, high: float, speed: float, decay: float) -> Samples:
    """A drum skin: a sine that falls from `high` to `low` hertz and dies."""
    time = _time(seconds)
    turns = low * time + (high - low) / speed * (1 - np.exp(-time * np.float32(speed)))
    attack = np.clip(time / np.float32(0.002), 0.0, 1.0)
    skin: Samples = (np.sin(turns * np.float32(2 * np.pi)) * np.exp(-time * np.float32(decay)) * attack).astype(
        np.float32
    )
    return skin


def _band(draw: np.random.Generator, seconds: float, low: float, high: float) -> Samples:
    """Noise between two frequencies, one as its root mean square."""
    count = int(seconds * SAMPLE_RATE)
    at = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    shape = 1.0 / (1.0 + (low / np.maximum(at, 1.0)) ** 6) / (1.0 + (at / high) ** 6)
    noise = np.fft.irfft(np.fft.rfft(draw.standard_normal(count)) * shape, count)
    result: Samples = (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    return result


def _kick() -> Samples:
    body = _drop(0.42, 49.0, 165.0, 34.0, 8.5)
    click = _drop(0.42, 900.0, 2600.0, 300.0, 220.0)
    return _ended(np.tanh(body * np.float32(1.5)) * np.float32(0.78) + click * np.float32(0.10))


def _snare(draw: np.random.Generator) -> Samples:
    time = _time(0.26)
    rattle = _band(draw, 0.26, 1300, 6500) * np.exp(-time * np.float32(19.0)) * np.float32(0.24)
    return _ended(_drop(0.26, 185.0, 260.0, 60.0, 24.0) * np.float32(0.4) + rattle)


def _clap(draw: np.random.Generator) -> Samples:
    time = _time(0.26)
    bursts = sum(
        np.where(time >= at, np.exp(-(time - at) * np.float32(speed)), 0.0)
        for at, speed in ((0, 190), (0.011, 190), (0.023, 22))
    )
    return _ended((_band(draw, 0.26, 1000, 4200) * bursts * np.float32(0.2)).astype(np.float32))


def _rim(draw: np.random.Generator) -> Samples:
    time = _time(0.09)
    crack = _band(draw, 0.09, 1200, 4000) * np.exp(-time * np.float32(150.0)) * np.float32(0.12)
    return _ended(_drop(0.09, 430.0, 820.0, 150.0, 55.0) * np.float32(0.34) + crack)


def _metal(draw: np.random.Generator, seconds: float, decay: float, low: float, high: float, level: float) -> Samples:
    time = _time(seconds)
    attack = np.clip(time / np.float32(0.0015), 0.0, 1.0)
    return _ended(_band(draw, seconds, low, high) * np.exp(-time * np.float32(decay)) * attack * np.float32(level))


def _shaker(draw: np.random.Generator) -> Samples:
    time = _time(0.12)
    swell = np.sin(np.clip(time / np.float32(0.11), 0.0, 1.0) * np.float32(np.pi)) ** 2
    return _ended((_band(draw, 0.12, 4500, 8500) * swell * np.float32(0.15)).astype(np.float32))


def _tom(hertz: float, draw: np.random.Generator) -> Samples:
    stick = np.pad(_band(draw, 0.03, 800, 3000) * np.hanning(int(0.03 * SAMPLE_RATE)), (0, int(0.32 * SAMPLE_RATE)))
    body = _drop(0.35, hertz, hertz * 1.5, 28.0, 9.0)
    return _ended((body * np.float32(0.5) + stick[: len(body)] * np.float32(0.06)).astype(np.float32))
