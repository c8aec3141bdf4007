"""Tests of the listener: one position, written from until it is caught up or the transport is full.

Invariant under test: chunks go out in order, each once; what is skipped is announced first; a listener that stalls,
is cut or leaves changes nothing for another. All interleavings together are tried in test_listener_interleavings.py.
"""

import hashlib

import pytest

from gateway.errors import UpstreamError
from gateway.model import Flag, Position
from gateway.relay.listener import BATCH_BYTES, OnLag
from gateway.relay.outcome import Bill
from metrics.recorder import Recorder
from tests.support.relay import DETAILS, Pipe, drain, grow, listen, new_channel, open_channel


def seqs(pipe: Pipe) -> list[int]:
    """What was sent."""
    return [chunk.seq for chunk in pipe.chunks]


def test_joining_tells_what_follows() -> None:
    """The position, the details, the number of the rendition and its header are told before any audio."""
    channel = new_channel()
    channel.open(DETAILS, b"RIFF", 1000.0)
    grow(channel, 2)
    pipe = Pipe()
    listen(channel, pipe, 1)
    assert pipe.said == [("started", Position(3, 1)), ("chunk", 1)]
    assert pipe.announced == (DETAILS, 7, channel.init)


def test_before_the_first_sound_nothing_is_told() -> None:
    """Who joins a song that has not begun is told with its first chunk what follows."""
    channel = new_channel()
    pipe = Pipe()
    listen(channel, pipe)
    assert pipe.said == []
    channel.open(DETAILS, b"", 1000.0)
    grow(channel, 1)
    assert pipe.said == [("started", Position(3, 0)), ("chunk", 0)]


def test_a_song_that_failed_before_its_first_sound() -> None:
    """There is nothing to announce: those who waited and those who come later are told the end alone."""
    channel = new_channel()
    early, late = Pipe(), Pipe()
    listen(channel, early)
    channel.close(UpstreamError("upstream_empty", "Nothing came."), Bill(0.0, settled=True))
    listen(channel, late)
    assert early.said == late.said == [("ended", "upstream_empty")]
    assert channel.listeners == {}


def test_a_late_listener_gets_all_of_it_at_once() -> None:
    """What the channel holds is sent while joining, in few writes of a bounded size."""
    channel = open_channel()
    payloads = grow(channel, 40, size=4000)
    pipe = Pipe()
    listen(channel, pipe)
    assert pipe.heard == b"".join(payloads)
    assert len(pipe.batches) == 5
    assert max(pipe.batches) < BATCH_BYTES + 4000


def test_everybody_gets_the_same_objects() -> None:
    """Listeners share the chunks themselves, so that each wire form is built once."""
    channel = open_channel()
    one, other = Pipe(), Pipe()
    listen(channel, one)
    grow(channel, 3)
    listen(channel, other)
    assert all(mine is yours for mine, yours in zip(one.chunks, other.chunks, strict=True))


def test_a_stalled_listener_costs_nobody_else_anything() -> None:
    """While one holds its position the others hear on, and it misses nothing when there is room again."""
    channel = open_channel()
    stalled, quick = Pipe(room=150), Pipe()
    slow = listen(channel, stalled)
    listen(channel, quick)
    payloads = grow(channel, 10)
    assert seqs(stalled) == [0, 1]
    assert seqs(quick) == list(range(10))
    drain(slow, stalled, room=250)
    assert seqs(stalled) == list(range(10)), "one batch may pass the high-water mark"
    assert stalled.heard == quick.heard == b"".join(payloads)


def test_position_and_lag() -> None:
    """A position is the next chunk; the lag is what exists and has not been sent."""
    channel = open_channel()
    pipe = Pipe(room=150)
    listener = listen(channel, pipe)
    grow(channel, 5)
    assert listener.position == Position(3, 2)
    assert listener.lag_seconds == pytest.approx(0.3)
    drain(listener, pipe)
    assert listener.position == Position(3, 5)
    assert listener.lag_seconds == 0.0


def test_lag_counts_what_is_retained() -> None:
    """What is gone for good is not lag."""
    channel = open_channel(max_bytes=300)
    listener = listen(channel, Pipe(room=0))
    grow(channel, 5)
    assert listener.lag_seconds == pytest.approx(0.3)


def test_a_start_that_is_gone_is_a_gap() -> None:
    """Who wants a chunk that is no longer retained begins at the oldest and is told what it misses."""
    recorder = Recorder()
    channel = open_channel(max_bytes=300, recorder=recorder)
    grow(channel, 5)
    pipe = Pipe()
    listen(channel, pipe, 1)
    told = [("started", Position(3, 2)), ("gap", 1, 2, "retention"), ("chunk", 2), ("chunk", 3), ("chunk", 4)]
    assert pipe.said == told
    assert recorder.registry.get_sample_value("wavegate_gaps_total", {"reason": "retention"}) == 1.0


