"""Tests of the channel: an ordered log that forgets nothing but its oldest, and a hash over everything.

Invariant under test: chunks are appended once and in order, `first` and `end` bound what is retained, and nobody who
listens can hurt another. What a listener makes of it is tested in test_listener.py.
"""

import hashlib
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.model import Flag, Kind, Position
from gateway.relay.channel import Channel
from gateway.relay.outcome import Bill
from metrics.recorder import Recorder
from tests.support.relay import (
    DETAILS,
    RATE,
    RENDITION,
    BrokenPipe,
    Clock,
    Pipe,
    grow,
    listen,
    new_channel,
    open_channel,
)


def close(channel: Channel) -> None:
    channel.close(None, Bill(1.5, settled=True))


def test_chunks_follow_each_other() -> None:
    """Each chunk carries the next seq, begins where the last one ended, and keeps what it was given."""
    channel = open_channel()
    channel.append(b"one", 4410, Flag.RANDOM_ACCESS, 1001.0)
    channel.append(b"two", 8820, Flag.DISCONTINUITY | Flag.LAST, 1002.0)
    first, second = channel.retained
    assert (first.seq, first.pts, first.duration, first.payload) == (0, 0, 4410, b"one")
    assert (second.seq, second.pts, second.duration, second.payload) == (1, 4410, 8820, b"two")
    assert (first.kind, first.flags, first.born) == (Kind.AUDIO, Flag.RANDOM_ACCESS, 1001.0)
    assert (second.flags, second.born, second.rendition) == (Flag.DISCONTINUITY | Flag.LAST, 1002.0, RENDITION)
    assert (channel.first, channel.end, channel.end_pts) == (0, 2, 13230)


def test_init_stands_outside_the_sequence() -> None:
    """A container's header is a chunk of its own kind, takes no seq, and counts in the totals before all audio."""
    channel = new_channel()
    channel.open(DETAILS, b"RIFF", 1000.0)
    assert channel.init is not None
    assert (channel.init.kind, channel.init.seq, channel.init.pts, channel.init.duration) == (Kind.INIT, 0, 0, 0)
    assert channel.init.flags is Flag.NONE
    assert channel.end == 0
    payloads = grow(channel, 2)
    close(channel)
    assert channel.outcome is not None
    assert channel.outcome.sha256 == hashlib.sha256(b"RIFF" + b"".join(payloads)).hexdigest()
    assert channel.outcome.size == 4 + 200
    assert channel.outcome.chunks == 2


def test_a_format_without_header_has_no_init() -> None:
    """An empty header makes no chunk."""
    assert open_channel().init is None


def test_the_oldest_go_when_the_limit_is_passed() -> None:
    """Nothing goes while the limit holds the bytes; one byte more and the oldest chunk goes, alone."""
    channel = open_channel(max_bytes=300)
    grow(channel, 3)
    assert (channel.first, channel.retained_bytes) == (0, 300)
    grow(channel, 1, size=8)
    assert (channel.first, channel.end, channel.retained_bytes) == (1, 4, 208)
    assert [chunk.seq for chunk in channel.read(1, 1000)] == [1, 2, 3]


def test_the_newest_chunk_stays() -> None:
    """A chunk larger than the limit is kept until the next one comes: there is always something to hear."""
    channel = open_channel(max_bytes=50)
    grow(channel, 2)
    assert (channel.first, channel.end, len(channel.read(1, 1))) == (1, 2, 1)


def test_totals_cover_what_is_gone() -> None:
    """Hash, bytes, chunks and duration are of the whole song, not of what is retained."""
    channel = open_channel(max_bytes=150)
    payloads = grow(channel, 10)
    close(channel)
    outcome = channel.outcome
    assert outcome is not None
    assert channel.first == 9
    assert outcome.sha256 == hashlib.sha256(b"".join(payloads)).hexdigest()
    assert (outcome.size, outcome.chunks) == (1000, 10)
    assert outcome.duration_seconds == pytest.approx(1.0)


def test_the_outcome_tells_how_it_ended() -> None:
    """A closed channel carries the error that ended it, the bill, and whether the ledger has it."""
    error = UpstreamError("upstream_failed", "The provider failed.")
    channel = new_channel()
    channel.close(error, Bill(2.5, settled=False))
    outcome = channel.outcome
    assert outcome is not None
    assert (outcome.stream_id, outcome.error, outcome.bill.seconds) == (RENDITION.stream_id, error, 2.5)
    assert (outcome.bill.settled, outcome.duration_seconds, outcome.sha256) == (
        False,
        0.0,
        hashlib.sha256().hexdigest(),
    )


@pytest.mark.parametrize(("limit", "seqs"), [(1, [2]), (199, [2]), (200, [2, 3]), (1000, [2, 3, 4])])
def test_read_stops_at_the_limit(limit: int, seqs: list[int]) -> None:
    """At least one chunk, and no more than the limit takes."""
    channel = open_channel()
    grow(channel, 5)
    assert [chunk.seq for chunk in channel.read(2, limit)] == seqs


def test_reading_at_the_edge_gives_nothing() -> None:
    """There is nothing from the next chunk on."""
    channel = open_channel()
    grow(channel, 2)
    assert list(channel.read(2, 1000)) == []


