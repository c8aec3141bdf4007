"""Tests of Opus in Ogg: pages, granules and checksums, read by a reader of its own and by decoders.

Invariant under test: a decoder gives exactly the song's samples, whatever the encoder's rate; every page can be joined
at. The reader here is written from RFC 3533 and RFC 7845, slowly and without the code under test.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transcode.packager.encodes import encode, heard, pack, run
from transcode.formats import OGG
from transcode.packager.door import packager
from transcode.packager.ogg import checksum
from transcode.packet import Packet


@dataclass
class Page:
    """One page; `laces` are its segments' lengths."""

    flags: int
    granule: int
    serial: int
    sequence: int
    laces: bytes
    body: bytes


def pages(stream: bytes) -> Iterator[Page]:
    """All pages of a stream; every checksum must be right and nothing may lie between them."""
    at = 0
    while at < len(stream):
        magic, version, flags, granule, serial, sequence, crc, segments = struct.unpack_from("<4sBBqIIIB", stream, at)
        assert (magic, version) == (b"OggS", 0)
        laces = stream[at + 27 : at + 27 + segments]
        end = at + 27 + segments + sum(laces)
        assert crc == slow_checksum(stream[at : at + 22] + bytes(4) + stream[at + 26 : end])
        yield Page(flags, granule, serial, sequence, laces, stream[at + 27 + segments : end])
        at = end


def slow_checksum(page: bytes) -> int:
    """Bit by bit: polynomial 0x04c11db7, the highest bit first, from zero, not inverted."""
    crc = 0
    for octet in page:
        crc ^= octet << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


@given(st.binary(max_size=300))
def test_the_checksum_is_oggs(page: bytes) -> None:
    """The mirrored zlib is the slow reference, for any bytes."""
    assert checksum(page) == slow_checksum(page)


def test_pages_of_a_song() -> None:
    """Two header pages, then one a chunk: numbered, of one stream, the ends marked, granules where the sound ends."""
    song = encode("opus")
    packed = pack("ogg", song, 10)
    head, tags, *audio = pages(packed.stream())
    assert head.body == song.config.extradata
    assert tags.body.startswith(b"OpusTags\x08\0\0\0Wavegate")
    assert (head.flags, head.granule, tags.flags, tags.granule) == (2, 0, 0, 0)
    assert [page.sequence for page in (head, tags, *audio)] == list(range(2 + len(packed.chunks)))
    assert len({page.serial for page in (head, tags, *audio)}) == 1
    assert [page.flags for page in audio] == [0] * (len(audio) - 1) + [4]
    assert [page.granule for page in audio[:-1]] == [9600 * number for number in range(1, len(audio))]
    assert audio[-1].granule == song.samples + song.config.delay
    assert b"".join(page.body for page in audio) == b"".join(packet.data for packet in song.packets)


@pytest.mark.parametrize("sample_rate", [8000, 12000, 16000, 24000, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_song_is_heard_to_the_sample(need: Callable[[str], str], sample_rate: int, channels: int) -> None:
    """By PyAV and by ffmpeg: what is decoded at 48 kHz is exactly as long as what was encoded."""
    song = encode("opus", sample_rate, channels, sample_rate + 321)
    stream = pack("ogg", song).stream()
    expected = song.samples * 48000 // sample_rate
    assert heard(stream, "ogg").shape == (channels, expected)
    pcm, complaint = run([need("ffmpeg"), "-v", "warning", "-i", "-", "-f", "s16le", "-"], stream)
    assert complaint == ""
    assert len(pcm) == expected * channels * 2


def test_a_chunk_too_long_for_a_page() -> None:
    """It takes more pages, and only the last one ends the stream. Lengths of 255 have a closing zero."""
    song = encode("opus", samples=1)
    sizes = [255, 254, 256, 0, 510, 1] * 60
    packets = [Packet(bytes([7]) * size, at * 960, 960) for at, size in enumerate(sizes)]
    audio = list(pages(packager(OGG, song.config).pack(packets, last=True)))
    assert len(audio) == 3
    assert [page.flags for page in audio] == [0, 0, 4]
    assert all(page.laces[-1] != 255 for page in audio)
    lengths, length = [], 0
    for lace in b"".join(page.laces for page in audio):
        length += lace
        if lace < 255:
            lengths.append(length)
            length = 0
    assert lengths == [size for size in sizes if size]
    assert audio[-1].granule == len(sizes) * 960 + song.config.delay
    last_of_first = sum(lace < 255 for lace in audio[0].laces)
    kept = [packet for packet in packets if packet.data]
    assert audio[0].granule == kept[last_of_first - 1].pts + 960 + song.config.delay


def test_an_end_without_sound(need: Callable[[str], str]) -> None:
    """Packets that are padding alone are dropped; the end is then told by a page without packets."""
    song = encode("opus", samples=48_000 - 312)
    assert song.packets[-1].padding == 0
    packer = packager(OGG, song.config)
    stream = packer.init + packer.pack(song.packets)
    last = packer.pack([Packet(song.packets[-1].data, 48_000 - 312, 960, padding=960)], last=True)
    (page,) = pages(last)
    assert (page.flags, page.granule, page.laces) == (4, 48_000, b"")
    assert np.array_equal(heard(stream + last, "ogg"), heard(stream, "ogg"))
    assert heard(stream, "ogg").shape[1] == song.samples
    assert run([need("ffprobe"), "-v", "warning", "-show_packets", "-"], stream + last)[1] == ""
