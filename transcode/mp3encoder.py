"""PCM in, finished bytes out: a constant-bitrate MP3 encoder.

Invariant: the bytes that come out depend on the samples that went in, never on how they were sliced.
PCM is signed 16-bit little-endian, channels interleaved. There are two LAMEs: `lameenc` where it is installed (Python
3.11, for which PyAV's wheels hold one three times too slow), else PyAV's. Nobody outside this file need know which.
It must not know containers, framing or time.
"""

from collections.abc import Callable
from typing import Protocol

from transcode.encoders.codec import Codec
from transcode.errors import EncodeError
from transcode.mp3header import bitrates
from transcode.samples import from_s16le

try:
    import lameenc
except ImportError:  # pragma: no cover - which of the two is there depends on the interpreter
    lameenc = None

DELAY = 1105  # samples: LAME's own 576 and the 529 of every decoder


class Lame(Protocol):
    """One MP3 encoder at work: whole sample blocks in, MP3 bytes out whenever it has some.

    `borrows` tells whether frames put some of their bits into those before them.
    """

    borrows: bool

    def encode(self, pcm: bytes) -> bytes:
        """Take whole sample blocks, at least one."""

    def finish(self) -> bytes:
        """Give what is left. The encoder is of no use afterwards."""


class LameencLame:
    """LAME by way of `lameenc`, which has no way to forbid frames to borrow."""

    borrows = True

    def __init__(self, sample_rate: int, channels: int, bitrate: int) -> None:
        self._encoder = lameenc.Encoder()
        self._encoder.silence()
        self._encoder.set_in_sample_rate(sample_rate)
        self._encoder.set_out_sample_rate(sample_rate)  # at low bitrates it would resample by itself
        self._encoder.set_channels(channels)
        self._encoder.set_bit_rate(bitrate // 1000)
        self._encoder.set_quality(5)  # what FFmpeg takes, too; 7 halves the time, 2 doubles it
        self._started = False

    def encode(self, pcm: bytes) -> bytes:
        self._started = True
        return bytes(self._encoder.encode(pcm))

    def finish(self) -> bytes:
        # lameenc refuses to flush an encoder that has seen no sample.
        return bytes(self._encoder.flush()) if self._started else b""


class AvLame:
    """LAME by way of PyAV: the codec alone, no muxer."""

    borrows = False

    def __init__(self, sample_rate: int, channels: int, bitrate: int) -> None:
        self._channels = channels
        # Frames that borrow no bits from their neighbours: whoever joins at any of them hears it whole.
        self._codec = Codec("libmp3lame", sample_rate, channels, bitrate, "s16p", {"reservoir": "0"})

    def encode(self, pcm: bytes) -> bytes:
        return b"".join(self._codec.encode(from_s16le(pcm, self._channels)))

    def finish(self) -> bytes:
        return b"".join(self._codec.finish())


class Mp3Encoder:
    """Constant-bitrate MP3 from PCM, without tags and without an Info frame.

    `sample_rate` in Hz, one of MP3's nine; `channels` 1 or 2; `bitrate` in bit/s, one that MP3 has at that rate.
    `borrows` tells whether a frame may need the one before it to be decoded.
    Once decoded, the first sound is heard `DELAY` samples late. What comes out is not cut at frame borders.
    Raises `EncodeError` for parameters that MP3 has not.
    """

    def __init__(
        self,
        sample_rate: int,
        channels: int,
        bitrate: int,
        *,
        lame: Callable[[int, int, int], Lame] = LameencLame if lameenc else AvLame,
    ) -> None:
        allowed = bitrates(sample_rate)
        if not allowed:
            raise EncodeError(f"MP3 has no sample rate of {sample_rate} Hz")
        if channels not in (1, 2):
            raise EncodeError(f"MP3 has one or two channels, not {channels}")
        if bitrate not in allowed:
            choices = ", ".join(map(str, allowed))
            raise EncodeError(f"MP3 at {sample_rate} Hz has no bitrate of {bitrate} bit/s; it has {choices}")
        self._block = 2 * channels
        self._rest = b""
        self._lame: Lame | None = lame(sample_rate, channels, bitrate)
        self.borrows = self._lame.borrows

    def feed(self, pcm: bytes) -> bytes:
        """Take PCM cut anywhere, even within a sample; give the MP3 bytes that are ready, often none."""
        if self._lame is None:
            raise EncodeError("the encoder was flushed and takes no more samples")
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % self._block
        self._rest = pcm[whole:]
        return self._lame.encode(pcm[:whole]) if whole else b""

    def flush(self) -> bytes:
        """Give the rest and end. A trailing part of a sample block is dropped; a second call gives nothing."""
        if self._lame is None:
            return b""
        lame, self._lame = self._lame, None
        return lame.finish()