@given(st.lists(st.integers(0, 9000), max_size=30), st.integers(1, 9), st.integers(-1000, 300_000))
def test_seq_at_finds_the_chunk_that_sounds(durations: list[int], kept: int, pts: int) -> None:
    """It is the retained chunk with `pts` inside, the oldest for what is before, the next to come for what is after."""
    channel = open_channel(max_bytes=kept * 10)
    for duration in durations:
        channel.append(bytes(10), duration, Flag.RANDOM_ACCESS, 0.0)
    seq = channel.seq_at(pts)
    ends = list(accumulate(durations))
    sounding = [index for index, end in enumerate(ends) if end - durations[index] <= pts < end]
    expected = max([*sounding, channel.first]) if pts < sum(durations) else len(durations)
    assert seq == expected
    assert channel.first <= seq <= channel.end


def test_pts_of_a_chunk_that_has_not_come() -> None:
    """The next chunk will begin where the last one ends."""
    channel = open_channel(max_bytes=250)
    grow(channel, 4)
    assert [channel.pts(seq) for seq in (2, 3, 4)] == [8820, 13230, 17640]


def test_seconds_need_a_rate() -> None:
    """Samples are seconds only once the rate is known."""
    assert new_channel().seconds(RATE) == 0.0
    assert open_channel().seconds(RATE) == 1.0


def test_the_live_edge_is_a_random_access_point() -> None:
    """It is the newest chunk at which a decoder may start, or the next to come if none of them is one."""
    channel = open_channel()
    assert channel.live_seq() == 0
    for flags in (Flag.NONE, Flag.RANDOM_ACCESS, Flag.NONE):
        channel.append(b"x", 10, flags, 0.0)
    assert channel.live_seq() == 1
    silent = open_channel()
    silent.append(b"x", 10, Flag.NONE, 0.0)
    assert silent.live_seq() == 1


def test_a_position_names_the_epoch() -> None:
    """A position is good for this log alone."""
    assert open_channel().position(5) == Position(3, 5)


def test_relay_times_are_measured_when_somebody_listens() -> None:
    """Latency is counted from a chunk's last byte, first audio from the song's first byte."""
    recorder, clock = Recorder(), Clock(1000.0)
    channel = new_channel(recorder=recorder, clock=clock)
    channel.open(DETAILS, b"", 998.0)
    listen(channel, Pipe())
    channel.append(b"one", 10, Flag.RANDOM_ACCESS, 999.5)
    channel.append(b"two", 10, Flag.RANDOM_ACCESS, 999.5)
    value = recorder.registry.get_sample_value
    assert value("wavegate_relay_latency_seconds_sum") == 1.0
    assert value("wavegate_relay_first_audio_seconds_sum") == 2.0
    assert value("wavegate_relay_first_audio_seconds_count") == 1.0


def test_nobody_listens_nothing_is_measured() -> None:
    """A song that nobody hears says nothing about the relay."""
    recorder = Recorder()
    grow(open_channel(recorder=recorder), 2)
    assert recorder.registry.get_sample_value("wavegate_relay_latency_seconds_count") == 0.0
    assert recorder.registry.get_sample_value("wavegate_relay_first_audio_seconds_count") == 0.0


def test_what_was_written_is_counted_once_a_fan_out() -> None:
    """The metrics have every chunk and byte of every listener as soon as a fan-out is over."""
    recorder = Recorder()
    channel = open_channel(recorder=recorder)
    for _ in range(3):
        listen(channel, Pipe())
    grow(channel, 2)
    value = recorder.registry.get_sample_value
    assert value("wavegate_frames_written_total", {"transport": "pipe"}) == 6.0
    assert value("wavegate_egress_bytes_total", {"transport": "pipe", "codec": "mp3"}) == 600.0


def test_news_reach_everybody() -> None:
    """What is told beside the sound goes to each listener."""
    channel = open_channel()
    pipes = [Pipe(), Pipe(0)]
    for pipe in pipes:
        listen(channel, pipe)
    channel.tell(b"news")
    assert all(("news", b"news") in pipe.said for pipe in pipes)


def test_a_listener_may_leave_during_a_fan_out() -> None:
    """Who is made to leave while another is written to hears nothing more, and the others hear everything."""
    channel = open_channel()

    class Expelling(Pipe):
        def send(self, chunks: object) -> None:
            other.leave()

    listen(channel, Expelling())
    expelled, bystander = Pipe(), Pipe()
    other = listen(channel, expelled)
    listen(channel, bystander)
    payloads = grow(channel, 2)
    assert bystander.heard == b"".join(payloads)
    assert expelled.chunks == []


@pytest.mark.parametrize("first", ["audio", "news"])
def test_a_transport_that_breaks_costs_nobody_else_anything(first: str) -> None:
    """An error in one transport, whatever it was told, reaches neither the feeding side nor the other listeners."""
    channel = open_channel()
    before, after = Pipe(), Pipe()
    listen(channel, before)
    listen(channel, BrokenPipe())
    listen(channel, after)
    if first == "news":
        channel.tell(b"news")
    payloads = grow(channel, 2)
    channel.tell(b"more")
    close(channel)
    for pipe in (before, after):
        assert pipe.heard == b"".join(payloads)
        assert pipe.said[-2:] == [("news", b"more"), ("ended", None)]
