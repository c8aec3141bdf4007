"""Blocks at one rate and number of channels in, blocks at another out.

Invariant: what comes out depends on the samples that went in, never on how they were cut, and its length is exact: the
input's, times the rates' ratio, rounded. The sound is neither shifted nor made louder or softer; before its first
sample and behind its last there is silence. Nothing is rounded to 16 bits on the way.
It must not know codecs, containers or the song's time.
"""

from math import gcd

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from transcode.samples import Block, as_float

LAYOUTS = {1: "mono", 2: "stereo"}
_REACH = 16  # half of the filter, in samples of the slower rate: what is heard of a sample before and after it


def resampled(samples: int, from_rate: int, to_rate: int) -> int:
    """How many samples become of so many: to the nearest."""
    return (samples * to_rate + from_rate // 2) // from_rate


class Remix:
    """Rates in Hz, 1 or 2 channels. Two channels become one by their mean, and one becomes two alike.

    Output lags by 0.3 to 2 ms of input, by nothing where the rates are the same; blocks pass untouched where channels
    are the same, too.
    """

    def __init__(self, from_rate: int, from_channels: int, to_rate: int, to_channels: int) -> None:
        self._rates = from_rate, to_rate
        self._channels = to_channels
        self._taken = 0
        self._given = 0
        narrow = min(from_channels, to_channels)  # the fewer channels, the less work
        self._filter = None if from_rate == to_rate else _Filter(from_rate, to_rate, narrow)

    def feed(self, block: Block) -> Block:
        """Take a block, give what is ready, sometimes of no samples."""
        if len(block) > self._channels:
            # Of 16-bit samples the sum is exact in float32, and so is its half.
            floats = as_float(block)
            both = np.add(floats[:1], floats[1:])
            block = np.multiply(both, np.float32(0.5), out=both)
        if self._filter is not None:
            self._taken += block.shape[1]
            block = self._filter.convert(as_float(block))
            self._given += block.shape[1]
        return self._spread(block)

    def flush(self) -> Block:
        """Give the rest. It is of no use afterwards."""
        if self._filter is None:
            return np.empty((self._channels, 0), dtype=np.float32)
        return self._spread(self._filter.rest()[:, : resampled(self._taken, *self._rates) - self._given])

    def _spread(self, block: Block) -> Block:
        return block if len(block) == self._channels else np.repeat(block, 2, axis=0)


class _Filter:
    """FFmpeg's resampler, with silence around the sound.

    At an edge it would guess what might be beyond, and for less than its filter's length it would give nothing at all.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        self._rate, self._channels = from_rate, channels
        # Every audio filter graph starts an idle thread per CPU unless told otherwise; `av.AudioResampler` cannot be.
        graph = self._graph = Graph()
        graph.threads = 1
        source = graph.add_abuffer(sample_rate=from_rate, format="fltp", layout=LAYOUTS[channels])
        target = graph.add("aformat", sample_rates=str(to_rate), sample_fmts="fltp", channel_layouts=LAYOUTS[channels])
        graph.link_nodes(source, graph.add("aresample"), target, graph.add("abuffersink"))
        graph.configure()
        # Twice what the filter reaches back, in whole samples at both rates: what becomes of them can be dropped.
        step = gcd(from_rate, to_rate)
        self._reach = 2 * round(_REACH * max(1.0, from_rate / to_rate) + 1)
        times = -(-self._reach * step // from_rate)
        self._early = times * to_rate // step
        self._push(np.zeros((channels, times * from_rate // step), dtype=np.float32))

    def convert(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        if block.shape[1]:
            self._push(block)
        return self._pulled()

    def rest(self) -> NDArray[np.float32]:
        """What is left, and a little of the silence behind it."""
        self._push(np.zeros((self._channels, 2 * self._reach), dtype=np.float32))
        self._graph.push(None)
        return self._pulled()

    def _push(self, block: NDArray[np.float32]) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=LAYOUTS[self._channels])
        frame.sample_rate = self._rate
        self._graph.push(frame)

    def _pulled(self) -> NDArray[np.float32]:
        pieces: list[NDArray[np.float32]] = []
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):  # it wants more, or has ended
                break
            assert isinstance(frame, av.AudioFrame), "there is no video in this graph"
            pieces.append(frame.to_ndarray().astype(np.float32, copy=False))
        if not pieces:
            return np.empty((self._channels, 0), dtype=np.float32)
        made = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
        early = min(self._early, made.shape[1])
        self._early -= early
        return made[:, early:]
