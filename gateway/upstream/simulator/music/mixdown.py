"""The end of the signal path: the room's reverberation, a gentle leveller, and the limit nothing passes.

Invariant: everything here is continuous from block to block, whatever the block's content, and no output sample exceeds
`PEAK`. It must not know notes or instruments.
"""

import numpy as np

from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE, Samples

BLOCK = SAMPLE_RATE // 2
PEAK = 0.88
"""The largest sample, -1.1 dB below full scale."""

_KNEE = 0.6


class Room:
    """Convolution with the sound of a room: mono in, stereo out, `seconds` until it has died by 60 dB.

    The room is cut into parts as long as a block; each part's spectrum is ready, so a block costs three transforms.
    """

    def __init__(self, seconds: float, seed: int) -> None:
        self._size = 2 * BLOCK
        draw = np.random.default_rng(seed)
        sides = [_response(seconds, draw) for _ in range(2)]
        self._parts = [
            [np.fft.rfft(side[at : at + BLOCK], self._size).astype(np.complex64) for at in range(0, len(side), BLOCK)]
            for side in sides
        ]
        self._history = [np.zeros(BLOCK + 1, dtype=np.complex64)] * len(self._parts[0])
        self._before = np.zeros(BLOCK, dtype=np.float32)

    def sound(self, send: Samples) -> Samples:
        """What the room answers to `BLOCK` mono samples: (2, BLOCK)."""
        joined = np.concatenate((self._before, send))
        self._before = send
        self._history = [np.fft.rfft(joined).astype(np.complex64), *self._history[:-1]]
        sides = []
        for parts in self._parts:
            spectrum = sum(part * past for part, past in zip(parts, self._history, strict=True))
            # The first half of the circular result is wrapped; the second half is the convolution.
            sides.append(np.fft.irfft(spectrum, self._size)[BLOCK:])
        answer: Samples = np.stack(sides).astype(np.float32)
        return answer


def _response(seconds: float, draw: np.random.Generator) -> Samples:
    """Noise that dies and darkens, after a short silence, without rumble; unit energy."""
    count = int(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    at = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    noise = draw.standard_normal(count)
    dark, bright = (
        np.fft.irfft(np.fft.rfft(noise) / (1 + (at / roof) ** 2) / (1 + (180 / np.maximum(at, 1)) ** 4), count)
        for roof in (1800.0, 5200.0)
    )
    tail = dark * np.exp(-6.9 * time / seconds) + 0.8 * bright * np.exp(-16.0 * time / seconds)
    tail *= np.clip((time - 0.012) / 0.02, 0.0, 1.0) * np.clip((seconds - time) / 0.1, 0.0, 1.0)
    response: Samples = (tail / np.sqrt(np.sum(tail**2))).astype(np.float32)
    return response


class Leveller:
    """Keeps the song near one loudness: a slow gain goes `ratio` of the way (in dB) to `target`, at most by `reach`.

    The target is a root mean square; some difference between quiet and loud sections is left on purpose.
    """

    _WINDOW = BLOCK // 10

    def __init__(self, target: float = 0.125, ratio: float = 0.65, reach: float = 2.2) -> None:
        self._target = target
        self._ratio = ratio
        self._reach = reach
        self._power = target**2
        self._gain = 1.0

    def apply(self, block: Samples) -> Samples:
        """Scales (2, BLOCK) samples; the gain moves along straight lines, about four seconds behind the music."""
        windows = np.mean(block.reshape(2, -1, self._WINDOW).astype(np.float64) ** 2, axis=(0, 2))
        gains = [self._gain]
        for power in windows:
            # Silence is not a quiet passage: it does not pull the gain up.
            if power > (self._target / 30) ** 2:
                speed = 0.05 if power > self._power else 0.0125
                self._power += speed * (power - self._power)
            wish = (self._target / np.sqrt(self._power)) ** self._ratio
            gains.append(float(min(self._reach, max(1 / self._reach, wish))))
        self._gain = gains[-1]
        curve = np.interp(np.arange(1, BLOCK + 1), np.arange(len(gains)) * self._WINDOW, gains)
        return block * curve.astype(np.float32)


def limit(block: Samples) -> Samples:
    """Bends what is above the knee so that it nears, and never passes, `PEAK`."""
    size = np.abs(block)
    bent = np.float32(_KNEE) + np.float32(PEAK - _KNEE) * np.tanh((size - _KNEE) / np.float32(PEAK - _KNEE))
    return np.copysign(np.where(size > _KNEE, bent, size), block).astype(np.float32)
