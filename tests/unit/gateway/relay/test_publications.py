"""Tests of publishing: a rendition that other nodes read, as one more listener of its channel.

Invariant under test: it is made once for all nodes, for as long as one of them says that it reads it; a log that is
full keeps nobody waiting, and one that broke is never written again.
"""

import asyncio
from collections.abc import Callable

import pytest

from gateway.model import Flag, StreamId
from gateway.relay import letters
from gateway.relay.outcome import Bill
from gateway.relay.publications import ASKED_SECONDS, WANTED_SECONDS, Publication, Publications
from tests.support.realm import FakeCluster, FakeLog, Realm
from tests.support.relay import DETAILS, RENDITION, Clock, Pipe, grow, listen, new_channel, open_channel, within

NAME = RENDITION.stream_id, RENDITION.number


class Scene:
    """The publications of one node."""

    def __init__(self) -> None:
        self.now = Clock()
        self.realm = Realm()
        self.cluster = FakeCluster(self.realm, "n0")
        self.all = Publications(self.cluster, 5.0, self.now)

    def log(self, publication: Publication) -> FakeLog:
        log = publication.log
        assert isinstance(log, FakeLog)
        return log

    def read(self, publication: Publication) -> list[letters.Entry]:
        return [letters.read_entry(entry) for entry in self.log(publication).entries]


