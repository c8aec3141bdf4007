"""Tests of a listener that waits for a second of the song: for a format that has only just begun to be made.

Invariant under test: what was before that second is not sent, what comes from it on is, each chunk once.
It must not know how formats are made.
"""

from gateway.errors import UpstreamError
from gateway.model import Position
from gateway.relay.channel import Channel
from gateway.relay.listener import Listener, OnLag
from gateway.relay.outcome import Bill
from tests.support.relay import Pipe, grow, new_channel, open_channel


def wait(channel: Channel, pipe: Pipe, wanted: float) -> Listener:
    listener = Listener(channel, pipe, 0, OnLag.COMPLETE, 5.0, wanted)
    listener.join()
    return listener


def test_what_was_before_is_not_sent() -> None:
    """The first it hears of is the chunk in which that second sounds."""
    channel, pipe = open_channel(), Pipe()
    grow(channel, 3)
    listener = wait(channel, pipe, 1.05)
    assert (pipe.said, listener.begun) == ([], False)
    grow(channel, 9)
    assert listener.begun
    assert pipe.said == [("started", Position(3, 10)), ("chunk", 10), ("chunk", 11)]
    grow(channel, 1)
    assert pipe.said[-1] == ("chunk", 12)


def test_a_song_that_ends_before_it_is_ended() -> None:
    """Nothing of it is heard, and the end is told."""
    channel, pipe = open_channel(), Pipe()
    wait(channel, pipe, 5.0)
    grow(channel, 3)
    channel.close(None, Bill(1.0, settled=True))
    assert pipe.said == [("started", Position(3, 3)), ("ended", None)]


def test_a_format_that_never_begins_is_ended() -> None:
    """There is nothing to announce."""
    channel, pipe = new_channel(), Pipe()
    wait(channel, pipe, 5.0)
    channel.close(UpstreamError("upstream_failed", "No."), Bill(0.0, settled=True))
    assert pipe.said == [("ended", "upstream_failed")]


def test_leaving_while_it_waits_costs_nothing() -> None:
    """No word follows."""
    channel, pipe = open_channel(), Pipe()
    listener = wait(channel, pipe, 5.0)
    listener.leave()
    grow(channel, 60)
    assert (pipe.said, channel.listeners) == ([], {})
