"""The messages of WebSocket peers.

Invariant under test: our own clients understand them, and they have the size that was asked for.
It must not know who sends them.
"""

import pytest

from gateway.bench.peers.message import Messages
from gateway.model import Flag, Kind
from gateway.protocol.frames import HEADER, unpack


@pytest.mark.parametrize("size", [24, 25, 1600, 70_000])
def test_size_and_header(size: int) -> None:
    """To the byte, with a header that our frames have."""
    messages = Messages(size, 0.1)
    message = messages.message(7)
    assert len(message) == size
    header, payload = unpack(message)
    assert (header.kind, header.flags, header.seq) == (Kind.AUDIO, Flag.RANDOM_ACCESS, 7)
    assert (header.pts, header.duration) == (7 * 4800, 4800)
    assert messages.message(8)[HEADER.size :] == payload


def test_a_header_needs_its_room() -> None:
    """Less cannot be said."""
    with pytest.raises(ValueError, match="24 bytes"):
        Messages(23, 0.1)