def test_complete_is_cut_rather_than_skipped() -> None:
    """A listener that wants every chunk and lost one is told so, once, and leaves; the others stay."""
    recorder = Recorder()
    channel = open_channel(max_bytes=300, recorder=recorder)
    pipe, bystander = Pipe(room=100), Pipe()
    listener = listen(channel, pipe)
    listen(channel, bystander)
    grow(channel, 6)
    assert seqs(pipe) == [0]
    drain(listener, pipe)
    assert pipe.said[-1] == ("refused", "too_slow")
    assert seqs(pipe) == [0]
    assert listener not in channel.listeners
    grow(channel, 1)
    assert seqs(bystander) == list(range(7))
    assert recorder.registry.get_sample_value("wavegate_slow_listeners_total", {"action": "cut"}) == 1.0


def test_complete_is_not_cut_while_its_chunk_is_there() -> None:
    """A position on the oldest retained chunk is still a position."""
    channel = open_channel(max_bytes=300)
    pipe = Pipe(room=100)
    listener = listen(channel, pipe)
    grow(channel, 4)
    assert (channel.first, listener.next) == (1, 1)
    drain(listener, pipe)
    assert seqs(pipe) == [0, 1, 2, 3]


def test_live_jumps_to_the_edge_when_it_falls_behind() -> None:
    """A listener that kept up and then lags for longer than it may gets the gap, then the newest chunk."""
    recorder = Recorder()
    channel = open_channel(recorder=recorder)
    pipe = Pipe(room=100)
    listener = listen(channel, pipe, on_lag=OnLag.LIVE, live_lag=0.5)
    grow(channel, 1)
    drain(listener, pipe, room=100)
    grow(channel, 10)
    drain(listener, pipe)
    assert pipe.said[1:] == [("chunk", 0), ("chunk", 1), ("gap", 2, 10, "lag"), ("chunk", 10)]
    value = recorder.registry.get_sample_value
    assert value("wavegate_gaps_total", {"reason": "lag"}) == 1.0
    assert value("wavegate_slow_listeners_total", {"action": "skip"}) == 1.0


def test_live_stays_while_the_lag_is_small() -> None:
    """As long as it lags for no longer than it may, nothing is skipped."""
    channel = open_channel()
    pipe = Pipe()
    listener = listen(channel, pipe, on_lag=OnLag.LIVE, live_lag=0.5)
    pipe.room = 0
    grow(channel, 5)
    drain(listener, pipe)
    assert seqs(pipe) == [0, 1, 2, 3, 4]


def test_live_jumps_only_after_it_has_caught_up() -> None:
    """Who joins at the start is not thrown to the edge for the song that was there before."""
    channel = open_channel()
    payloads = grow(channel, 30)
    pipe = Pipe(room=100)
    listener = listen(channel, pipe, on_lag=OnLag.LIVE, live_lag=0.5)
    while listener.next < channel.end:
        drain(listener, pipe, room=100)
    assert pipe.heard == b"".join(payloads)


def test_live_that_never_caught_up_meets_the_retention() -> None:
    """What is no longer retained is a gap to the oldest chunk, not a cut."""
    channel = open_channel(max_bytes=300)
    pipe = Pipe(room=0)
    listener = listen(channel, pipe, on_lag=OnLag.LIVE)
    grow(channel, 5)
    drain(listener, pipe)
    assert pipe.said[1:] == [("gap", 0, 2, "retention"), ("chunk", 2), ("chunk", 3), ("chunk", 4)]


def test_a_jump_never_goes_back() -> None:
    """Where the only point to start at lies behind the listener nothing is skipped, and nothing heard twice."""
    channel = open_channel()
    pipe = Pipe()
    listener = listen(channel, pipe, on_lag=OnLag.LIVE, live_lag=0.5)
    grow(channel, 1)
    pipe.room = 0
    for _ in range(10):
        channel.append(b"delta", 4410, Flag.NONE, 1000.0)
    drain(listener, pipe)
    assert seqs(pipe) == list(range(11))
    assert not [said for said in pipe.said if said[0] == "gap"]


def test_a_gap_is_never_empty() -> None:
    """However small the lag that is allowed, a listener that takes every chunk at once is told of no gap."""
    channel = open_channel()
    pipe = Pipe()
    listen(channel, pipe, on_lag=OnLag.LIVE, live_lag=0.05)
    grow(channel, 3)
    assert pipe.said == [("started", Position(3, 0)), ("chunk", 0), ("chunk", 1), ("chunk", 2)]


