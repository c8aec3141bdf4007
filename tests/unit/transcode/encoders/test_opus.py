"""Tests of Opus: its head, its delay at every rate, its 20 ms.

Invariant under test: what OpusHead says is what the packets do.
Golden truth is RFC 7845 and RFC 6716.
"""

import numpy as np
import pytest

from transcode.encoders import opus
from transcode.encoders.libopus import LibOpus
from transcode.encoders.opus import OpusEncoder
from transcode.errors import EncodeError
from transcode.spec import EncoderSpec


@pytest.mark.parametrize(("rate", "delay"), [(48000, 312), (24000, 156), (16000, 104), (12000, 78), (8000, 52)])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_delay_scales_and_the_pre_skip_does_not(rate: int, delay: int, channels: int) -> None:
    """One counts at the encoder's rate, the other at 48 kHz."""
    coder = OpusEncoder(EncoderSpec("opus", rate, channels, 64000))
    head = coder.config.extradata
    assert head[:8] == b"OpusHead"
    assert head[9] == channels
    assert int.from_bytes(head[10:12], "little") == 312
    assert int.from_bytes(head[12:16], "little") == rate
    assert coder.config.delay == OpusEncoder.grid(coder.config.spec).delay == delay


def test_packets_are_single_frames_of_20_ms() -> None:
    """As their first octet tells."""
    coder = OpusEncoder(EncoderSpec("opus", 48000, 2, 96000))
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 9600)).astype(np.float32)
    packets = coder.encode(noise)
    assert len(packets) == 10
    for packet in packets:
        config, code = packet.data[0] >> 3, packet.data[0] & 3
        assert code == 0
        assert config >= 12
        assert config % 4 == 3 or config in (13, 15)
        assert packet.duration == 960


def test_the_bitrate_is_about_what_was_asked_for() -> None:
    """Of noise, which needs all that it can get."""
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 96000)).astype(np.float32)
    for bitrate in (32000, 96000, 192000):
        packets = OpusEncoder(EncoderSpec("opus", 48000, 2, bitrate)).encode(noise)
        assert sum(len(packet.data) for packet in packets) * 8 / 2 == pytest.approx(bitrate, rel=0.25)


def test_another_libopus_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it makes packets whose times are wrong."""

    class Other(LibOpus):
        def __init__(self, sample_rate: int, channels: int, bitrate: int | None) -> None:
            super().__init__(sample_rate, channels, bitrate)
            self.lookahead += 24

    monkeypatch.setattr(opus, "LibOpus", Other)
    with pytest.raises(EncodeError, match="another delay"):
        OpusEncoder(EncoderSpec("opus", 48000, 2, 96000))
