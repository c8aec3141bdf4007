"""One conversion by itself: the file is whole.

Invariant under test: it writes what the converter gives, the container's beginning first.
It must not know codecs.
"""

from pathlib import Path

import pytest

from gateway.bench.solo import convert
from gateway.bench.song import song


@pytest.mark.parametrize(
    ("form", "bitrate", "begins"), [("ogg", "96000", b"OggS"), ("flac", "0", b"fLaC"), ("pcm", "0", b"\0")]
)
def test_a_file_is_made(form: str, bitrate: str, begins: bytes, tmp_path: Path) -> None:
    """From an mp3 in steps of 6,000 bytes."""
    source, target = tmp_path / "song.mp3", tmp_path / "made"
    source.write_bytes(song(0.5).data)
    convert([str(source), form, "48000", "2", bitrate, "6000", str(target)])
    made = target.read_bytes()
    assert made.startswith(begins)
    assert len(made) > 4000


def test_what_is_no_song_is_nothing(tmp_path: Path) -> None:
    """An empty file makes an empty one."""
    source, target = tmp_path / "song.mp3", tmp_path / "made"
    source.write_bytes(b"")
    convert([str(source), "ogg", "48000", "2", "96000", "6000", str(target)])
    assert target.read_bytes() == b""