def test_the_end_comes_after_all_audio() -> None:
    """Who has heard everything is told at once, who has not when it has; each once, with the hash of what it heard."""
    channel = open_channel()
    quick, stalled = Pipe(), Pipe(room=100)
    listen(channel, quick)
    slow = listen(channel, stalled)
    grow(channel, 4)
    channel.close(None, Bill(1.0, settled=True))
    assert quick.said[-1] == ("ended", None)
    assert stalled.said[-1] == ("chunk", 0)
    drain(slow, stalled)
    assert stalled.said[-2:] == [("chunk", 3), ("ended", None)]
    for pipe in (quick, stalled):
        assert pipe.outcome is not None
        assert pipe.outcome is channel.outcome
        assert hashlib.sha256(pipe.heard).hexdigest() == pipe.outcome.sha256
    assert channel.listeners == {}


def test_joining_a_finished_song() -> None:
    """All of it and its end are there at once, and nobody is left in the channel."""
    channel = open_channel()
    payloads = grow(channel, 3)
    channel.close(None, Bill(1.0, settled=True))
    pipe = Pipe()
    listen(channel, pipe)
    assert pipe.heard == b"".join(payloads)
    assert pipe.said[-1] == ("ended", None)
    assert channel.listeners == {}


def test_the_end_is_told_once() -> None:
    """A socket that drains after the end does not bring the end again."""
    channel = open_channel()
    pipe = Pipe()
    listener = listen(channel, pipe)
    channel.close(None, Bill(0.0, settled=True))
    drain(listener, pipe)
    assert pipe.said == [("started", Position(3, 0)), ("ended", None)]


def test_who_has_left_is_sent_nothing() -> None:
    """After it has left, room in its socket moves no audio, and leaving again changes nothing."""
    recorder = Recorder()
    channel = open_channel(recorder=recorder)
    pipe = Pipe(room=100)
    listener = listen(channel, pipe)
    grow(channel, 3)
    listener.leave()
    listener.leave()
    drain(listener, pipe)
    assert seqs(pipe) == [0]
    labels = {"transport": "pipe", "codec": "mp3"}
    assert recorder.registry.get_sample_value("wavegate_listeners", labels) == 0.0


def test_listeners_are_counted() -> None:
    """The gauge follows who is there, the counter who has come."""
    recorder = Recorder()
    channel = open_channel(recorder=recorder)
    first = listen(channel, Pipe())
    listen(channel, Pipe())
    assert channel.doors == {"pipe": 2}
    first.leave()
    first.leave()
    assert channel.doors == {"pipe": 1}
    value = recorder.registry.get_sample_value
    assert value("wavegate_listeners", {"transport": "pipe", "codec": "mp3"}) == 1.0
    assert value("wavegate_listener_joins_total") == 2.0


def test_what_was_sent_while_catching_up_is_counted_when_it_leaves() -> None:
    """Audio that went out between two fan-outs reaches the metrics no later than the listener's leaving."""
    recorder = Recorder()
    channel = open_channel(recorder=recorder)
    grow(channel, 3)
    listen(channel, Pipe()).leave()
    assert recorder.registry.get_sample_value("wavegate_frames_written_total", {"transport": "pipe"}) == 3.0


def test_lost_sound_is_told_where_it_is_missing() -> None:
    """A hole at the provider's is a gap of no chunks right before the chunk behind it, live and when catching up."""
    channel, live, late = open_channel(), Pipe(), Pipe()
    listen(channel, live)
    grow(channel, 2)
    channel.append(b"behind the hole", 4800, Flag.RANDOM_ACCESS | Flag.DISCONTINUITY, 1000.0)
    grow(channel, 1)
    listen(channel, late)
    told = [("chunk", 0), ("chunk", 1), ("gap", 2, 2, "corrupt"), ("chunk", 2), ("chunk", 3)]
    for pipe in (live, late):
        assert [said for said in pipe.said if said[0] in ("chunk", "gap")] == told


class Counting(Pipe):
    """A transport whose bytes are its own: it takes chunks by `send` alone, and nothing goes past it to its sink."""

    form = None  # type: ignore[assignment]  # as the port allows it

    def write(self, chunk: object) -> None:
        raise AssertionError("it would not be seen")


def test_a_door_may_see_every_chunk() -> None:
    """Where no two listeners' bytes are alike: while catching up, at the live edge, and when there is room again."""
    channel, pipe = open_channel(), Counting(room=350)
    grow(channel, 2)
    listener = listen(channel, pipe)
    grow(channel, 2)
    assert seqs(pipe) == [0, 1, 2, 3]
    grow(channel, 3)
    drain(listener, pipe)
    grow(channel, 2)
    assert seqs(pipe) == list(range(9))
