"""Sample blocks out of a WAV that arrives in arbitrary slices and may not know its own length.

Invariant: joined, `init` and the frames are the input up to the end of the sound, and what comes out depends on the
bytes alone, never on how they were sliced. Time is linear, and after the header no more than 10 ms are held.
A live WAV is written before its length is known, so the declared length ends nothing by itself: the sound ends there
only if a further chunk (LIST, id3, ...) follows. This file must not convert samples, only count them.
"""

import re

from transcode.formats import WAV, CodecFrame, StreamFormat
from transcode.wavheader import Coding, WavHeader

# A chunk's name, then a length below 16 MiB. Random samples look so once in 80,000 times, silence and quiet never.
_CHUNK = re.compile(rb"[A-Za-z_][A-Za-z0-9_ ]{3}[\x00-\xff]{3}\x00")
_CHUNK_BYTES = 8


class WavFramer:
    """Cuts PCM of 8 to 32 bits, or 32-bit float, into frames of 10 ms (rate // 100 blocks); the last one is shorter.

    `format`, `codec` (FFmpeg's name of the sample coding) and `init` (all bytes up to the first sample) are known once
    the header is read. `skipped` counts the bytes of a last block that was cut short.
    """

    def __init__(self) -> None:
        self.format: StreamFormat | None = None
        self.codec: str | None = None
        self.init = b""
        self.skipped = 0
        self._header = WavHeader()
        self._coding: Coding | None = None
        self._rest = b""
        self._left: int | None = None  # bytes up to the declared end; None when it is not believed
        self._padded = False  # an odd number of bytes is declared: one more stands before the next chunk
        self._beyond = b""  # what stands behind the declared end, until it can be told
        self._ended = False

    def feed(self, data: bytes) -> list[CodecFrame]:
        """Take a slice of any size, give the frames that it completes.

        Raises `UnknownFormat` for a WAV that cannot be read, or whose samples do not begin in its first 64 KiB.
        """
        if self._ended:
            return []
        if self._coding is None:
            self._header.feed(data)
            self._coding = self._header.coding
            if self._coding is None:
                return []
            data = self._open(self._coding)
        return self._cut(self._coding, self._sound(data))

    def flush(self) -> list[CodecFrame]:
        """The song is over: give the last frame, without the part of a sample block at its end."""
        if self._coding is None:
            return []
        # Behind the declared end there is less than a chunk: samples, or the padding alone.
        beyond = b"" if self._padded and len(self._beyond) == 1 else self._beyond
        self._beyond = b""
        frames = self._cut(self._coding, beyond)
        block = self._coding.block
        whole = len(self._rest) - len(self._rest) % block
        self.skipped += len(self._rest) - whole
        if whole:
            frames.append(CodecFrame(self._rest[:whole], whole // block))
        self._rest = b""
        return frames

    def _open(self, coding: Coding) -> bytes:
        """The header is read: say what it is, give the first samples."""
        bitrate = coding.sample_rate * coding.block * 8
        self.format = StreamFormat(WAV, coding.sample_rate, coding.channels, bitrate)
        self.codec = coding.codec
        self.init = self._header.init
        # A placeholder such as 0x7FFFFFFF lies so far off that it needs no rule.
        self._left = self._header.declared or None
        self._padded = self._header.declared % 2 == 1
        payload, self._header = self._header.payload, WavHeader()
        return payload

    def _sound(self, data: bytes) -> bytes:
        """The part of a slice that is sound."""
        if self._left is None:
            return data
        if len(data) <= self._left:
            self._left -= len(data)
            return data
        sound, beyond = data[: self._left], self._beyond + data[self._left :]
        self._left = 0
        chunk = beyond[self._padded : self._padded + _CHUNK_BYTES]
        if len(chunk) < _CHUNK_BYTES:
            self._beyond = beyond
            return sound
        self._beyond = b""
        if _CHUNK.fullmatch(chunk):
            self._ended = True
            return sound
        self._left = None
        return sound + beyond

    def _cut(self, coding: Coding, sound: bytes) -> list[CodecFrame]:
        samples = coding.sample_rate // 100
        size = samples * coding.block
        buffer = self._rest + sound
        whole = len(buffer) - len(buffer) % size
        self._rest = buffer[whole:]
        return [CodecFrame(buffer[at : at + size], samples) for at in range(0, whole, size)]
