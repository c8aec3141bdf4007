"""A song that arrives live, brought to a loudness: a meter steers a slow gain, and a limiter keeps the peaks.

Invariant: as many samples come out as went in, at most 5 ms later, and any slicing gives the same ones. Silence stays
silence, and what is softer than the song's own loud parts neither winds the gain up nor loses its place below them.
Nobody knows how loud the rest of the song will be: the gain follows what was heard so far, and at first what is usual.
It must not know codecs, containers or time.

A second of 48 kHz stereo costs 1.6 ms in frames of 24 ms, 2.3 ms in blocks of 10 ms.
"""

from collections import deque
from math import exp
from typing import Final

import numpy as np
import numpy.typing as npt

from transcode.limiter import Limiter
from transcode.meter import BLOCK, HOPS, SHORT, Programme, Weighting, lufs, power

Samples = npt.NDArray[np.float32]

LOWEST, HIGHEST = -24.0, 12.0  # dB of gain
CEILING = -1.0  # dBFS

# How loud songs usually are. It counts as two seconds of sound at first, and less and less of them while there is more.
_USUAL: Final = power(-14.0)
_USUAL_BLOCKS: Final = 2.0 * HOPS
_FORGOTTEN: Final = 2.5 * HOPS
_FLOOR: Final = -50.0  # LUFS; below, it is noise and room, which says nothing of how loud the song is
_QUIET: Final = -10.0  # LU below the song; while it is that soft, the gain does not go up
# What comes suddenly may be this much above the target, in LU, over 3 s and over 0.4 s, until the gain comes down.
_SHORT_HEADROOM: Final = 3.0
_MOMENTARY_HEADROOM: Final = 7.0
_UP, _UP_SECONDS = 2.0, 3.0  # dB a second at most; the seconds in which it would reach what is wanted
_DOWN, _DOWN_SECONDS = 9.0, 0.5
_STILL: Final = 0.05  # dB; what is nearer is left as it is


class Loudness:
    """For float32 blocks of (channels, n) at `sample_rate` Hz; `target` is the song's integrated loudness in LUFS.

    `latency` is how many samples it holds back at most, `gain` where it stands, in dB.
    """

    def __init__(self, sample_rate: int, channels: int, target: float) -> None:
        self._steering = _Steering(sample_rate, target)
        self._limiter = Limiter(sample_rate, channels, CEILING)
        self._hop = np.zeros((channels, self._steering.hop), np.float32)
        self._filled = 0
        self._from = self._to = self._steering.gain
        self._ramp = np.arange(self._steering.hop) / self._steering.hop

    @property
    def latency(self) -> int:
        """Samples."""
        return self._limiter.latency

    @property
    def gain(self) -> float:
        """dB, before the limiter."""
        return self._to

    def process(self, block: Samples) -> Samples:
        """Take (channels, n) samples, any n; give those that are ready, sometimes none."""
        out = np.empty(block.shape, np.float32)
        at, end = 0, block.shape[1]
        while at < end:
            count = min(end - at, len(self._ramp) - self._filled)
            piece = block[:, at : at + count]
            self._hop[:, self._filled : self._filled + count] = piece
            np.multiply(piece, self._amplitude(count), out=out[:, at : at + count])
            at += count
            self._filled += count
            if self._filled == len(self._ramp):
                self._filled = 0
                self._from, self._to = self._to, self._steering.heard(self._hop)
        return self._limiter.process(out)

    def flush(self) -> Samples:
        """Give the rest and end; a second call gives nothing."""
        return self._limiter.flush()

    def _amplitude(self, count: int) -> Samples | np.float32:
        """The gain of the next `count` samples: straight, over a hop, from the last one to the present one."""
        start = 10 ** (self._from / 20)
        if self._from == self._to:
            return np.float32(start)
        step = 10 ** (self._to / 20) - start
        curve = start + step * self._ramp[self._filled : self._filled + count]
        return curve.astype(np.float32)


class _Steering:
    """Says, from what was heard in hops of 100 ms, which gain comes next."""

    def __init__(self, sample_rate: int, target: float) -> None:
        self._weighting = Weighting(sample_rate)
        self._programme = Programme(_FLOOR)
        self._target = target
        self._recent: deque[float] = deque(maxlen=SHORT)
        self.hop = self._weighting.hop
        self.gain = self._bounded(target - lufs(_USUAL))

    def heard(self, hop: Samples) -> float:
        """Take the next (channels, hop) samples as they were before the gain; give the gain in dB."""
        self._recent.append(self._weighting.power(hop))
        recent = list(self._recent)
        last = recent[-BLOCK:]
        momentary = lufs(sum(last) / len(last))
        sounds = len(last) == BLOCK and self._programme.add(sum(last) / BLOCK)
        if not sounds:
            return self.gain
        usual = _USUAL_BLOCKS * exp(-self._programme.blocks / _FORGOTTEN)
        song = self._programme.loudness(_USUAL, usual)
        wanted = self._bounded(
            min(
                self._target - song,
                self._target + _SHORT_HEADROOM - lufs(sum(recent) / len(recent)),
                self._target + _MOMENTARY_HEADROOM - momentary,
            )
        )
        missing = wanted - self.gain
        if missing < -_STILL:
            self.gain += max(missing / _DOWN_SECONDS, -_DOWN) / HOPS
        elif missing > _STILL and momentary > song + _QUIET:
            self.gain += min(missing / _UP_SECONDS, _UP) / HOPS
        # Rounded, so that nothing hangs on the order in which a processor adds.
        self.gain = round(self.gain, 3)
        return self.gain

    @staticmethod
    def _bounded(gain: float) -> float:
        return max(LOWEST, min(HIGHEST, gain))
