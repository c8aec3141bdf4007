"""Tests of the feed: a channel filled from another node's log.

Invariant under test: each chunk once and in order, from whichever log it came; what cannot follow is a loss that is
said, and nothing that stands in a log breaks whoever reads it.
"""

import asyncio

import pytest

from gateway.errors import ServiceError
from gateway.model import Chunk, Flag
from gateway.relay import letters
from gateway.relay.channel import Channel
from gateway.relay.feed import Feed
from gateway.relay.outcome import Bill
from tests.support.relay import DETAILS, Clock, Pipe, grow, listen, new_channel, open_channel, within


class Reading:
    """What `Cluster.follow` gives."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Scene:
    """A feed that follows a log, and what it told."""

    def __init__(self) -> None:
        self.channel = new_channel()
        self.ends = 0
        self.losses: list[bool] = []
        self.feed = Feed(self.channel, Clock(), self._ended, lambda _, owner_lost: self.losses.append(owner_lost))
        self.reading = self.feed.following = Reading()

    def _ended(self, feed: Feed) -> None:
        assert feed is self.feed
        assert feed.over
        self.ends += 1

    @property
    def seqs(self) -> list[int]:
        return [chunk.seq for chunk in self.channel.retained]


def entries(owner: Channel, first: int = 0) -> list[bytes]:
    """The log of this channel."""
    opened = letters.opened_entry(DETAILS, owner.init.payload if owner.init else b"", first, owner.pts(first))
    chunks = [letters.chunk_entry(chunk) for chunk in owner.retained[first - owner.first :]]
    ended = [letters.ended_entry(owner.outcome)] if owner.outcome is not None else []
    return [opened, *chunks, *ended]


def song(count: int = 5, *, over: bool = True, init: bytes = b"") -> Channel:
    channel = new_channel()
    channel.open(DETAILS, init, 0.0)
    grow(channel, count)
    if over:
        channel.close(None, Bill(0.5, settled=True))
    return channel


@pytest.mark.parametrize("init", [b"", b"header"])
def test_a_channel_is_filled_as_its_owners(init: bytes) -> None:
    """Chunks, numbers and sums; then it reads no more, and says once that it is whole."""
    owner, scene = song(init=init), Scene()
    pipe = Pipe()
    listen(scene.channel, pipe)
    for entry in entries(owner):
        scene.feed.entry(entry)
    assert [chunk.payload for chunk in scene.channel.retained] == [chunk.payload for chunk in owner.retained]
    assert [chunk.pts for chunk in scene.channel.retained] == [chunk.pts for chunk in owner.retained]
    assert scene.channel.outcome == owner.outcome == pipe.outcome
    assert scene.channel.size == owner.size
    assert scene.channel._hash.hexdigest() == owner._hash.hexdigest(), "the sum is not only said, it is right"
    assert (scene.ends, scene.feed.whole, scene.feed.closed, scene.reading.closed) == (1, True, True, 1)
    assert scene.feed.track is None
    scene.feed.lost(owner_lost=True)
    scene.feed.entry(letters.news_entry(b"late"))
    scene.feed.end(ServiceError("internal", "Late."))
    assert (scene.losses, scene.ends, scene.channel.outcome) == ([], 1, owner.outcome)


@pytest.mark.parametrize("read", range(7))
def test_a_log_that_is_read_again_changes_nothing(read: int) -> None:
    """Wherever the first one broke."""
    owner, scene = song(), Scene()
    for entry in entries(owner)[:read]:
        scene.feed.entry(entry)
    scene.feed.lost(owner_lost=False)
    assert scene.losses == [False]
    assert scene.feed.following is None
    for entry in entries(owner):
        scene.feed.entry(entry)
    assert scene.seqs == list(range(5))
    assert scene.channel.outcome == owner.outcome


def test_a_log_that_begins_late_is_a_copy_of_what_is_kept() -> None:
    """Its numbers are the owner's, and who wanted what came before is told of a gap."""
    owner, scene = song(), Scene()
    pipe = Pipe()
    listen(scene.channel, pipe)
    for entry in entries(owner, 3):
        scene.feed.entry(entry)
    assert scene.seqs == [3, 4]
    assert (scene.channel.first, scene.channel.end, scene.channel.end_pts) == (3, 5, owner.end_pts)
    assert [chunk.pts for chunk in scene.channel.retained] == [owner.pts(3), owner.pts(4)]
    assert ("gap", 0, 3, "retention") in pipe.said
    assert scene.channel.outcome == owner.outcome


