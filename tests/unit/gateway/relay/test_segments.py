"""Segments of a rendition: where they are cut, how long they exist, and who is woken when.

Invariant under test: the cuts are the song's own, whoever asks when; every sample is in one segment, none in two.
It must not know playlists.
"""

import asyncio

import pytest

from gateway.errors import UpstreamError
from gateway.model import Flag
from gateway.relay.channel import Channel
from gateway.relay.outcome import Bill
from gateway.relay.segments import FRAME, WOKEN_AT_ONCE, Segments, usual_samples
from tests.support.relay import new_channel, until, within
from transcode.formats import MP4, StreamFormat

CHUNK = 5 * FRAME
BILL = Bill(1.0, settled=True)


def song(rate: int = 48000, *, max_bytes: int = 1 << 20) -> Channel:
    """A channel of AAC that is open and empty."""
    channel = new_channel(form=MP4, max_bytes=max_bytes)
    channel.open(StreamFormat(MP4, rate, 2, 128_000), b"", 1000.0)
    return channel


def sing(channel: Channel, chunks: int, duration: int = CHUNK, flags: Flag = Flag.RANDOM_ACCESS) -> None:
    for _ in range(chunks):
        channel.append(b"%06d" % channel.end, duration, flags, 1000.0)


def begin(channel: Channel, chunks: int = 9) -> None:
    """As encodes begin: of the first chunk a frame is delay."""
    sing(channel, 1, CHUNK - FRAME)
    sing(channel, chunks - 1)


def cuts(segments: Segments) -> list[tuple[int, int]]:
    return [(segment.first, segment.end) for segment in segments.kept]


def test_a_segment_is_45_frames_at_48_khz() -> None:
    """The first one, of which a frame is not heard, and every other; what is not whole yet is none."""
    channel = song()
    segments = Segments.of(channel)
    begin(channel, 8)
    assert (segments.kept, segments.made) == ([], 0)
    sing(channel, 1)
    assert cuts(segments) == [(0, 9)]
    sing(channel, 17)
    assert cuts(segments) == [(0, 9), (9, 18)]
    sing(channel, 1)
    assert cuts(segments) == [(0, 9), (9, 18), (18, 27)]
    assert [segment.duration for segment in segments.kept] == [44 * FRAME, 45 * FRAME, 45 * FRAME]
    assert [segment.number for segment in segments.kept] == [0, 1, 2]
    assert not any(segment.torn for segment in segments.kept)
    assert not segments.over


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
def test_at_every_rate_it_is_about_a_second(rate: int) -> None:
    """Whole chunks of at least 100 ms; rounded it is a second, so a playlist never has to say anything else."""
    samples = usual_samples(rate)
    assert samples % FRAME == 0
    assert 0.9 <= samples / rate <= 1.1
    channel = song(rate)
    chunk = next(FRAME * count for count in range(1, 10) if FRAME * count >= rate / 10)
    sing(channel, 1, chunk - FRAME)
    sing(channel, 60, chunk)
    segments = Segments.of(channel)
    assert {segment.duration for segment in segments.kept} == {samples - FRAME, samples}
    assert len({segment.end - segment.first for segment in segments.kept}) == 1


def test_the_cuts_are_the_same_whoever_asks_when() -> None:
    """One asks before the first sound, one in the middle, one at the end: the channel has one cut for all."""
    channel = song()
    early = Segments.of(channel)
    begin(channel, 20)
    assert Segments.of(channel) is early
    late = song()
    begin(late, 20)
    asked_late = Segments.of(late)
    sing(channel, 20)
    sing(late, 20)
    for one in (channel, late):
        one.close(None, BILL)
    whole = song()
    begin(whole, 40)
    whole.close(None, BILL)
    assert (
        cuts(early) == cuts(asked_late) == cuts(Segments.of(whole)) == [(0, 9), (9, 18), (18, 27), (27, 36), (36, 40)]
    )
    assert [early.read(segment) for segment in early.kept] == [asked_late.read(segment) for segment in asked_late.kept]


def test_the_end_closes_the_last_one() -> None:
    """It is as long as it is; joined they are the whole song, and their durations are its length."""
    channel = song()
    segments = Segments.of(channel)
    begin(channel, 11)
    sing(channel, 1, 777, Flag.RANDOM_ACCESS | Flag.LAST)
    assert cuts(segments) == [(0, 9)]
    channel.close(None, BILL)
    assert cuts(segments) == [(0, 9), (9, 12)]
    assert segments.over
    assert sum(segment.duration for segment in segments.kept) == channel.end_pts
    joined = b"".join([segments.read(segment) for segment in segments.kept])
    assert joined == b"".join([chunk.payload for chunk in channel.retained])
    assert [segment.size for segment in segments.kept] == [9 * 6, 3 * 6]
    channel.close(None, BILL)
    assert len(segments.kept) == 2


def test_what_has_no_sound_is_no_segment() -> None:
    """A song that fails before its first sound, and one that ends with a chunk that lasts no time."""
    failed = song()
    segments = Segments.of(failed)
    failed.close(UpstreamError("upstream_failed", "It failed."), BILL)
    assert (segments.kept, segments.over) == ([], True)
    silent = song()
    begin(silent)
    sing(silent, 1, 0)
    silent.close(None, BILL)
    assert cuts(Segments.of(silent)) == [(0, 9)]


