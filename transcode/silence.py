"""Whether a codec frame holds digital silence, told without decoding it.

An MP3 frame is silent where no granule has a bit of coded sound, which is how encoders write a stretch of zeros;
samples are silent where each is zero. Invariant: pure, and exact: the softest noise is sound.
It must not know what silence means to anybody.
"""

from transcode.formats import CodecFrame
from transcode.mp3header import parse_header
from transcode.sideinfo import LENGTH_BITS, parts, start_of

# The one format whose zero is not zero.
_ZEROS = {"pcm_u8": b"\x80"}


def silent(frame: CodecFrame, codec: str) -> bool:
    """Whether a decoder makes nothing but zeros of it; `codec` is a framer's. What is no sound at all is not silent."""
    if not frame.samples:
        return False
    if codec == "mp3":
        return _nothing_coded(frame.data)
    return not frame.data.strip(_ZEROS.get(codec, b"\0"))


def _nothing_coded(frame: bytes) -> bool:
    header = parse_header(frame)
    if header is None:
        return False
    start, bits = start_of(frame), 8 * header.kind.side_info
    side = int.from_bytes(frame[start : start + header.kind.side_info], "big")
    return not any(side >> bits - part - LENGTH_BITS & (1 << LENGTH_BITS) - 1 for part in parts(header.kind))
