"""What stands before the sound.

Invariant tested: each head is read as what it is by the framers, whatever sizes it tells.
It must not know songs.
"""

import struct

import pytest

from gateway.upstream.simulator.heads import WAV_FORMS, id3, info_frame
from transcode.framer import Framer
from transcode.mp3header import bitrates, parse_header


def test_tags_hold_any_title() -> None:
    """The tag's size is right for non-ASCII titles, so that a decoder finds both its texts."""
    data = id3("江南古筝")
    size = (data[6] << 21) | (data[7] << 14) | (data[8] << 7) | data[9]
    assert len(data) == size + 10
    assert "江南古筝".encode() in data


@pytest.mark.parametrize("mark", [b"Info", b"Xing"])
@pytest.mark.parametrize("bitrate", [64000, 192000, 320000])
def test_an_info_frame_is_a_frame_without_sound(mark: bytes, bitrate: int) -> None:
    """It has the length that its header says, and the framer tells it from sound."""
    frame = info_frame(mark, bitrate)
    header = parse_header(frame)
    assert header is not None
    assert (header.size, header.bitrate, header.kind.sample_rate) == (len(frame), bitrate, 48000)
    framer = Framer()
    assert [found.samples for found in [*framer.feed(frame), *framer.flush()]] == [0]


@pytest.mark.parametrize(
    ("form", "riff", "data"),
    [
        ("0xFFFFFFFF", 0xFFFFFFFF, 0xFFFFFFFF),
        ("0x7FFFFFFF", 0x7FFFFFFF, 0x7FFFFFFF - 36),
        ("0", 0, 0),
        ("short", 96036, 96000),
        ("extensible", 0xFFFFFFFF, 0xFFFFFFFF),
    ],
)
def test_every_form_of_wav_is_read(form: str, riff: int, data: int) -> None:
    """The sizes are the form's, and the framer finds the same samples behind each."""
    head = WAV_FORMS[form](48000, 2)
    assert struct.unpack("<I", head[4:8]) == (riff,)
    assert struct.unpack("<I", head[-4:]) == (data,)
    framer = Framer()
    sound = bytes(range(240)) * 800
    frames = [*framer.feed(head + sound), *framer.flush()]
    assert b"".join(frame.data for frame in frames) == sound
    assert framer.format is not None
    assert (framer.format.sample_rate, framer.format.channels, framer.codec) == (48000, 2, "pcm_s16le")
    assert set(WAV_FORMS) == {"0xFFFFFFFF", "0x7FFFFFFF", "0", "short", "extensible", "bare"}


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_info_frame_at_every_rate(sample_rate: int, channels: int) -> None:
    """At a low and at its highest bitrate it says what it is, and has no sound."""
    for bitrate in (32000, bitrates(sample_rate)[-1]):
        frame = info_frame(b"Info", bitrate, sample_rate, channels)
        header = parse_header(frame)
        assert header is not None
        assert (header.size, header.bitrate) == (len(frame), bitrate)
        assert (header.kind.sample_rate, header.kind.channels) == (sample_rate, channels)
        framer = Framer()
        assert [found.samples for found in [*framer.feed(frame), *framer.flush()]] == [0]
