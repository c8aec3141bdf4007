"""Tests of FLAC: its STREAMINFO, its numbers, its last frame.

Invariant under test: a file of STREAMINFO and the packets is one that decoders take, also when it was taken up in the
middle. Golden truth is PyAV's decode, and RFC 9639.
"""

import numpy as np
import pytest

from tests.support.packets import melody, read
from transcode.encoders import flac
from transcode.encoders.flac import FlacEncoder
from transcode.errors import EncodeError
from transcode.packet import Packet
from transcode.samples import as_s16
from transcode.spec import EncoderSpec

RATES = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 44101]


def spec(rate: int) -> EncoderSpec:
    return EncoderSpec("flac", rate, 2, None)


def encoded(rate: int, samples: int, start: int = 0) -> tuple[list[Packet], bytes]:
    """Packets of a melody from sample `start` on, and STREAMINFO."""
    coder = FlacEncoder(spec(rate), start)
    tune = melody(rate, 2, samples / rate).astype(np.float32)[:, start:]
    return coder.encode(tune) + coder.flush(), coder.config.extradata


@pytest.mark.parametrize("rate", RATES)
def test_streaminfo_is_that_of_a_live_song(rate: int) -> None:
    """Block sizes, rate, channels and 16 bits; no sizes of frames, no length, no MD5."""
    packets, info = encoded(rate, 5000)
    assert len(info) == 34
    least, most = int.from_bytes(info[:2], "big"), int.from_bytes(info[2:4], "big")
    assert least == most == packets[0].duration == FlacEncoder.grid(spec(rate)).frame
    fields = int.from_bytes(info[10:18], "big")
    assert (fields >> 44, (fields >> 41 & 7) + 1, (fields >> 36 & 31) + 1) == (rate, 2, 16)
    assert fields & (1 << 36) - 1 == 0
    assert info[18:] == bytes(16)


@pytest.mark.parametrize("rate", RATES)
def test_a_file_of_it_is_the_song(rate: int) -> None:
    """To the sample; the last frame is as short as it must be."""
    packets, info = encoded(rate, 5000)
    file = b"fLaC\x80\x00\x00\x22" + info + b"".join(packet.data for packet in packets)
    expected = as_s16(melody(rate, 2, 5000 / rate).astype(np.float32))
    assert np.array_equal(read(file, "flac") * 32768, expected)
    frame = FlacEncoder.grid(spec(rate)).frame
    assert packets[-1].duration == 5000 % frame
    assert sum(packet.duration for packet in packets) == 5000


@pytest.mark.parametrize("rate", [8000, 44100, 44101])
def test_begun_in_the_middle_it_is_the_same(rate: int) -> None:
    """Byte for byte, numbers and checksums too."""
    frame = FlacEncoder.grid(spec(rate)).frame
    whole, _ = encoded(rate, 300 * frame + 50)
    later, _ = encoded(rate, 300 * frame + 50, 10 * frame)
    assert later == whole[10:]


def test_another_encoder_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it makes packets whose times are wrong."""
    monkeypatch.setattr(flac.Codec, "frame", 4608)
    with pytest.raises(EncodeError, match="another frame length"):
        FlacEncoder(EncoderSpec("flac", 44100, 2, None))
