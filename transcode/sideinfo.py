"""The side information of an MP3 frame (ISO/IEC 11172-3 and 13818-3, 2.4.1.7): where each granule's parts stand in it.

Invariant: pure, a table by version and channels. A part is what stands there about one channel of one granule: first
the bits of its coded sound (12), then the big values (9) and the gain (8).
It must not know what anybody does with them.
"""

from transcode.mp3header import HEADER_BYTES, Kind

LENGTH_BITS = 12
GAIN_AT = 21
GAIN_BITS = 8

_NO_CRC = 0x01
_CRC_BYTES = 2


def start_of(frame: bytes) -> int:
    """Where it begins in a frame: behind the header, and the checksum if there is one."""
    return HEADER_BYTES + (0 if frame[1] & _NO_CRC else _CRC_BYTES)


def parts(kind: Kind) -> list[int]:
    """Where each part begins, in bits from the start of the side information, granule by granule."""
    stereo = kind.channels == 2
    if kind.version == "1":
        # The pointer, private bits, and four a channel that tell which scale factors are shared.
        first, part, granules = (20 if stereo else 18), 59, 2
    else:
        first, part, granules = (10 if stereo else 9), 63, 1
    return [first + number * part for number in range(granules * kind.channels)]