@pytest.fixture(autouse=True)
def without_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody follows, so nothing is handed over."""
    nothing: Callable[[Realm], None] = lambda _: None  # noqa: E731 - it is one
    monkeypatch.setattr(Realm, "pump", nothing)


def seqs(entries: list[letters.Entry]) -> list[int]:
    return [entry.seq for entry in entries if isinstance(entry, letters.ChunkEntry)]


def test_all_that_is_kept_is_written() -> None:
    """What it is, what is there, what comes, the news and the end, in this order."""
    scene, channel = Scene(), new_channel()
    channel.open(DETAILS, b"init", 0.0, begin=500)
    grow(channel, 2)
    publication = scene.all.want(channel, "n1")
    grow(channel, 1)
    channel.tell(b"news")
    channel.close(None, Bill(1.0, settled=True))
    entries = scene.read(publication)
    assert [type(entry) for entry in entries] == [
        letters.Opened,
        *[letters.ChunkEntry] * 3,
        letters.News,
        letters.Ended,
    ]
    assert isinstance(entries[0], letters.Opened)
    assert (entries[0].init, entries[0].seq, entries[0].pts, entries[0].details) == (b"init", 0, 500, DETAILS)
    assert seqs(entries) == [0, 1, 2]
    assert channel.listeners == {}


def test_what_was_trimmed_is_not_promised() -> None:
    """The log begins with the oldest chunk that is kept, under its number."""
    scene, channel = Scene(), open_channel(max_bytes=250)
    grow(channel, 5)
    entries = scene.read(scene.all.want(channel, "n1"))
    assert isinstance(entries[0], letters.Opened)
    assert (entries[0].seq, entries[0].pts) == (3, channel.pts(3))
    assert seqs(entries) == [3, 4]


def test_it_waits_for_the_first_sound() -> None:
    """And says nothing before, but news."""
    scene, channel = Scene(), new_channel()
    publication = scene.all.want(channel, "n1")
    assert scene.read(publication) == []
    channel.open(DETAILS, b"", 0.0)
    grow(channel, 1)
    assert seqs(scene.read(publication)) == [0]


def test_one_is_made_for_all_nodes() -> None:
    """Another format is another, and another life of the same number, too."""
    scene, channel = Scene(), open_channel()
    grow(channel, 1)
    first = scene.all.want(channel, "n1")
    assert scene.all.want(channel, "n2") is first
    assert (len(scene.all), len(scene.realm.logs), len(channel.listeners)) == (1, 1, 1)
    again = open_channel()
    grow(again, 1)
    second = scene.all.want(again, "n1")
    assert second is not first
    assert second.log_name != first.log_name
    assert scene.log(first).closed
    assert (len(scene.all), channel.listeners) == (1, {})


def test_other_nodes_are_no_listeners_here() -> None:
    """They are not counted as such, nor what they are sent."""
    scene, channel = Scene(), open_channel()
    scene.all.want(channel, "n1")
    listen(channel, Pipe())
    grow(channel, 2)
    assert (len(channel.listeners), channel.heard) == (2, 1)
    assert channel.egress == 200
    assert channel.doors == {"pipe": 1, "cluster": 1}


def test_a_full_log_keeps_nobody_waiting() -> None:
    """It is behind, as any slow listener is, and catches up when what waits was taken; of news it misses some."""
    scene, channel = Scene(), open_channel()
    scene.cluster.room = 3
    publication = scene.all.want(channel, "n1")
    pipe = Pipe()
    listen(channel, pipe)
    grow(channel, 5)
    channel.tell(b"news")
    assert len(pipe.chunks) == 5
    assert seqs(scene.read(publication)) == [0, 1]
    while len(seqs(scene.read(publication))) < 5:
        scene.log(publication).drain()
    assert seqs(scene.read(publication)) == list(range(5))
    assert not any(isinstance(entry, letters.News) for entry in scene.read(publication))
    channel.close(None, Bill(1.0, settled=True))
    scene.log(publication).drain()
    assert isinstance(scene.read(publication)[-1], letters.Ended)


def test_a_log_that_is_too_slow_is_given_up() -> None:
    """What it has not taken is not kept any more: a reader asks again, and is told where what is kept begins."""
    scene, channel = Scene(), open_channel(max_bytes=250)
    scene.cluster.room = 2
    slow = scene.all.want(channel, "n1")
    grow(channel, 5)
    assert not slow.broken
    scene.log(slow).drain()
    assert slow.broken
    assert scene.log(slow).closed
    scene.cluster.room = None
    again = scene.all.want(channel, "n1")
    assert again is not slow
    assert seqs(scene.read(again)) == [3, 4]


def test_a_lost_log_is_made_anew() -> None:
    """For whoever asks; what still comes goes only there."""
    scene, channel = Scene(), open_channel()
    grow(channel, 1)
    lost = scene.all.want(channel, "n1")
    scene.realm.lose_logs()
    assert (lost.broken, lost.writable, channel.listeners) == (True, False, {})
    before = len(scene.log(lost).entries)
    lost._drained()
    grow(channel, 1)
    assert len(scene.log(lost).entries) == before
    found = scene.all.want(channel, "n1")
    assert seqs(scene.read(found)) == [0, 1]
    scene.realm.lose_logs()
    scene.all.tick()
    assert len(scene.all) == 0


def test_it_ends_when_nobody_reads_it() -> None:
    """When the last node says no more that it does, or has said nothing for too long."""
    scene, channel = Scene(), open_channel()
    publication = scene.all.want(channel, "n1")
    scene.all.want(channel, "n2")
    for _ in range(3):
        scene.now.at += WANTED_SECONDS - 1.0
        scene.all.reads("n1", {NAME, (StreamId("st_else"), 1)})
        scene.all.tick()
        assert len(scene.all) == 1
    scene.all.reads("n3", set())
    scene.all.reads("n2", set())
    scene.all.tick()
    assert len(scene.all) == 1
    scene.now.at += WANTED_SECONDS
    scene.all.tick()
    assert (len(scene.all), channel.listeners, scene.log(publication).closed) == (0, {}, True)
    scene.all.want(channel, "n1")
    scene.now.at += ASKED_SECONDS
    scene.all.reads("n1", set())
    scene.all.tick()
    assert len(scene.all) == 0, "it was said, and so it is not waited for"
    publication.close()


def test_a_word_that_crosses_a_wish_does_not_count() -> None:
    """A node that has just asked cannot say yet that it reads."""
    scene, channel = Scene(), open_channel()
    scene.all.want(channel, "n1")
    scene.now.at += ASKED_SECONDS - 0.1
    scene.all.reads("n1", set())
    scene.all.tick()
    assert len(scene.all) == 1


def test_what_is_forgotten_is_published_no_more() -> None:
    """Of that stream, and of no other."""
    scene, channel = Scene(), open_channel()
    publication = scene.all.want(channel, "n1")
    scene.all.forget(StreamId("st_else"))
    assert len(scene.all) == 1
    scene.all.forget(RENDITION.stream_id)
    assert (len(scene.all), scene.log(publication).closed) == (0, True)


async def test_it_can_be_waited_for_until_all_is_read() -> None:
    """By several; without any, nobody waits."""
    scene, channel = Scene(), open_channel()
    await within(scene.all.read_out())
    scene.all.want(channel, "n1")
    waits = [asyncio.ensure_future(scene.all.read_out()) for _ in range(2)]
    await asyncio.sleep(0)
    scene.all.tick()
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)
    scene.now.at += WANTED_SECONDS
    scene.all.tick()
    for wait in waits:
        await within(wait)
    scene.all.tick()


def test_as_a_transport_it_has_no_place_for_some_things() -> None:
    """What is written past it goes nowhere, and a gap is seen by the numbers."""
    scene, channel = Scene(), open_channel()
    grow(channel, 1)
    publication = scene.all.want(channel, "n1")
    before = len(scene.log(publication).entries)
    publication.sink.write(b"sound")
    publication.gap(1, 2, "lag")
    assert len(scene.log(publication).entries) == before


def test_a_chunk_behind_a_hole_is_written_as_such() -> None:
    """Where the provider lost sound, the log says so."""
    scene, channel = Scene(), open_channel()
    publication = scene.all.want(channel, "n1")
    channel.append(b"before", 10, Flag.RANDOM_ACCESS, 0.0)
    channel.append(b"after", 10, Flag.RANDOM_ACCESS | Flag.DISCONTINUITY, 0.0)
    chunks = [entry for entry in scene.read(publication) if isinstance(entry, letters.ChunkEntry)]
    assert [chunk.flags for chunk in chunks] == [Flag.RANDOM_ACCESS, Flag.RANDOM_ACCESS | Flag.DISCONTINUITY]
