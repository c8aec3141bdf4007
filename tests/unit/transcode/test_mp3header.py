"""Tests of the MP3 frame header tables against headers worked out by hand.

Invariant under test: the table that reads a header and the pattern that finds one are the same rules.
They know nothing of streams.
"""

import pytest

from transcode.mp3header import HEADER_PATTERN, Kind, bitrates, parse_header


@pytest.mark.parametrize(
    ("header", "kind", "size", "bitrate", "side_info"),
    [
        ("fffb9064", Kind("1", 44100, 2, 1152), 417, 128000, 32),
        ("fffb9264", Kind("1", 44100, 2, 1152), 418, 128000, 32),
        ("fffae4c4", Kind("1", 48000, 1, 1152), 960, 320000, 17),
        ("fff384c4", Kind("2", 24000, 1, 576), 192, 64000, 9),
        ("fff38864", Kind("2", 16000, 2, 576), 288, 64000, 17),
        ("ffe318c4", Kind("2.5", 8000, 1, 576), 72, 8000, 9),
        ("ffe3e800", Kind("2.5", 8000, 2, 576), 1440, 160000, 17),
    ],
)
def test_known_headers(header: str, kind: Kind, size: int, bitrate: int, side_info: int) -> None:
    """Headers worked out by hand from the standard mean what they should, at any offset."""
    parsed = parse_header(b"xyz" + bytes.fromhex(header), 3)
    assert parsed is not None
    assert (parsed.kind, parsed.size, parsed.bitrate) == (kind, size, bitrate)
    assert parsed.kind.side_info == side_info


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("fffb0064", "free format"),
        ("fffbf064", "bitrate 15"),
        ("fffb9c64", "reserved rate"),
        ("fffb9066", "reserved emphasis"),
        ("fffd9064", "layer II"),
        ("ffff9064", "layer I"),
        ("fff99064", "no layer, an ADTS header"),
        ("ffeb9064", "reserved version"),
        ("fefb9064", "no sync"),
        ("fffb90", "three octets"),
        ("", "nothing"),
    ],
)
def test_what_is_no_header(header: str, why: str) -> None:
    """Reserved values, other layers and headers cut short are None."""
    assert parse_header(bytes.fromhex(header)) is None, why


def test_pattern_and_table_agree() -> None:
    """The pattern that scans garbage finds exactly the headers that the table knows."""
    for second in range(0xE0, 0x100):
        for third in range(256):
            for fourth in range(0, 256, 7):
                octets = bytes((0xFF, second, third, fourth))
                assert (HEADER_PATTERN.match(octets) is None) == (parse_header(octets) is None), octets.hex()


def test_kinds_are_shared() -> None:
    """Frames of one song have the same kind object whatever their bitrate and padding, so identity can be compared."""
    one, two = parse_header(b"\xff\xfb\x90\x64"), parse_header(b"\xff\xfa\xb2\x44")
    assert one is not None
    assert two is not None
    assert one.kind is two.kind


@pytest.mark.parametrize(
    ("sample_rate", "lowest", "highest"), [(44100, 32000, 320000), (24000, 8000, 160000), (8000, 8000, 64000)]
)
def test_bitrates_of_a_rate(sample_rate: int, lowest: int, highest: int) -> None:
    """Each MPEG version has its own choice of bitrates."""
    assert (min(bitrates(sample_rate)), max(bitrates(sample_rate))) == (lowest, highest)


def test_no_bitrates_of_other_rates() -> None:
    """A rate that MP3 has not has no bitrates."""
    assert bitrates(96000) == ()
