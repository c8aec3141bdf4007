"""Whole MP3 frames out of arbitrary slices of a song, for relaying its bytes untouched.

Invariant: what comes out depends on the bytes alone, never on how they were sliced; joined, the frames of clean input
are the input from its first frame on, without tags. A frame comes out as soon as its last byte is in. Time is linear,
and no more than one frame and the next one's header is held.
It must not decode: a header is all that it reads, and how far it believes one is what this file is about.

A header is trusted at once where a frame is due: at the head, after a tag, and after a frame of the same kind. Anywhere
else it is one of the many accidents in compressed data, until the next frame's header stands where it says and agrees.
"""

from transcode.errors import UnknownFormat
from transcode.formats import MP3, CodecFrame, StreamFormat
from transcode.mp3header import HEADER_BYTES, HEADER_PATTERN, Header, Kind, parse_header
from transcode.tags import TAG_HEAD, tag_length

MAX_HEAD = 64 << 10  # garbage in front of the first frame, tags not counted


class Mp3Framer:
    """Cuts MPEG 1, 2 and 2.5 Layer III, constant or variable bitrate; free format is garbage to it.

    `format` is None until the first frame is out, then it stays, whatever a damaged stream turns into; its bitrate is
    the first sounding frame's. `skipped` counts bytes of garbage dropped since that first frame; tags are not garbage.
    """

    init = b""
    codec = "mp3"

    def __init__(self) -> None:
        self.format: StreamFormat | None = None
        self.skipped = 0
        self._rest = b""
        self._tag = 0  # bytes of a tag that are still to come
        self._fresh = True  # at the head or right after a tag: a header of any kind is trusted
        self._lost = False  # no frame where one was due
        self._kind: Kind | None = None  # of the last frame
        self._unknown = 0  # bytes of garbage before the first frame

    def feed(self, data: bytes) -> list[CodecFrame]:
        """Take a slice of any size, give the frames that it completes.

        Raises `UnknownFormat` when the first 64 KiB hold no MP3.
        """
        return self._cut(data, final=False)

    def flush(self) -> list[CodecFrame]:
        """The song is over: decide what waited for more bytes, drop a frame that is not whole."""
        frames = self._cut(b"", final=True)
        self._drop(len(self._rest))
        self._rest = b""
        return frames

    def _cut(self, data: bytes, *, final: bool) -> list[CodecFrame]:
        buffer = self._rest + data
        frames: list[CodecFrame] = []
        at, step = 0, self._step(buffer, 0, frames, final=final)
        while step is not None:
            at += step
            step = self._step(buffer, at, frames, final=final)
        self._rest = buffer[at:]
        return frames

    def _step(self, buffer: bytes, at: int, frames: list[CodecFrame], *, final: bool) -> int | None:
        """Do the next thing at offset `at`; give the bytes it consumed, None when it takes more than there are."""
        if self._tag:
            step = min(self._tag, len(buffer) - at)
            self._tag -= step
            return step or None
        if self._lost:
            return self._search(buffer, at, frames, final=final)
        header = parse_header(buffer, at)
        if header is not None and self._fresh:
            return self._first(buffer, at, header, frames, final=final)
        if header is not None and header.kind is self._kind:
            return self._run(buffer, at, frames) or None
        if header is None:
            length = tag_length(buffer[at : at + TAG_HEAD])
            if length:
                self._tag = length
                self._fresh = True
                return 0
            if not final and (length is None or len(buffer) - at < HEADER_BYTES):
                return None
        self._lost = True
        return 0

    def _run(self, buffer: bytes, at: int, frames: list[CodecFrame]) -> int:
        """Cut frames of one kind as long as they follow each other: nearly all that ever happens."""
        kind, start, size = self._kind, at, len(buffer)
        header = parse_header(buffer, at)
        while header is not None and header.kind is kind and at + header.size <= size:
            frames.append(CodecFrame(buffer[at : at + header.size], kind.samples))
            at += header.size
            header = parse_header(buffer, at)
        return at - start

    def _first(
        self, buffer: bytes, at: int, header: Header, frames: list[CodecFrame], *, final: bool, found: bool = False
    ) -> int | None:
        """Cut the first frame after the head, a tag or (`found`) garbage: the only place for an Info frame."""
        kind, end = header.kind, at + header.size
        if len(buffer) < end:
            return None
        frame = buffer[at:end]
        silent = _is_info(frame, kind)
        discontinuity = self.format is not None and (found or kind is not self._kind)
        if self.format is None:
            bitrate = header.bitrate
            if silent:
                # Its bitrate was chosen to make room for the index; the song's stands in the next header.
                if len(buffer) < end + HEADER_BYTES and not final:
                    return None
                following = parse_header(buffer, end)
                bitrate = following.bitrate if following else bitrate
            self.format = StreamFormat(MP3, kind.sample_rate, kind.channels, bitrate)
        frames.append(CodecFrame(frame, 0 if silent else kind.samples, discontinuity))
        self._kind, self._fresh, self._lost = kind, False, False
        return header.size

    def _search(self, buffer: bytes, at: int, frames: list[CodecFrame], *, final: bool) -> int | None:
        """Drop garbage up to the next header that the header after it confirms."""
        match = HEADER_PATTERN.search(buffer, at)
        start = match.start() if match else len(buffer) - (0 if final else HEADER_BYTES - 1)
        if start > at:
            self._drop(start - at)
            return start - at
        header = parse_header(buffer, at)
        if header is None:  # fewer bytes are left than a header has
            return None
        following = parse_header(buffer, at + header.size)
        if following is not None and following.kind is header.kind:
            return self._first(buffer, at, header, frames, final=final, found=True)
        if len(buffer) < at + header.size + HEADER_BYTES and not final:
            return None
        self._drop(1)
        return 1

    def _drop(self, count: int) -> None:
        if self.format is not None:
            self.skipped += count
            return
        self._unknown += count
        if self._unknown > MAX_HEAD:
            raise UnknownFormat(f"no MPEG audio in the first {MAX_HEAD >> 10} KiB")


def _is_info(frame: bytes, kind: Kind) -> bool:
    """Whether a frame is an encoder's index (Xing, Info, VBRI), which stands in place of sound."""
    mark = HEADER_BYTES + kind.side_info
    # In a frame with a checksum some encoders count its two octets, LAME does not.
    marks = (frame[mark : mark + 4], frame[mark + 2 : mark + 6])
    return b"Xing" in marks or b"Info" in marks or frame[36:40] == b"VBRI"
