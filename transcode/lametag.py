"""What an encoder says in the silent frame at the head of an MP3: how much of the sound it added at both ends.

Invariant: nothing is believed that does not come whole and from an encoder that is known to mean it (LAME, and
FFmpeg's, which writes the same fields). Figures are samples a channel.
It must not know streams or decoders' errors; what a frame says is all there is.
"""

from dataclasses import dataclass

from transcode.mp3header import HEADER_BYTES, parse_header

DECODER_DELAY = 529  # what every decoder adds, by the arithmetic of the codec's filters

_FRAMES, _BYTES, _INDEX, _QUALITY = 1, 2, 4, 8
_ENCODERS = (b"LAME", b"Lavf", b"Lavc")
_DELAYS_AT = 21  # octets behind the encoder's name
_MOST_FRAMES = 1 << 28


@dataclass(frozen=True, slots=True)
class Trim:
    """What of a decoded song is no song: the first `lead` samples, and those from `end` up to `stop`.

    Both ends are counted from the first decoded sample; they are None when the length is not told.
    """

    lead: int
    end: int | None = None
    stop: int | None = None


NOTHING = Trim(0)


def trim(frame: bytes) -> Trim:
    """What the Info or Xing frame says. One without an encoder's figures, or that is neither, says nothing."""
    header = parse_header(frame)
    if header is None:
        return NOTHING
    start = HEADER_BYTES + header.kind.side_info
    # In a frame with a checksum some encoders count its two octets, LAME does not.
    at = next((at for at in (start, start + 2) if frame[at : at + 4] in (b"Xing", b"Info")), None)
    if at is None or len(frame) < at + 8:
        return NOTHING
    fields = int.from_bytes(frame[at + 4 : at + 8], "big")
    at += 8
    count = int.from_bytes(frame[at : at + 4], "big") if fields & _FRAMES else 0
    for field, size in ((_FRAMES, 4), (_BYTES, 4), (_INDEX, 100), (_QUALITY, 4)):
        at += size if fields & field else 0
    figures = frame[at + _DELAYS_AT : at + _DELAYS_AT + 3]
    if frame[at : at + 4] not in _ENCODERS or len(figures) < 3:
        return NOTHING
    both = int.from_bytes(figures, "big")
    delay, padding = both >> 12, both & 0xFFF
    lead = delay + DECODER_DELAY
    stop = count * header.kind.samples
    end = max(stop - padding + DECODER_DELAY, lead)
    if not 0 < count < _MOST_FRAMES or end > stop:
        return Trim(lead)
    return Trim(lead, end, stop)
