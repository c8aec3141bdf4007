"""Tests of reading the encoder's figures out of an Info frame, and of writing them into one.

Invariant under test: what LAME and FFmpeg write is found, and nothing is made of what is cut off, foreign or absurd;
what is written is a frame like the song's, and true.
Golden truth is FFmpeg's own muxer, and frames built field by field.
"""

from collections.abc import Mapping

import pytest

from transcode.errors import EncodeError
from transcode.framer import Framer
from transcode.lametag import NOTHING, Trim, trim
from transcode.lametag import info as written
from transcode.mp3header import Kind, bitrates, parse_header

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


def frames_of(head: bytes, count: int = 100) -> bytes:
    """Frames of nothing, all alike."""
    header = parse_header(head)
    assert header is not None
    return head.ljust(header.size, b"\0") * count


def heads() -> list[bytes]:
    """A header of every rate, in stereo and in mono, at MPEG's lowest bitrate and at the highest."""
    octets = [(version, rate) for version in (0xFB, 0xF3, 0xE3) for rate in range(3)]
    return [
        bytes((0xFF, version, index << 4 | rate << 2, mode))
        for version, rate in octets
        for mode in (0x64, 0xC4)
        for index in (1, 14)
    ]


@pytest.mark.parametrize("head", heads(), ids=bytes.hex)
def test_what_is_written_is_read(head: bytes) -> None:
    """Both ends, by a frame of the song's own kind, however small the song's frames are."""
    header, song = parse_header(head), frames_of(head)
    assert header is not None
    kind = header.kind
    frame = written(song, 1105, 1000)
    assert trim(frame) == Trim(1105, 100 * kind.samples - 1000, 100 * kind.samples)
    own = parse_header(frame)
    assert own is not None
    assert (own.kind, own.size) == (kind, len(frame))
    # The song's own bitrate, where such a frame has the room.
    assert own.bitrate == max(header.bitrate, min(rate for rate in bitrates(kind.sample_rate) if _holds(kind, rate)))
    # Whoever does not know what it says decodes silence.
    assert not any(frame[4 : 4 + kind.side_info])
    first, second, *_ = Framer().feed(frame + song)
    assert (first.data, first.samples, second.samples) == (frame, 0, kind.samples)


def _holds(kind: Kind, bitrate: int) -> bool:
    return kind.samples // 8 * bitrate // kind.sample_rate >= 4 + kind.side_info + 156


def test_the_fields_of_a_constant_bitrate() -> None:
    """Each where LAME writes it: frames, octets with this one, the index, the bitrate and the checksum."""
    song = frames_of(STEREO)
    frame = written(song, 1329, 0)
    total = len(frame) + len(song)
    assert frame[36:40] == b"Info"
    assert [int.from_bytes(frame[at : at + 4], "big") for at in (40, 44, 48)] == [0x0F, 100, total]
    assert list(frame[52:152]) == [(417 + part * 417) * 256 // total for part in range(100)]
    assert frame[156:165] == b"LAME3.100"
    assert (frame[165], frame[176]) == (0x01, 128)
    assert int.from_bytes(frame[177:180], "big") == 800 << 12 | 529
    assert int.from_bytes(frame[184:188], "big") == total
    # The check value of CRC-16/ARC over what stands before it.
    assert int.from_bytes(frame[190:192], "big") == _arc(frame[:190])
    assert _arc(b"123456789") == 0xBB3D


def _arc(data: bytes) -> int:
    """CRC-16/ARC bit by bit, the polynomial the other way round from how it is made."""
    value = 0
    for octet in data:
        for bit in range(8):
            top = value >> 15 ^ (octet >> bit & 1)
            value = (value << 1 & 0xFFFF) ^ (0x8005 if top else 0)
    return int(f"{value:016b}"[::-1], 2)


def test_frames_of_many_sizes() -> None:
    """They are called so, and the index tells where each hundredth of the time begins."""
    small, large = STEREO, bytes((STEREO[0], STEREO[1], 0xE0, STEREO[3]))
    song = frames_of(small, 50) + frames_of(large, 50)
    frame = written(song, 1105, 0)
    assert frame[36:40] == b"Xing"
    assert frame[165] == 0x02
    half = len(frame) + 50 * 417
    assert frame[52 + 50] == half * 256 // (len(frame) + len(song))


@pytest.mark.parametrize(
    ("song", "delay", "padding"),
    [
        (b"no song", 1105, 0),
        (b"", 1105, 0),
        (frames_of(STEREO, 2), 528, 0),
        (frames_of(STEREO, 2), 529 + 4096, 0),
        (frames_of(STEREO, 2), 1105, 4096 - 529),
    ],
)
def test_what_no_frame_tells(song: bytes, delay: int, padding: int) -> None:
    """What is no song, less delay than a decoder's own, and more than twelve bits."""
    with pytest.raises(EncodeError, match="no Info frame"):
        written(song, delay, padding)
