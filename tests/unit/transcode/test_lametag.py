"""Tests of reading the encoder's figures out of an Info frame.

Invariant under test: what LAME and FFmpeg write is found, and nothing is made of what is cut off, foreign or absurd.
Golden truth is FFmpeg's own muxer, and frames built field by field.
"""

from collections.abc import Mapping

import pytest

from transcode.framer import Framer
from transcode.lametag import NOTHING, Trim, trim

STEREO, MONO_LSF = b"\xff\xfb\x90\x64", b"\xff\xf3\x84\xc4"


def info(
    header: bytes = STEREO,
    *,
    mark: bytes = b"Info",
    fields: int = 0x0F,
    frames: int = 100,
    encoder: bytes = b"LAME3.100",
    delay: int = 576,
    padding: int = 1000,
    shift: int = 0,
) -> bytes:
    """A frame with an encoder's figures."""
    side = 32 if header == STEREO else 9
    body = mark + fields.to_bytes(4, "big")
    body += frames.to_bytes(4, "big") if fields & 1 else b""
    body += bytes(4) if fields & 2 else b""
    body += bytes(100) if fields & 4 else b""
    body += bytes(4) if fields & 8 else b""
    body += encoder.ljust(21, b"\0") + (delay << 12 | padding).to_bytes(3, "big")
    return (header + bytes(side + shift) + body).ljust(417 if header == STEREO else 384, b"\0")


@pytest.mark.parametrize("header", [STEREO, MONO_LSF])
@pytest.mark.parametrize("mark", [b"Info", b"Xing"])
@pytest.mark.parametrize("encoder", [b"LAME3.100", b"Lavc62.28", b"Lavf"])
@pytest.mark.parametrize("fields", [0x0F, 0x01, 0x03, 0x09])
@pytest.mark.parametrize("shift", [0, 2])
def test_the_figures_are_found(header: bytes, mark: bytes, encoder: bytes, fields: int, shift: int) -> None:
    """Wherever the optional fields push them."""
    stop = 100 * (1152 if header == STEREO else 576)
    frame = info(header, mark=mark, encoder=encoder, fields=fields, shift=shift)
    assert trim(frame) == Trim(576 + 529, stop - 1000 + 529, stop)


@pytest.mark.parametrize("changes", [{"fields": 0x0E}, {"frames": 0}, {"padding": 500}, {"frames": 1 << 30}])
def test_an_end_that_is_not_told(changes: dict[str, int]) -> None:
    """Without a count of frames, or where less was added than a decoder holds back, only the start is known."""
    assert trim(info(**changes)) == Trim(1105)


def test_a_song_of_nothing() -> None:
    """More padding than song ends it where it begins."""
    assert trim(info(frames=1, delay=576, padding=1152)) == Trim(1105, 1105, 1152)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"garbage!" * 60,
        info(encoder=b"GOGO"),
        info(encoder=b""),
        info(mark=b"VBRI"),
        info()[:60],
        info()[:40],
        STEREO.ljust(417, b"\0"),
    ],
)
def test_what_says_nothing(frame: bytes) -> None:
    """Foreign encoders, live ones, and what is cut off."""
    assert trim(frame) == NOTHING


def test_what_ffmpeg_writes(songs: Mapping[str, bytes]) -> None:
    """For a song of two seconds: what is left between both ends are its samples."""
    for name, rate in (("cbr128", 44100), ("mono24k", 24000), ("mono8k", 8000)):
        found = trim(Framer().feed(songs[name])[0].data)
        assert found.lead == 1105
        assert found.end is not None
        assert found.end - found.lead == 2 * rate
