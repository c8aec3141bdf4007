"""Tests of live MP3: whole frames that whoever joins can hear.

Invariant under test: packets are frames, and from any of them on at most one is not heard. Golden truth is FFmpeg's
decode of all packets against one of a part of them.
"""

import numpy as np
import pytest

from tests.support.packets import heard, melody
from transcode.encoders.mp3 import LiveMp3Encoder
from transcode.encoders.reservoir import Reservoir
from transcode.errors import EncodeError
from transcode.mp3encoder import AvLame, Mp3Encoder
from transcode.mp3header import parse_header
from transcode.packet import CodecConfig, Packet
from transcode.spec import EncoderSpec

SPECS = [
    (44100, 2, 128000),
    (44100, 2, 160000),
    (44100, 2, 192000),
    (44100, 2, 320000),
    (48000, 1, 96000),
    (24000, 1, 64000),
    (24000, 2, 112000),
    (8000, 1, 16000),
]


def encoded(rate: int, channels: int, bitrate: int) -> tuple[list[Packet], CodecConfig]:
    """A melody with bursts of noise, for which a frame needs more than its share."""
    coder = LiveMp3Encoder(EncoderSpec("mp3", rate, channels, bitrate))
    tune = melody(rate, channels, 2.0)
    noise = np.random.default_rng(1).normal(0, 0.2, tune.shape)
    noise[:, np.arange(tune.shape[1]) % (rate // 4) > rate // 20] = 0
    packets = coder.encode((tune / 2 + noise).astype(np.float32)) + coder.flush()
    return packets, coder.config


@pytest.mark.parametrize(("rate", "channels", "bitrate"), SPECS)
def test_packets_are_whole_frames(rate: int, channels: int, bitrate: int) -> None:
    """Of the rate and channels, and together no more than the bitrate and a tenth."""
    packets, config = encoded(rate, channels, bitrate)
    for packet in packets:
        header = parse_header(packet.data)
        assert header is not None
        assert header.size == len(packet.data)
        assert (header.kind.sample_rate, header.kind.channels) == (rate, channels)
        assert header.kind.samples == packet.duration
    seconds = sum(packet.duration for packet in packets) / rate
    assert sum(len(packet.data) for packet in packets) * 8 / seconds < 1.2 * bitrate
    late = 1329 if rate >= 32000 and bitrate > 160000 else 1105
    assert (packets[0].pts, config.delay, config.extradata) == (-late, late, b"")


@pytest.mark.parametrize(("rate", "channels", "bitrate"), SPECS)
def test_whoever_joins_hears_all_but_the_first_frame(rate: int, channels: int, bitrate: int) -> None:
    """The first one lacks the halves that overlap, and at high bitrates its beginning; the others lack nothing."""
    packets, config = encoded(rate, channels, bitrate)
    bare = CodecConfig(config.spec)
    whole = heard([Packet(p.data, p.pts, p.duration) for p in packets], bare)
    frame = packets[0].duration
    for start in range(3, len(packets) - 3, 7):
        part = heard([Packet(p.data, p.pts, p.duration) for p in packets[start:]], bare)
        # Behind it, half of a granule's window and the decoder's filters still remember what was not there.
        clean = frame + 576 + 512
        assert np.abs(part[:, clean:] - whole[:, start * frame :][:, clean:]).max() < 1e-4


@pytest.mark.parametrize(("rate", "bitrate"), [(44100, 128000), (44100, 192000), (48000, 160000), (48000, 320000)])
def test_with_the_second_frame_that_goes_in_the_first_comes_out(rate: int, bitrate: int) -> None:
    """At the latest, and from then on one for one, also where frames are given only when the next one is made."""
    coder = LiveMp3Encoder(EncoderSpec("mp3", rate, 2, bitrate))
    noise = np.random.default_rng(1).normal(0, 0.2, (2, 1152)).astype(np.float32)
    assert [len(coder.encode(noise)) for _ in range(8)][1:] == [1] * 7


def test_taken_up_again_its_first_packet_borrows_nothing() -> None:
    """What stands before it in the song is another encoder's."""
    for bitrate, late in ((96000, 1105), (192000, 1329), (320000, 1329)):
        coder = LiveMp3Encoder(EncoderSpec("mp3", 44100, 2, bitrate), 10 * 1152, 15 * 1152 - late)
        noise = np.random.default_rng(1).normal(0, 0.2, (2, 40 * 1152)).astype(np.float32)
        first = coder.encode(noise)[5]
        assert first.pts == 15 * 1152 - late
        assert int.from_bytes(first.data[4:6], "big") >> 7 == 0


def test_a_lame_that_borrows_nothing_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its frames are of constant bitrate, and stay so."""

    def lame(rate: int, channels: int, bitrate: int) -> Mp3Encoder:
        return Mp3Encoder(rate, channels, bitrate, lame=AvLame)

    def never(reservoir: Reservoir, frame: bytes, *, first: bool = False) -> bytes:
        raise AssertionError

    monkeypatch.setattr("transcode.encoders.mp3.Mp3Encoder", lame)
    monkeypatch.setattr(Reservoir, "taken", never)
    packets, _ = encoded(24000, 1, 64000)
    assert {len(packet.data) for packet in packets} == {192}


def test_a_bitrate_is_needed() -> None:
    """There is no MP3 without one."""
    with pytest.raises(EncodeError, match="bitrate"):
        LiveMp3Encoder(EncoderSpec("mp3", 44100, 2, None))
