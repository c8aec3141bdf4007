"""Tests of AAC: its config, its raw units, its bitrate.

Invariant under test: AudioSpecificConfig says AAC-LC at the rate and channels; units carry no ADTS header.
Golden truth is ISO/IEC 14496-3, and FFmpeg's decode.
"""

import numpy as np
import pytest

from tests.support.packets import heard, likeness, melody
from transcode.encoders.aac import AacEncoder
from transcode.spec import EncoderSpec

_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000]


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_config_says_what_it_is(rate: int, channels: int) -> None:
    """Object type 2, the rate's index, the channels: ISO/IEC 14496-3, 1.6.2.1."""
    config = AacEncoder(EncoderSpec("aac", rate, channels, 16000 * channels)).config
    bits = int.from_bytes(config.extradata[:2], "big")
    assert (bits >> 11, bits >> 7 & 0xF, bits >> 3 & 0xF) == (2, _RATES.index(rate), channels)
    assert config.delay == 1024


@pytest.mark.parametrize(("bitrate", "most"), [(32000, 1.1), (96000, 1.1), (128000, 1.1)])
def test_the_bitrate_is_kept(bitrate: int, most: float) -> None:
    """Of noise, which needs all that it can get."""
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 88200)).astype(np.float32)
    packets = AacEncoder(EncoderSpec("aac", 44100, 2, bitrate)).encode(noise)
    assert sum(len(packet.data) for packet in packets) * 8 / 2 < bitrate * most
    assert not any(packet.data[:2] == b"\xff\xf1" for packet in packets)


@pytest.mark.parametrize("bitrate", [64000, 128000, 256000])
def test_it_sounds_like_the_song(bitrate: int) -> None:
    """At low bitrates, too."""
    tune = melody(48000, 2, 1.0).astype(np.float32)
    coder = AacEncoder(EncoderSpec("aac", 48000, 2, bitrate))
    packets = coder.encode(tune) + coder.flush()
    assert likeness(heard(packets, coder.config), tune.astype(np.float64)) > 0.99
