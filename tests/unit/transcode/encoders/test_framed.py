"""Tests of the encoders whose last packet is filled up.

Invariant under test: as many packets as cover the sound, at once where that can be, and silence behind it.
Golden truth is arithmetic.
"""

import numpy as np
import pytest

from transcode.encoders.codec import Codec
from transcode.encoders.framed import FramedEncoder
from transcode.encoders.grid import Grid
from transcode.spec import EncoderSpec

SPEC = EncoderSpec("aac", 44100, 1, 64000)


def framed() -> FramedEncoder:
    return FramedEncoder(SPEC, Codec("aac", 44100, 1, 64000, "fltp"), Grid(1024, 1024), 0)


@pytest.mark.parametrize("kind", [np.float32, np.int16])
@pytest.mark.parametrize(("samples", "packets"), [(1, 2), (1024, 2), (1025, 3), (3000, 4)])
def test_the_sound_is_covered(kind: type[np.float32 | np.int16], samples: int, packets: int) -> None:
    """And no more than that, whatever kind of samples it is."""
    coder = framed()
    made = coder.encode(np.zeros((1, samples), dtype=kind)) + coder.flush()
    assert len(made) == packets
    assert sum(packet.duration - packet.padding for packet in made) == 1024 + samples
    assert coder.config.delay == 1024
