"""Tests of packets: plain values, equal when their parts are, whose extras are nothing unless they are said.

Invariant under test: a packet without more ado has no padding and follows the one before it.
It must not know codecs.
"""

from transcode.packet import CodecConfig, Encoded, Packet, Resume
from transcode.spec import EncoderSpec


def test_what_is_not_said_is_nothing() -> None:
    """No padding, no hole, no delay, no extradata, no lead."""
    packet = Packet(b"x", -312, 960)
    assert (packet.padding, packet.discontinuity) == (0, False)
    config = CodecConfig(EncoderSpec("pcm", 8000, 1, None))
    assert (config.delay, config.extradata) == (0, b"")
    assert Encoded((packet,), config).lead == 0
    assert Resume(960, 0, 0) == Resume(960, 0, 0)
