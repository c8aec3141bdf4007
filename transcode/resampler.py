"""PCM at one rate and number of channels in, PCM at another out.

Invariant: what comes out depends on the samples that went in, never on how they were sliced, and its length is exact:
the input's, times the rates' ratio, rounded. PCM is signed 16-bit little-endian, channels interleaved. The sound is
neither shifted nor made louder or softer; before its first sample and behind its last there is silence.
It must not know codecs, containers or time.
"""

from math import gcd

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph

from transcode.errors import EncodeError
from transcode.wavheader import RATES

_LAYOUTS = {1: "mono", 2: "stereo"}
_REACH = 16  # half of the filter, in samples of the slower rate: what is heard of a sample before and after it


class Resampler:
    """`from_rate` and `to_rate` are in Hz, 8000 to 192000; `from_channels` and `to_channels` are 1 or 2.

    Two channels become one by their mean, and one becomes two alike. Output lags by 0.3 to 2 ms of input, by nothing
    where the rates are the same. Raises `EncodeError` for other rates and channels.
    """

    def __init__(self, from_rate: int, from_channels: int, to_rate: int, to_channels: int) -> None:
        for rate in (from_rate, to_rate):
            if rate not in RATES:
                raise EncodeError(f"no PCM is made at {rate} Hz, only at {RATES[0]} to {RATES[-1]} Hz")
        for channels in (from_channels, to_channels):
            if channels not in _LAYOUTS:
                raise EncodeError(f"PCM has one or two channels here, not {channels}")
        self._rates = from_rate, to_rate
        self._block = 2 * from_channels
        self._rest = b""
        self._taken = 0  # samples per channel
        self._given = 0
        self._ended = False
        # FFmpeg would make two channels of one 3 dB softer; they are alike, so one is resampled and then doubled.
        self._doubled = (from_channels, to_channels) == (1, 2)
        same = from_rate == to_rate and from_channels <= to_channels
        self._converter = (
            None if same else _Converter(from_rate, from_channels, to_rate, min(from_channels, to_channels))
        )

    def feed(self, pcm: bytes) -> bytes:
        """Take PCM cut anywhere, even within a sample; give what is ready, sometimes nothing."""
        if self._ended:
            raise EncodeError("the resampler was flushed and takes no more samples")
        if self._rest:
            pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % self._block
        self._rest = pcm[whole:]
        self._taken += whole // self._block
        return self._made(pcm[:whole]) if whole else b""

    def flush(self) -> bytes:
        """Give the rest and end. A trailing part of a sample block is dropped; a second call gives nothing."""
        if self._ended:
            return b""
        self._ended = True
        converter, self._converter = self._converter, None
        if converter is None:
            return b""
        source, target = self._rates
        due = (self._taken * target + source // 2) // source - self._given
        return self._spread(converter.rest()[:due])

    def _made(self, pcm: bytes) -> bytes:
        if self._converter is None:
            return self._spread(np.frombuffer(pcm, dtype="<i2")) if self._doubled else pcm
        samples = self._converter.convert(np.frombuffer(pcm, dtype="<i2"))
        self._given += len(samples)
        return self._spread(samples)

    def _spread(self, samples: npt.NDArray[np.int16]) -> bytes:
        """Samples of shape (n,) or (n, channels) as interleaved bytes."""
        return (np.repeat(samples, 2) if self._doubled else samples).astype("<i2", copy=False).tobytes()


class _Converter:
    """FFmpeg's resampler, with silence around the sound.

    At an edge it would guess what might be beyond, and for less than its filter's length it would give nothing at all.
    """

    def __init__(self, from_rate: int, from_channels: int, to_rate: int, to_channels: int) -> None:
        self._rate, self._channels = from_rate, from_channels
        self._to_channels = to_channels
        # Every audio filter graph starts an idle thread per CPU unless told otherwise; `av.AudioResampler` cannot be.
        graph = self._graph = Graph()
        graph.threads = 1
        source = graph.add_abuffer(sample_rate=from_rate, format="s16", layout=_LAYOUTS[from_channels])
        target = graph.add(
            "aformat", sample_rates=str(to_rate), sample_fmts="s16", channel_layouts=_LAYOUTS[to_channels]
        )
        graph.link_nodes(source, graph.add("aresample"), target, graph.add("abuffersink"))
        graph.configure()
        # Twice what the filter reaches back, in whole samples at both rates: what becomes of them can be dropped.
        step = gcd(from_rate, to_rate)
        self._reach = 2 * round(_REACH * max(1.0, from_rate / to_rate) + 1)
        times = -(-self._reach * step // from_rate)
        self._early = times * to_rate // step
        self._push(np.zeros(times * from_rate // step * from_channels, dtype=np.int16))

    def convert(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """(n * channels,) interleaved samples, n > 0, in; (m, channels) out, m often 0 for small n."""
        self._push(samples)
        return self._pulled()

    def rest(self) -> npt.NDArray[np.int16]:
        """What is left, and a little of the silence behind it."""
        self._push(np.zeros(2 * self._reach * self._channels, dtype=np.int16))
        self._graph.push(None)
        return self._pulled()

    def _push(self, samples: npt.NDArray[np.int16]) -> None:
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=_LAYOUTS[self._channels])
        frame.sample_rate = self._rate
        self._graph.push(frame)

    def _pulled(self) -> npt.NDArray[np.int16]:
        pieces = [np.empty((0, self._to_channels), dtype=np.int16)]
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):  # it wants more, or has ended
                break
            assert isinstance(frame, av.AudioFrame), "there is no video in this graph"
            pieces.append(frame.to_ndarray().astype(np.int16, copy=False).reshape(-1, self._to_channels))
        made = np.concatenate(pieces)
        early = min(self._early, len(made))
        self._early -= early
        return made[early:]
