"""Tests of AAC in fragmented MP4: boxes read by a reader of its own, sound by decoders.

Invariant under test: a fragment needs the init and nothing else; its times count the delay, which the edit list takes
off; durations add up to the song. The reader knows boxes and nothing of the code under test.
"""

import struct
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.unit.transcode.packager.encodes import encode, heard, pack, run
from transcode.formats import MP4
from transcode.packager.door import packager
from transcode.packet import Packet

HOLDERS = {b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"mvex", b"moof", b"traf"}


def boxes(data: bytes, path: str = "") -> Iterator[tuple[str, bytes]]:
    """All boxes, those within others by their path; bodies without the size and the name."""
    at = 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        assert 8 <= size <= len(data) - at
        here = f"{path}/{name.decode()}".strip("/")
        yield here, data[at + 8 : at + size]
        if name in HOLDERS:
            yield from boxes(data[at + 8 : at + size], here)
        at += size


@pytest.mark.parametrize(("sample_rate", "channels"), [(44100, 2), (8000, 1), (48000, 1)])
def test_the_init(sample_rate: int, channels: int) -> None:
    """One track of AAC without samples, its fragments to come, the delay in its only edit."""
    song = encode("aac", sample_rate, channels, 5000)
    found = list(boxes(pack("mp4", song).init))
    assert [name for name, _ in found if "/" not in name] == ["ftyp", "moov"]
    init = dict(found)
    assert b"cmfc" in init["ftyp"]
    lengths = {"mvhd": 100, "trak/tkhd": 84, "trak/mdia/mdhd": 24, "trak/mdia/minf/smhd": 8, "mvex/trex": 24}
    assert {name: len(init[f"moov/{name}"]) for name in lengths} == lengths
    assert struct.unpack_from(">I", init["moov/mvhd"], 12) == (sample_rate,)
    enabled, track, volume, matrix = struct.unpack_from(">I8xI20xHxxI", init["moov/trak/tkhd"])
    assert (enabled, track, volume, matrix) == (3, 1, 0x100, 0x10000)
    assert struct.unpack(">IIIiI", init["moov/trak/edts/elst"]) == (0, 1, 0, 1024, 0x10000)
    assert struct.unpack_from(">I", init["moov/trak/mdia/mdhd"], 12) == (sample_rate,)
    assert struct.unpack(">IIIIII", init["moov/mvex/trex"]) == (0, 1, 1, 1024, 0, 0x02000000)
    for table in ("stts", "stsc", "stco"):
        assert init[f"moov/trak/mdia/minf/stbl/{table}"] == bytes(8)
    entry = init["moov/trak/mdia/minf/stbl/stsd"][16:]
    assert struct.unpack_from(">HHHHI", entry, 16) == (channels, 16, 0, 0, sample_rate << 16)
    assert bytes((5, len(song.config.extradata))) + song.config.extradata in entry


@pytest.mark.parametrize("size", [1, 10, 10_000])
def test_fragments_of_a_song(size: int) -> None:
    """One moof and one mdat a chunk, numbered, at its time; the sizes are the frames', the durations add up."""
    song = encode("aac")
    at, data = 0, []
    for number, chunk in enumerate(pack("mp4", song, size).chunks, 1):
        found = list(boxes(chunk))
        parts = dict(found)
        assert [name for name, _ in found if "/" not in name] == ["moof", "mdat"]
        assert struct.unpack(">II", parts["moof/mfhd"]) == (0, number)
        assert struct.unpack(">II", parts["moof/traf/tfhd"]) == (0x020000, 1)
        assert struct.unpack(">IQ", parts["moof/traf/tfdt"]) == (1 << 24, at)
        flags, count, offset = struct.unpack_from(">III", parts["moof/traf/trun"])
        table = struct.unpack(f">{(len(parts['moof/traf/trun']) - 12) // 4}I", parts["moof/traf/trun"][12:])
        told = bool(flags & 0x100)
        assert flags == 0x201 | told << 8
        durations = table[::2] if told else (1024,) * count
        sizes = table[1::2] if told else table
        assert len(sizes) == count
        for length in sizes:
            data.append(chunk[offset : offset + length])
            offset += length
        assert offset == len(chunk)
        at += sum(durations)
    assert data == [packet.data for packet in song.packets]
    assert at == song.samples + song.config.delay


def test_the_delay_is_not_heard(need: Callable[[str], str]) -> None:
    """PyAV begins at the song's first sample; the padding is played, for there is no box that could take it off."""
    song = encode("aac")
    stream = pack("mp4", song).stream()
    sound = heard(stream, "mp4")
    assert sound.shape[1] == song.samples + song.packets[-1].padding
    assert np.array_equal(sound, heard(pack("aac", song).stream(), "aac")[:, 1024:])
    command = [need("ffprobe"), "-v", "warning", "-show_entries", "stream=start_pts", "-of", "csv=p=0", "-"]
    assert run(command, stream) == (b"-1024\n", "")


def test_an_end_without_sound() -> None:
    """A packet that is padding alone is dropped, and what it leaves alone is no fragment and takes no number."""
    song = encode("aac")
    silent = Packet(b"x", 1024, 1024, padding=1024)
    first, second = (packager(MP4, song.config) for _ in range(2))
    assert first.pack([silent], last=True) == b""
    assert first.pack([song.packets[0], silent]) == second.pack(song.packets[:1])
