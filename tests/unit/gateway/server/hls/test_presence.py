"""A player's presence in a channel: counted like everybody, and never written to.

Invariant under test: the relay may do with it whatever it does with a transport; nothing goes out and nobody leaves.
It must not know sessions.
"""

from gateway.relay.listener import Listener, OnLag
from gateway.relay.outcome import Bill
from gateway.server.hls.presence import Presence
from metrics.recorder import Recorder
from tests.support.relay import grow, open_channel


def metric(recorder: Recorder, name: str, **labels: str) -> float:
    return recorder.registry.get_sample_value(f"wavegate_{name}", labels) or 0.0


def test_it_is_there_until_it_is_detached() -> None:
    """Through the whole song and behind its end, and it takes nothing; the metrics call it hls."""
    recorder = Recorder()
    channel, presence = open_channel(recorder=recorder), Presence()
    listener = Listener(channel, presence, 0, OnLag.COMPLETE, 5.0)
    listener.join()
    grow(channel, 3)
    channel.tell(b"news")
    channel.close(None, Bill(1.0, settled=True))
    assert list(channel.listeners) == [listener]
    assert metric(recorder, "listeners", transport="hls", codec="mp3") == 1
    listener.leave()
    assert (dict(channel.listeners), channel.egress) == ({}, 0)
    assert metric(recorder, "listeners", transport="hls", codec="mp3") == 0


def test_whatever_it_is_told_it_says_nothing() -> None:
    """A window that moved, a fault, and an end: the playlist tells all that."""
    channel, presence = open_channel(max_bytes=300), Presence()
    grow(channel, 10)
    listener = Listener(channel, presence, 0, OnLag.COMPLETE, 5.0)
    listener.join()
    assert presence.error is None
    listener.fail()
    assert dict(channel.listeners) == {}
    assert presence.error is not None
    assert presence.error.code == "internal"
    channel.close(None, Bill(1.0, settled=True))
    assert channel.outcome is not None
    presence.ended(channel.outcome)
    presence.send(channel.retained)
    presence.sink.write(b"nothing")
    assert presence.line is presence
