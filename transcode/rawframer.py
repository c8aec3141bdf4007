"""Whole sample blocks out of PCM that has no header: signed 16-bit little-endian, channels interleaved.

Invariant: joined, the frames are the input, but for a part of a sample block at its end; nothing else is held back.
It must not look at samples.
"""

from transcode.formats import CodecFrame, StreamFormat


class RawFramer:
    """A `Framer` for PCM that is known to be `form`."""

    codec = "pcm_s16le"

    def __init__(self, form: StreamFormat) -> None:
        self.format = form
        self._block = 2 * form.channels
        self._rest = b""

    def feed(self, data: bytes) -> list[CodecFrame]:
        """Take a slice of any size, give all whole sample blocks as one frame."""
        data = self._rest + data if self._rest else data
        whole = len(data) - len(data) % self._block
        self._rest = data[whole:]
        return [CodecFrame(data[:whole], whole // self._block)] if whole else []

    def flush(self) -> list[CodecFrame]:
        """Nothing: what is left is no sample."""
        return []
