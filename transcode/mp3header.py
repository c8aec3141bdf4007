"""The MPEG audio Layer III frame header (ISO/IEC 11172-3 and 13818-3, and the 2.5 extension), as tables.

Invariant: the three octets that say version, bitrate, rate and padding decide a frame's length, so every valid triple
stands in a table with it; a header is looked up, never computed. Free format (no bitrate) has no length and no row.
It knows one header at a time: neither streams nor tags, nor which headers follow each other.
"""

import re
from dataclasses import dataclass

HEADER_BYTES = 4
MPEG1_RATE = 32000  # Hz, from which on it is MPEG 1: frames of 1152 samples, below of half as many

_FULL = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_HALF = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)

# version octet without its protection bit: (name, rates by index, kbit/s by index, samples a frame)
_VERSIONS: dict[int, tuple[str, tuple[int, int, int], tuple[int, ...], int]] = {
    0xFA: ("1", (44100, 48000, 32000), _FULL, 1152),
    0xF2: ("2", (22050, 24000, 16000), _HALF, 576),
    0xE2: ("2.5", (11025, 12000, 8000), _HALF, 576),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What all frames of one song share.

    `version` is "1", "2" or "2.5" (MPEG), `sample_rate` is in Hz, `channels` is 1 or 2, `samples` is a frame's length.
    """

    version: str
    sample_rate: int
    channels: int
    samples: int

    @property
    def side_info(self) -> int:
        """Octets of side information after the header: where an encoder's Xing or Info mark stands."""
        if self.version == "1":
            return 17 if self.channels == 1 else 32
        return 9 if self.channels == 1 else 17


@dataclass(frozen=True, slots=True)
class Header:
    """One frame: its kind, its length in octets with the header, its bitrate in bit/s."""

    kind: Kind
    size: int
    bitrate: int


def _table() -> dict[bytes, tuple[Header, Header]]:
    """Every valid first three octets with what they mean in stereo and in mono (the fourth octet says which)."""
    table: dict[bytes, tuple[Header, Header]] = {}
    for octet, (version, rates, bitrates, samples) in _VERSIONS.items():
        for rate_index, rate in enumerate(rates):
            stereo, mono = Kind(version, rate, 2, samples), Kind(version, rate, 1, samples)
            for bitrate_index, kilobits in enumerate(bitrates, start=1):
                bitrate = kilobits * 1000
                for padding in (0, 1):
                    size = samples // 8 * bitrate // rate + padding
                    row = (Header(stereo, size, bitrate), Header(mono, size, bitrate))
                    low = bitrate_index << 4 | rate_index << 2 | padding << 1
                    for protection in (0, 1):
                        for private in (0, 1):
                            table[bytes((0xFF, octet | protection, low | private))] = row
    return table


_HEADERS = _table()

# The same rules as a pattern, for scanning garbage at C speed: no free format (high nibble 0), no bad bitrate
# (high nibble 15), no reserved rate (both rate bits set), no reserved emphasis (low bits 2).
HEADER_PATTERN = re.compile(
    rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]["
    + b"".join(re.escape(bytes((b,))) for b in range(256) if 0x10 <= b < 0xF0 and b & 0x0C != 0x0C)
    + rb"]["
    + b"".join(re.escape(bytes((b,))) for b in range(256) if b & 3 != 2)
    + rb"]"
)


def parse_header(data: bytes, at: int = 0) -> Header | None:
    """The frame header at offset `at`; None when there is none, or when fewer than four octets are left."""
    row = _HEADERS.get(data[at : at + 3])
    if row is None or len(data) < at + HEADER_BYTES:
        return None
    mode = data[at + 3]
    if mode & 3 == 2:
        return None
    return row[mode >= 0xC0]


def bitrates(sample_rate: int) -> tuple[int, ...]:
    """The bitrates in bit/s that a constant-bitrate encoder may use at this rate; empty for a rate MP3 has not."""
    for version, rates, kilobits, _ in _VERSIONS.values():
        if sample_rate in rates:
            # Encoders hold MPEG 2.5 to 64 kbit/s, and decoders in hardware rely on it.
            return tuple(k * 1000 for k in kilobits if version != "2.5" or k <= 64)
    return ()
