"""What a listener was sent, as the log tells it: chunks, octets and seconds, whatever was skipped or fetched.

Invariant under test: it equals what its transport was given, to the octet.
It must not know who asks.
"""

from gateway.relay.listener import Listener, OnLag
from tests.support.relay import Pipe, grow, listen, open_channel


def same(listener: Listener, pipe: Pipe) -> bool:
    heard = listener.heard
    return (heard.chunks, heard.size) == (len(pipe.chunks), len(pipe.heard))


def test_it_is_what_was_sent() -> None:
    """While it waits for room, when all of it has come, and when the channel has forgotten it."""
    channel, pipe = open_channel(), Pipe(room=0)
    listener = listen(channel, pipe)
    grow(channel, 3)
    assert same(listener, pipe)
    pipe.room = None
    listener.pump()
    grow(channel, 4)
    assert same(listener, pipe)
    assert listener.heard.seconds == 0.7
    channel.forget()
    assert listener.heard.chunks == 7


def test_what_is_skipped_was_not_heard() -> None:
    """Neither what was no longer kept at its begin, nor what a live one jumps over."""
    channel = open_channel(max_bytes=1000)
    grow(channel, 30)
    late, quick = Pipe(), Pipe()
    joined = listen(channel, late, 2)
    assert same(joined, late)
    assert joined.heard.chunks == 10
    live = listen(channel, quick, 30, OnLag.LIVE, 0.5)
    grow(channel, 2)
    quick.room = 0
    grow(channel, 9)
    quick.room = None
    live.pump()
    assert any(said[0] == "gap" for said in quick.said)
    assert same(live, quick)


def test_what_it_fetches_by_itself() -> None:
    """In whatever order, parts of it too."""
    channel, pipe = open_channel(), Pipe(room=0)
    grow(channel, 10)
    listener = listen(channel, pipe)
    listener.fetched(5, 8, 300)
    listener.fetched(0, 2, 100)
    heard = listener.heard
    assert (heard.chunks, heard.size, round(heard.seconds, 3)) == (5, 400, 0.4)
    listener.fetched(3, 3, 0)
    assert listener.heard == heard
