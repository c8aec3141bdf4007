"""Tests of the outcome: what listeners are told at the end.

Invariant under test: it is a value that nobody changes, the same for every listener, and it says of a song that is
whole exactly what a client can check against the bytes it has.
"""

import dataclasses
import hashlib

import pytest

from gateway.errors import UpstreamError
from gateway.relay.outcome import Bill, Outcome
from tests.support.relay import RENDITION, Pipe, grow, listen, open_channel


def test_a_whole_song_has_no_error() -> None:
    """The outcome of a complete song carries the totals of the bytes that a listener from the start has."""
    channel = open_channel()
    pipe = Pipe()
    listen(channel, pipe)
    grow(channel, 3)
    channel.close(None, Bill(0.25, settled=True))
    digest = hashlib.sha256(pipe.heard).hexdigest()
    seconds = 3 * 4410 / 44100
    assert pipe.outcome == Outcome(RENDITION.stream_id, None, seconds, 3, 300, digest, Bill(0.25, settled=True))


def test_a_broken_song_has_one() -> None:
    """The outcome of a song that failed carries why, and what was heard all the same."""
    error = UpstreamError("upstream_interrupted", "The provider went silent.")
    channel = open_channel()
    grow(channel, 2)
    channel.close(error, Bill(0.2, settled=False))
    assert channel.outcome is not None
    assert channel.outcome.error is error
    assert (channel.outcome.chunks, channel.outcome.size, channel.outcome.bill.settled) == (2, 200, False)


def test_nobody_changes_it() -> None:
    """Listeners share it, so it is frozen."""
    outcome = Outcome(RENDITION.stream_id, None, 0.0, 0, 0, "", Bill(0.0, settled=False))
    with pytest.raises(dataclasses.FrozenInstanceError):
        outcome.bill.settled = True  # type: ignore[misc]  # the assignment that must fail
