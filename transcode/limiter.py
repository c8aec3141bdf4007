"""A limiter that sees 5 ms ahead: no peak leaves it above its ceiling, and no step is heard where it acts.

Invariant: as many samples come out as went in, and they depend on the samples alone, never on how they were sliced.
What stays below the ceiling passes unchanged. Gains are whole thousandths of a decibel, so that no rounding depends on
slices either. It must not know loudness, codecs or time.

Time is cut into slots of 1 ms. A slot has the reduction that its highest peak needs; the gain runs straight from slot
to slot, comes down within the slots ahead and goes up again at a fixed rate. Peaks between two samples count, by a
midpoint of four. A second of 48 kHz stereo costs 0.4 ms where there is nothing to limit, 0.8 ms where there is.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from transcode.errors import EncodeError

Samples = npt.NDArray[np.float32]

_AHEAD: Final = 3  # slots in which the gain comes down
_RELEASE: Final = 30  # thousandths of a decibel that it goes up again in each slot: 3 dB in 100 ms
_EDGE: Final = 3  # samples before a slot that its midpoints reach back to
# Four samples of at most 1 have a midpoint of at most 1.25: below this part of the ceiling nothing can exceed it.
_SAFE: Final = 0.8


class Limiter:
    """For float32 blocks of (channels, n) at `sample_rate` Hz; `ceiling` is in dBFS.

    `latency` is how many samples it holds back at most.
    """

    def __init__(self, sample_rate: int, channels: int, ceiling: float = -1.0) -> None:
        self._slot = max(1, sample_rate // 1000)
        self._ceiling = 10 ** (ceiling / 20)
        # The song stands behind a little silence, in which the gain can come down for its first sample.
        self._drop = (_AHEAD + 1) * self._slot
        self._held = np.zeros((channels, self._drop), np.float32)  # samples that wait to come out
        self._seen = self._drop  # how many of them lie in slots of which the needs are known
        self._needs = np.zeros(_AHEAD + 2, np.int64)  # the gain of the slot before the held ones, then of each of them
        self._gain = 0  # where the first held slot begins
        self._ended = False

    @property
    def latency(self) -> int:
        """Samples."""
        return (_AHEAD + 2) * self._slot

    def process(self, block: Samples) -> Samples:
        """Take (channels, n) samples, any n; give those that are ready, sometimes none."""
        if self._ended:
            raise EncodeError("the limiter was flushed and takes no more samples")
        data = np.concatenate((self._held, block), axis=1)
        slots = (data.shape[1] - self._seen) // self._slot
        if slots:
            known = self._seen + slots * self._slot
            self._needs = np.concatenate((self._needs, self._needed(data, self._seen, known)))
            self._seen = known
        ready = len(self._needs) - 2 - _AHEAD
        count = ready * self._slot
        self._held, out = data[:, count:], data[:, :count]
        self._seen -= count
        needs, self._needs = self._needs, self._needs[ready:]
        if ready and (self._gain or needs.any()):
            out = self._limited(out, needs, ready)
        drop = min(self._drop, count)
        self._drop -= drop
        return out[:, drop:]

    def flush(self) -> Samples:
        """Give the rest and end; a second call gives nothing."""
        rest = 0 if self._ended else self._held.shape[1] - self._drop
        out = self._held[:, :0] if self._ended else self.process(np.zeros((len(self._held), self.latency), np.float32))
        self._ended = True
        return out[:, :rest]

    def _needed(self, data: Samples, start: int, end: int) -> npt.NDArray[np.int64]:
        """The gain, zero or less, that each slot from `start` to `end` needs."""
        around = data[:, start - _EDGE : end]
        sizes = np.abs(around)
        slots = (end - start) // self._slot
        if not sizes.max() > self._ceiling * _SAFE:
            return np.zeros(slots, np.int64)
        a, b, c, d = (around[:, offset : offset + end - start] for offset in range(4))
        sizes = np.maximum(sizes[:, _EDGE:], np.abs((b + c) * np.float32(0.5625) - (a + d) * np.float32(0.0625)))
        peaks = sizes.reshape(len(data), slots, self._slot).max(axis=(0, 2)).astype(np.float64)
        gains = np.floor(20_000 * np.log10(self._ceiling / np.maximum(peaks, self._ceiling)))
        whole: npt.NDArray[np.int64] = gains.astype(np.int64)
        return whole

    def _limited(self, out: Samples, needs: npt.NDArray[np.int64], ready: int) -> Samples:
        """The samples of the first `ready` held slots, with their gains."""
        nodes = np.minimum(needs[:-1], needs[1:])  # at the start of each held slot
        down = nodes[1 : ready + 1].copy()
        for ahead in range(1, _AHEAD + 1):
            np.minimum(down, nodes[1 + ahead : 1 + ahead + ready] * (_AHEAD + 1 - ahead) // (_AHEAD + 1), out=down)
        # Up by no more than the release: min(down[k], gain[k - 1] + release), without a loop.
        slope = np.arange(ready + 1) * _RELEASE
        gains = np.minimum.accumulate(np.concatenate(([self._gain], down)) - slope) + slope
        self._gain = int(gains[-1])
        amplitude = 10 ** (gains / 20_000)
        ramp = np.arange(self._slot) / self._slot
        curve = amplitude[:-1, None] + np.diff(amplitude)[:, None] * ramp
        limited: Samples = out * curve.reshape(-1).astype(np.float32)
        return limited
