"""Tests of Opus in WebM: elements read by a reader of its own, sound by decoders.

Invariant under test: a decoder gives exactly the song's samples; block times count the delay; a Cluster knows its size.
The reader here knows EBML and nothing of the code under test.
"""

import struct
from collections.abc import Callable, Iterator

import pytest

from tests.unit.transcode.packager.encodes import encode, heard, pack, run
from transcode.formats import WEBM
from transcode.packager.door import packager
from transcode.packet import Packet

EBML, SEGMENT, INFO, TRACKS, ENTRY, AUDIO = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE1
CLUSTER, TIMESTAMP, SIMPLE, GROUP, BLOCK, DISCARD = 0x1F43B675, 0xE7, 0xA3, 0xA0, 0xA1, 0x75A2


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements at one level: identifiers and bodies. One of unknown size takes all that follows."""
    at = 0
    while at < len(data):
        length = 9 - data[at].bit_length()
        name = int.from_bytes(data[at : at + length], "big")
        at += length
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length], "big") - (1 << 7 * length)
        at += length
        if size == (1 << 7 * length) - 1:
            size = len(data) - at
        assert at + size <= len(data)
        yield name, data[at : at + size]
        at += size


def blocks(cluster: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Of every block its time in ms, its data, and its padding in ns."""
    (name, body), *rest = elements(cluster)
    assert name == TIMESTAMP
    begin = int.from_bytes(body, "big")
    for name, body in rest:
        padding = 0
        if name == GROUP:
            inner = dict(elements(body))
            padding, body = int.from_bytes(inner[DISCARD], "big", signed=True), inner[BLOCK]
        track, offset, flags = struct.unpack_from(">BhB", body)
        assert track == 0x81
        assert flags == (0x80 if name == SIMPLE else 0)
        yield begin + offset, body[4:], padding


def test_the_init() -> None:
    """A webm, its Segment open, one Opus track at 48 kHz that declares delay and preroll in nanoseconds."""
    song = encode("opus", 24000, 1, 24_001)
    (name, head), (segment, rest) = elements(pack("webm", song).init)
    assert (name, segment) == (EBML, SEGMENT)
    assert dict(elements(head))[0x4282] == b"webm"
    level = dict(elements(rest))
    assert int.from_bytes(dict(elements(level[INFO]))[0x2AD7B1], "big") == 1_000_000
    entry = dict(elements(dict(elements(level[TRACKS]))[ENTRY]))
    assert entry[0x86] == b"A_OPUS"
    assert entry[0x63A2] == song.config.extradata
    assert int.from_bytes(entry[0x56AA], "big") == 6_500_000
    assert int.from_bytes(entry[0x56BB], "big") == 80_000_000
    audio = dict(elements(entry[AUDIO]))
    assert struct.unpack(">d", audio[0xB5]) == (48000.0,)
    assert audio[0x9F] == b"\1"


@pytest.mark.parametrize("size", [1, 10, 10_000])
def test_clusters_of_a_song(size: int) -> None:
    """One a chunk, every packet in it at its time, the padding of the last told to the nanosecond."""
    song = encode("opus")
    found: list[tuple[int, bytes, int]] = []
    for chunk in pack("webm", song, size).chunks:
        ((name, cluster),) = elements(chunk)
        assert name == CLUSTER
        found += blocks(cluster)
    assert [data for _, data, _ in found] == [packet.data for packet in song.packets]
    assert [time for time, _, _ in found] == [20 * number for number in range(len(song.packets))]
    assert [padding for _, _, padding in found[:-1]] == [0] * (len(found) - 1)
    assert found[-1][2] == round(song.packets[-1].padding / 48000 * 1e9)


@pytest.mark.parametrize("sample_rate", [8000, 12000, 16000, 24000, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_song_is_heard_to_the_sample(need: Callable[[str], str], sample_rate: int, channels: int) -> None:
    """By PyAV and by ffmpeg: what is decoded at 48 kHz is exactly as long as what was encoded."""
    song = encode("opus", sample_rate, channels, sample_rate + 321)
    stream = pack("webm", song).stream()
    expected = song.samples * 48000 // sample_rate
    assert heard(stream, "webm").shape == (channels, expected)
    pcm, complaint = run([need("ffmpeg"), "-v", "warning", "-i", "-", "-f", "s16le", "-"], stream)
    assert complaint == ""
    assert len(pcm) == expected * channels * 2


def test_blocks_of_any_size() -> None:
    """Lengths grow by a byte where they must, and never look like the unknown one."""
    sizes = [1, 121, 122, 123, 124, 16_377, 16_378, 16_379, 16_380, 61_298]
    packets = [Packet(bytes(size), at * 960, 960) for at, size in enumerate(sizes)]
    ((_, cluster),) = elements(packager(WEBM, encode("opus").config).pack(packets))
    assert [len(data) for _, data, _ in blocks(cluster)] == sizes


def test_a_chunk_longer_than_a_cluster_can_tell() -> None:
    """Times in a Cluster have 16 bits: after 32 s there is another one. Times are rounded to the nearest ms."""
    packets = [Packet(b"opus", at * 100, 100) for at in range(33_000)]
    names, bodies = zip(*elements(packager(WEBM, encode("opus").config).pack(packets)), strict=True)
    assert names == (CLUSTER,) * 3
    times = [time for body in bodies for time, _, _ in blocks(body)]
    assert len(times) == len(packets)
    assert all(abs(time - (packet.pts + 312) / 48) <= 0.5 for time, packet in zip(times, packets, strict=True))


def test_an_end_without_sound() -> None:
    """A packet that is padding alone has nothing to tell."""
    song = encode("opus", samples=1)
    assert packager(WEBM, song.config).pack([Packet(b"x", 960, 960, padding=960)], last=True) == b""
