"""Tests of AAC with ADTS headers.

Invariant under test: every frame says rate, channels and its own length, and can be joined at.
Golden truth is a decode by PyAV and the standard's table of rates.
"""

import numpy as np
import pytest

from tests.unit.transcode.packager.encodes import encode, heard, pack
from transcode.errors import EncodeError
from transcode.formats import AAC
from transcode.packager.door import packager
from transcode.packet import CodecConfig, Packet
from transcode.spec import EncoderSpec

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


@pytest.mark.parametrize("sample_rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_headers(sample_rate: int, channels: int) -> None:
    """Seven bytes each, one behind the other, to the end."""
    song = encode("aac", sample_rate, channels, 9000)
    stream, at = pack("aac", song).stream(), 0
    for packet in song.packets:
        head = int.from_bytes(stream[at : at + 7], "big")
        assert head >> 40 == 0xFFF1
        assert head >> 38 & 3 == 1  # AAC-LC
        assert RATES[head >> 34 & 15] == sample_rate
        assert head >> 30 & 7 == channels
        assert head & 0x1FFF == 0x7FF << 2 & 0x1FFF
        length = head >> 13 & 0x1FFF
        assert stream[at + 7 : at + length] == packet.data
        at += length
    assert at == len(stream)
    assert heard(stream, "aac").shape == (channels, len(song.packets) * 1024)


def test_every_frame_can_be_joined_at() -> None:
    """One frame later the sound is everybody's."""
    song = encode("aac")
    packed = pack("aac", song, 1)
    whole, late = heard(packed.stream(), "aac"), heard(packed.stream(11), "aac")
    assert np.array_equal(late[:, 1024:], whole[:, 12 * 1024 :])


@pytest.mark.parametrize(
    ("extradata", "complaint"),
    [
        (b"", "object type 0, rate index 0 and 0 channels"),
        (b"\x12", "object type 2, rate index 4 and 0 channels"),
        (b"\x17\x90", "object type 2, rate index 15"),
        (b"\x2b\x92", "object type 5"),
    ],
)
def test_what_adts_cannot_tell(extradata: bytes, complaint: str) -> None:
    """No object type above 4, no rate or channels beside the tables."""
    with pytest.raises(EncodeError, match=complaint):
        packager(AAC, CodecConfig(EncoderSpec("aac", 44100, 2, 128_000), 1024, extradata))


def test_a_frame_too_long() -> None:
    """Its length has 13 bits, the header's seven bytes included."""
    packer = packager(AAC, encode("aac").config)
    assert len(packer.pack([Packet(bytes(8184), 0, 1024)])) == 8191
    with pytest.raises(EncodeError, match="8185 bytes"):
        packer.pack([Packet(bytes(8185), 0, 1024)])
