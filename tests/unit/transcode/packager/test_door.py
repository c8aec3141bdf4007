"""Tests of the door, and of what holds for every container behind it.

Invariant under test: chunks may be cut anywhere between packets, and heard from any of them on; their audible durations
add up to the song. Golden truth is a decode by PyAV, and FFmpeg's own programs.
"""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transcode.packager.encodes import Encode, encode, heard, pack, run
from transcode.errors import EncodeError
from transcode.formats import FORMATS
from transcode.packager.door import audible, packager
from transcode.packet import CodecConfig, Packet
from transcode.spec import EncoderSpec

# Samples until a decoder that begins in the middle is right: a frame or two, but Opus tells gains by how they change.
FEET = {"opus": 14400, "aac": 2048, "mp3": 2304}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_a_packager(form: str) -> None:
    """It takes the format's codec, and has an init exactly where the table says so."""
    song = encode(FORMATS[form].codec)
    packed = pack(form, song)
    assert bool(packed.init) == FORMATS[form].container
    assert all(packed.chunks)
    with pytest.raises(EncodeError, match=f"{form} holds {FORMATS[form].codec}, not vorbis"):
        packager(FORMATS[form], CodecConfig(EncoderSpec("vorbis", 48000, 2, None)))


def test_no_codec_library_comes_along() -> None:
    """The event loop's process can use packagers without loading one."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, transcode.packager.door; print({'av', 'numpy'} & set(sys.modules))"],
        capture_output=True,
        timeout=30,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_slices_do_not_matter(form: str, size: int) -> None:
    """One packet a chunk, three, or the whole song at once: the same sound."""
    song = encode(FORMATS[form].codec)
    expected, sound = (heard(pack(form, song, slices).stream(), form) for slices in (10, size))
    assert np.array_equal(sound, expected)


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_packets_are_the_same_bytes(form: str) -> None:
    """In every process, for every listener: nothing is random, nothing tells the time of day."""
    song = encode(FORMATS[form].codec)
    assert pack(form, song) == pack(form, song)


@pytest.mark.parametrize("form", FORMATS)
def test_joining_late(form: str) -> None:
    """From any chunk on a listener hears the song's end as everybody does, once the decoder has found its feet."""
    song = encode(FORMATS[form].codec)
    packed = pack(form, song)
    whole = heard(packed.stream(), form)
    for begin in (1, 3):
        late = heard(packed.stream(begin), form)
        end = whole.shape[1] - late.shape[1]
        assert 0 < end <= sum(packet.duration for packet in song.packets[: begin * 10]) + song.config.delay
        rest = FEET.get(song.config.spec.codec, 0)
        assert np.abs(late[:, rest:] - whole[:, end + rest :]).max() < 1e-3


@pytest.mark.parametrize("form", [name for name in FORMATS if name not in ("pcm", "wav")])
@pytest.mark.parametrize("begin", [0, 2])
def test_ffprobe_finds_no_fault(need: Callable[[str], str], form: str, begin: int) -> None:
    """Not even a warning, from the start or joined late. PCM has no form, and a live WAV's lengths are placeholders."""
    song = encode(FORMATS[form].codec)
    command = [need("ffprobe"), "-v", "warning", "-show_entries", "stream=codec_name,sample_rate,channels:packet=pts"]
    said, complaint = run([*command, "-of", "compact", "-"], pack(form, song).stream(begin))
    assert complaint == ""
    assert f"codec_name={song.config.spec.codec}|sample_rate=48000|channels=2" in said.decode()


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_nothing(form: str) -> None:
    """Packets without a byte are dropped, wherever they come; a chunk of them has no bytes."""
    song = encode(FORMATS[form].codec)
    empty = Packet(b"", 480, 0)
    first, second = (packager(FORMATS[form], song.config) for _ in range(2))
    assert first.pack([empty, *song.packets[:5], empty]) == second.pack(song.packets[:5])
    assert first.pack([empty]) == b""
    assert first.pack(song.packets[5:9]) == second.pack(song.packets[5:9])


@pytest.mark.parametrize("codec", ["opus", "aac", "flac", "mp3", "pcm"])
@pytest.mark.parametrize(("sample_rate", "samples"), [(48000, 96_123), (24000, 24_000), (8000, 1), (48000, 1024)])
@pytest.mark.parametrize("size", [1, 7])
def test_chunks_add_up_to_the_song(codec: str, sample_rate: int, samples: int, size: int) -> None:
    """Delay and padding are nobody's sound; each chunk begins where the one before it ended."""
    song = encode(codec, sample_rate, 1, samples)
    at = 0
    for chunk in song.chunks(size):
        begin, duration = audible(chunk)
        assert duration >= 0
        assert begin == at or duration == 0
        at += duration
    assert at == samples


def test_the_sound_of_a_chunk() -> None:
    """Delay before it, padding over more than a packet behind it, and nothing but either."""
    delay, sound = Packet(b"a", -1024, 1024), Packet(b"b", 0, 1024)
    partly, silent = Packet(b"c", 1024, 1024, padding=1000), Packet(b"d", 2048, 1024, padding=1024)
    assert audible([delay]) == (0, 0)
    assert audible([Packet(b"e", -312, 960)]) == (0, 648)
    assert audible([delay, sound]) == (0, 1024)
    assert audible([sound, partly, silent]) == (0, 1048)
    assert audible([partly, silent]) == (1024, 24)
    assert audible([silent])[1] == 0
    assert audible([Packet(b"f", -312, 960, padding=640)]) == (0, 8)


@given(st.data())
@settings(max_examples=50)
def test_any_cut_adds_up(data: st.DataObject) -> None:
    """Chunks of any sizes, mixed: the audible durations are the song's length."""
    song: Encode = encode("opus")
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=len(song.packets)))
    at, lengths = 0, []
    for size in sizes:
        if at < len(song.packets):
            lengths.append(audible(song.packets[at : at + size])[1])
            at += size
    assert sum(lengths) == song.samples
