"""The door to the framers: looks at the first four bytes of a song and hands everything to the one that can read it.

Invariant: a framer is pure, bytes in and whole codec frames out; any slicing of the same bytes gives the same frames,
and their `data` is always the provider's own bytes. It must not know what the frames are for.
"""

from transcode.formats import CodecFrame, StreamFormat
from transcode.mp3 import Mp3Framer
from transcode.wav import WavFramer

__all__ = ["CodecFrame", "Framer"]

_SNIFF = 4
_WAV = (b"RIFF", b"RF64")


class Framer:
    """Cuts slices of an MP3 or a WAV into whole frames: see `Mp3Framer` and `WavFramer`."""

    def __init__(self) -> None:
        self._head = b""
        self._inner: Mp3Framer | WavFramer | None = None

    @property
    def format(self) -> StreamFormat | None:
        """What the song is; None until the first frame is out."""
        return self._inner.format if self._inner else None

    @property
    def codec(self) -> str | None:
        """FFmpeg's name for the coding of the frames, "mp3" or "pcm_s16le" and its kin; as `format`, None at first."""
        return self._inner.codec if self._inner and self._inner.format else None

    @property
    def init(self) -> bytes:
        """What must stand before the frames to make a file of them: a WAV's header, nothing for MP3."""
        return self._inner.init if self._inner else b""

    @property
    def skipped(self) -> int:
        """Bytes of garbage dropped since the first frame; tags are not garbage."""
        return self._inner.skipped if self._inner else 0

    def feed(self, data: bytes) -> list[CodecFrame]:
        """Take a slice of any size, give the frames that it completes.

        Raises `UnknownFormat` when the song is neither an MP3 nor a WAV that can be read.
        """
        if self._inner is None:
            self._head += data
            if len(self._head) < _SNIFF:
                return []
            data, self._head = self._head, b""
            self._inner = WavFramer() if data[:_SNIFF] in _WAV else Mp3Framer()
        return self._inner.feed(data)

    def flush(self) -> list[CodecFrame]:
        """The song is over: give what is left. Nothing may be fed afterwards."""
        return self._inner.flush() if self._inner else []