def test_before_its_numbers_are_known_there_is_nothing() -> None:
    """A format that waits for the song's first sound."""
    segments = Segments.of(new_channel(form=MP4))
    assert (segments.kept, segments.made, segments.whole) == ([], 0, True)


def test_where_sound_was_lost_a_segment_begins() -> None:
    """It says so, and the next ones are counted from it; at the song's beginning there is nothing before it."""
    torn = Flag.RANDOM_ACCESS | Flag.DISCONTINUITY
    channel = song()
    segments = Segments.of(channel)
    sing(channel, 1, CHUNK - FRAME, torn)
    sing(channel, 11)
    sing(channel, 1, 2 * FRAME)
    sing(channel, 1, CHUNK, torn)
    sing(channel, 8)
    sing(channel, 1, CHUNK, torn)
    sing(channel, 8)
    assert cuts(segments) == [(0, 9), (9, 13), (13, 22), (22, 31)]
    assert [segment.torn for segment in segments.kept] == [False, False, True, True]


def test_what_is_not_retained_cannot_be_had() -> None:
    """A segment goes with its first chunk; its number is never given again, and the tears that are gone are counted."""
    channel = song(max_bytes=6 * 25)
    segments = Segments.of(channel)
    begin(channel, 12)
    sing(channel, 1, CHUNK, Flag.RANDOM_ACCESS | Flag.DISCONTINUITY)
    sing(channel, 12)
    assert (cuts(segments), segments.whole) == ([(0, 9), (9, 12), (12, 21)], True)
    sing(channel, 1)
    assert not segments.whole
    assert segments.find(0) is None
    assert (segments.lost, segments.lost_tears) == (1, 0)
    sing(channel, 15)
    assert [segment.number for segment in segments.kept] == [3, 4]
    assert (segments.lost, segments.lost_tears, segments.made) == (3, 1, 5)
    kept = segments.find(3)
    assert kept is not None
    assert segments.read(kept) == b"".join([b"%06d" % seq for seq in range(21, 30)])
    assert segments.find(2) is None
    assert segments.find(5) is None
    channel.forget()
    assert segments.kept == []
    assert Segments(channel).made == 0


def test_a_window_that_is_smaller_than_a_segment_has_none() -> None:
    """What was lost before it was whole is not half given."""
    channel = song(max_bytes=6 * 4)
    segments = Segments.of(channel)
    begin(channel, 40)
    assert segments.made == 0
    channel.close(None, BILL)
    assert cuts(segments) == [(36, 40)]


def test_who_comes_when_the_beginning_is_lost_begins_with_what_is_there() -> None:
    """The first one that can be had is number 0, and nothing is missing before it that anybody was told of."""
    channel = song(max_bytes=6 * 20)
    begin(channel, 30)
    segments = Segments.of(channel)
    assert cuts(segments) == [(10, 19), (19, 28)]
    assert (segments.whole, segments.kept[0].number, segments.kept[0].torn) == (False, 0, False)


# -- waiting -----------------------------------------------------------------------------------------------------------


async def test_who_waits_is_woken_by_the_segment() -> None:
    """Each by the one it waits for; who has it already does not wait."""
    channel = song()
    segments = Segments.of(channel)
    first = asyncio.ensure_future(segments.reach(1, 20))
    second = asyncio.ensure_future(segments.reach(2, 20))
    await until(lambda: len(segments._waiting) == 2)
    begin(channel)
    await within(first)
    assert not second.done()
    await within(segments.reach(1, 0))
    sing(channel, 9)
    await within(second)


async def test_the_end_wakes_everybody() -> None:
    """Also a failure, and a fault of ours; after it nobody waits."""
    channel = song()
    segments = Segments.of(channel)
    waiting = asyncio.ensure_future(segments.reach(1, 20))
    await until(lambda: len(segments._waiting) == 1)
    channel.close(UpstreamError("upstream_failed", "It failed."), BILL)
    await within(waiting)
    await within(segments.reach(5, 20))


async def test_a_fault_of_ours_keeps_nobody_waiting() -> None:
    """Whoever follows a channel and breaks is let go; those who wait for it go on."""
    channel = song()
    segments = Segments.of(channel)
    waiting = asyncio.ensure_future(segments.reach(1, 20))
    await until(lambda: len(segments._waiting) == 1)
    segments.tell(b"news")
    segments.fail()
    await within(waiting)
    assert segments.over
    segments.fail()


async def test_a_wait_is_bounded() -> None:
    """Nothing comes: it ends all the same, and is forgotten; so is one that is given up."""
    segments = Segments.of(song())
    await within(segments.reach(1, 0.001))
    given_up = asyncio.ensure_future(segments.reach(1, 20))
    await until(lambda: len(segments._waiting) == 1)
    given_up.cancel()
    await asyncio.wait([given_up])
    assert segments._waiting == {}


async def test_a_crowd_is_woken_in_slices() -> None:
    """Between two turns of the loop so many have their turn, and no more; one that has just given up is passed by."""
    channel = song()
    segments = Segments.of(channel)
    crowd = [asyncio.ensure_future(segments.reach(1, 20)) for _ in range(2 * WOKEN_AT_ONCE + 1)]
    await until(lambda: len(segments._waiting) == len(crowd))
    crowd[0].cancel()
    begin(channel)
    assert len(segments._waiting) == WOKEN_AT_ONCE + 1
    sing(channel, 9)  # no second round begins beside the first
    await within(asyncio.wait(crowd))
    assert [one.cancelled() for one in crowd] == [True] + [False] * 2 * WOKEN_AT_ONCE
