"""PCM at one rate and number of channels in, PCM at another out.

Invariant: what comes out depends on the samples that went in, never on how they were sliced, also within a sample; its
length is exact: the input's, times the rates' ratio, rounded. PCM is signed 16-bit little-endian, channels interleaved.
It must not know codecs, containers or time.
"""

from transcode.errors import EncodeError
from transcode.remix import LAYOUTS, Remix
from transcode.samples import from_s16le, to_s16le
from transcode.wavheader import RATES


class Resampler:
    """`from_rate` and `to_rate` are in Hz, 8000 to 192000; `from_channels` and `to_channels` are 1 or 2.

    See `Remix` for what becomes of the sound. Raises `EncodeError` for other rates and channels.
    """

    def __init__(self, from_rate: int, from_channels: int, to_rate: int, to_channels: int) -> None:
        for rate in (from_rate, to_rate):
            if rate not in RATES:
                raise EncodeError(f"no PCM is made at {rate} Hz, only at {RATES[0]} to {RATES[-1]} Hz")
        for channels in (from_channels, to_channels):
            if channels not in LAYOUTS:
                raise EncodeError(f"PCM has one or two channels here, not {channels}")
        self._channels = from_channels
        self._rest = b""
        self._remix: Remix | None = Remix(from_rate, from_channels, to_rate, to_channels)

    def feed(self, pcm: bytes) -> bytes:
        """Take PCM cut anywhere, even within a sample; give what is ready, sometimes nothing."""
        if self._remix is None:
            raise EncodeError("the resampler was flushed and takes no more samples")
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % (2 * self._channels)
        self._rest = pcm[whole:]
        return to_s16le(self._remix.feed(from_s16le(pcm[:whole], self._channels)))

    def flush(self) -> bytes:
        """Give the rest and end. A trailing part of a sample block is dropped; a second call gives nothing."""
        remix, self._remix = self._remix, None
        return to_s16le(remix.flush()) if remix is not None else b""
