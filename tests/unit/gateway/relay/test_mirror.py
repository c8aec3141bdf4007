"""Tests of the provider's own bytes under another name.

Invariant under test: the log is the provider's to the last byte, and ends as it does.
It must not know who wished for it.
"""

from gateway.errors import UpstreamError
from gateway.model import Flag
from gateway.relay.channel import Channel
from gateway.relay.mirror import Mirror
from gateway.relay.outcome import Bill
from tests.support.relay import RENDITION, instruments
from transcode.formats import WAV, StreamFormat


def mirrored() -> tuple[Channel, Channel, Mirror, list[bool]]:
    """The provider's channel with one chunk, its mirror, and what was told of ends."""
    native, channel = (Channel(RENDITION, WAV, instruments(), 1 << 20) for _ in range(2))
    native.open(StreamFormat(WAV, 8000, 1, None), b"header", 0.0)
    native.append(b"one", 800, Flag.RANDOM_ACCESS, 0.0)
    ends: list[bool] = []
    mirror = Mirror(channel, native, lambda: 0.0, lambda: ends.append(True))
    mirror.pump()
    return native, channel, mirror, ends


def test_it_is_the_providers_log() -> None:
    """Init, chunks and their marks; what is there already, and what comes."""
    native, channel, mirror, ends = mirrored()
    native.append(b"two", 900, Flag.RANDOM_ACCESS | Flag.DISCONTINUITY, 0.0)
    mirror.tell(b"news")
    native.close(None, Bill(1.0, settled=True))
    assert [(c.payload, c.pts, c.flags) for c in channel.retained] == [
        (c.payload, c.pts, c.flags) for c in native.retained
    ]
    assert channel.outcome == native.outcome
    assert (channel.torn, ends) == (True, [True])
    assert not native.followers


def test_it_fails_as_the_provider_does() -> None:
    """With the same words."""
    native, channel, _, ends = mirrored()
    error = UpstreamError("upstream_failed", "No.")
    native.close(error, Bill(1.0, settled=True))
    assert channel.outcome is not None
    assert (channel.outcome.error, ends) == (error, [True])


def test_a_fault_of_ours_ends_it_alone() -> None:
    """Once; and who is closed hears nothing more."""
    native, channel, mirror, ends = mirrored()
    mirror.fail()
    mirror.fail()
    assert channel.outcome is not None
    assert channel.outcome.error is not None
    assert (channel.outcome.error.code, ends, native.outcome) == ("internal", [True], None)
    native.append(b"two", 900, Flag.RANDOM_ACCESS, 0.0)
    assert channel.end == 1
