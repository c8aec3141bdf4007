"""Tests of PCM as an encoder.

Invariant under test: joined, packets are the samples; none is longer than 20 ms, and none waits.
Golden truth is the samples themselves.
"""

import numpy as np

from transcode.encoders.pcm import PcmEncoder
from transcode.spec import EncoderSpec


def test_all_of_it_at_once_in_pieces() -> None:
    """Interleaved, from where it began."""
    coder = PcmEncoder(EncoderSpec("pcm", 8000, 2, None), 500)
    block = np.arange(4000).astype(np.int16).reshape(2, -1)
    packets = coder.encode(block)
    assert b"".join(packet.data for packet in packets) == block.T.astype("<i2").tobytes()
    assert [(packet.pts, packet.duration) for packet in packets] == [
        *((pts, 160) for pts in range(500, 2420, 160)),
        (2420, 80),
    ]
    assert coder.encode(block[:, :1])[0].pts == 2500
    assert coder.flush() == []
    assert coder.config.extradata == b""
    assert coder.config.delay == 0