@pytest.mark.parametrize("opened", [True, False])
def test_what_does_not_follow_is_a_loss(opened: bool) -> None:
    """A hole is not passed over in silence: the channel ends, and its listeners hear why."""
    owner, scene = song(over=False), Scene()
    pipe = Pipe()
    listen(scene.channel, pipe)
    log = entries(owner)
    if opened:
        scene.feed.entry(log[0])
        scene.feed.entry(log[1])
    scene.feed.entry(log[3])
    assert scene.seqs == ([0] if opened else [])
    assert pipe.said[-1] == ("ended", "position_lost")
    assert (scene.feed.whole, scene.ends, scene.reading.closed) == (False, 1, 1)


def test_what_cannot_be_read_ends_the_channel(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever hears it is told that it is our fault, and the log says where."""
    scene = Scene()
    pipe = Pipe()
    listen(scene.channel, pipe)
    scene.feed.entry(entries(song())[0])
    scene.feed.entry(b"\x09what")
    assert pipe.said[-1] == ("ended", "internal")
    assert "cluster.feed_failed" in caplog.text
    assert scene.reading.closed == 1


def test_news_are_handed_on() -> None:
    """To those who listen, as they are."""
    scene = Scene()
    pipe = Pipe()
    listen(scene.channel, pipe)
    scene.feed.entry(letters.news_entry(b"\x81\x02{}"))
    assert pipe.said == [("news", b"\x81\x02{}")]


def test_a_loss_is_told_with_its_reason() -> None:
    """Of the log, or of its owner."""
    scene = Scene()
    for owner_lost in (False, True):
        scene.feed.lost(owner_lost)
    assert scene.losses == [False, True]
    scene.feed.close()
    assert scene.feed.closed


async def test_it_can_be_waited_for() -> None:
    """Until so many chunks are there, or the end; nobody waits for ever, nor for what is there."""
    owner, scene = song(), Scene()
    log = entries(owner)
    scene.feed.entry(log[0])
    waits = [
        asyncio.ensure_future(scene.feed.reach(2, 20.0)),
        asyncio.ensure_future(scene.feed.reach(3, 20.0)),
        asyncio.ensure_future(scene.feed.reach(1, 20.0, over=True)),
    ]
    given_up = asyncio.ensure_future(scene.feed.reach(2, 20.0))
    await asyncio.sleep(0)
    given_up.cancel()
    for entry, done in zip(log[1:], ([], [0], [0, 1], [0, 1], [0, 1], [0, 1, 2]), strict=True):
        scene.feed.entry(entry)
        for _ in range(3):
            await asyncio.sleep(0)
        assert [number for number, wait in enumerate(waits) if wait.done()] == done
    assert given_up.cancelled()
    assert scene.feed._waiting == {}
    await within(scene.feed.reach(99, 20.0))
    late = Scene()
    await within(late.feed.reach(0, 20.0))
    await within(late.feed.reach(1, 0.0))
    assert late.feed._waiting == {}


async def test_whoever_waits_hears_of_the_end() -> None:
    """Also of a bad one, and also where they gave up in the same turn."""
    scene = Scene()
    wait = asyncio.ensure_future(scene.feed.reach(5, 20.0))
    gone = asyncio.ensure_future(scene.feed.reach(5, 20.0))
    await asyncio.sleep(0)
    gone.cancel()
    scene.feed.end(ServiceError("owner_lost", "Gone."))
    await within(wait)
    await asyncio.wait([gone])
    assert scene.channel.outcome is not None
    assert scene.channel.outcome.bill == Bill(0.0, settled=False)


def test_a_chunk_keeps_its_flags() -> None:
    """A hole at the provider's is one on every node."""
    owner, scene = open_channel(), Scene()
    owner.append(b"one", 10, Flag.RANDOM_ACCESS, 0.0)
    owner.append(b"two", 10, Flag.RANDOM_ACCESS | Flag.DISCONTINUITY, 0.0)
    for entry in entries(owner):
        scene.feed.entry(entry)
    read: list[Chunk] = list(scene.channel.retained)
    assert [chunk.flags for chunk in read] == [chunk.flags for chunk in owner.retained]
    assert scene.channel.torn
