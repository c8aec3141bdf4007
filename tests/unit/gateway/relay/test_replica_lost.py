"""Tests of replicas whose log, whose owner or whose store is lost.

Invariant under test: a log that is lost costs no chunk and plays none twice; an owner that is lost ends what is not
whole, with `owner_lost`, and leaves what is whole to the nodes that have it, which make of it what is wished for.
A store that is away ends nothing. Two and three hubs share a played cluster.
"""

import asyncio

import pytest

from gateway.errors import RequestError, ServiceError
from gateway.model import AudioDelta, Finished, Position, Status
from gateway.protocol.messages import FormatSpec
from gateway.relay.feed import Feed
from gateway.relay.replica import LOST_SECONDS
from gateway.relay.wishes import possible
from tests.support.hub import SONG
from tests.support.nodes import Node, nodes
from tests.support.relay import TENANT, mp3_frames, until, within

MORE = b"".join(mp3_frames(20, 20))
PCM = possible([FormatSpec("pcm")])


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost is looked for at once, again and again."""
    monkeypatch.setattr("gateway.relay.replica.AGAIN_SECONDS", 0.0)


def wants(node: Node) -> int:
    """How often it has asked for a rendition."""
    return [kind for name, _, kind in node.cluster.realm.letters if name == node.cluster.node].count("want")


async def test_an_unfinished_stream_ends_with_its_owner() -> None:
    """In all its formats, after what came of it; it belongs to nobody, and is soon forgotten."""
    async with nodes(AudioDelta(SONG * 3), asyncio.Event(), number=3) as three:
        there, here, third = three
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        mp3, pcm = await here.hear(stream.id), await here.hear(stream.id, "pcm")
        there.encode()
        await until(lambda: len(pcm.pipe.chunks) > 0)
        three.realm.kill("n0")
        for hearing in (mp3, pcm):
            assert hearing.pipe.chunks
            assert hearing.pipe.said[-1] == ("ended", "owner_lost")
        replica = await here.replica(stream.id)
        assert replica.error is not None
        assert (replica.status, replica.error.code, replica.adopted) == (Status.FAILED, "owner_lost", False)
        assert replica.finished_at == here.time.at
        await three.pass_by(3.0)
        assert not replica.adopted
        with pytest.raises(RequestError):
            await third.hub.find(TENANT, stream.id)
        await three.pass_by(20.0)
        assert list(here.hub.streams) == []
        with pytest.raises(RequestError):
            await here.hub.find(TENANT, stream.id)


async def test_a_whole_song_outlives_its_owner() -> None:
    """The node that has it owns it: it is found and listed, and other formats are made there."""
    async with nodes(AudioDelta(SONG * 3), Finished(1.5), number=3) as three:
        there, here, third = three
        stream = await there.finish()
        heard = await here.hear(stream.id)
        await until(lambda: heard.ended)
        replica = await here.replica(stream.id)
        three.realm.kill("n0")
        await three.pass_by(1.0)
        assert replica.adopted
        assert three.realm.owners == {stream.id: "n1"}
        assert here.hub.list(TENANT) == [replica]
        assert [one.id for one in await third.hub.everywhere(TENANT)] == [stream.id]
        again = await third.hear(stream.id)
        await until(lambda: again.ended)
        assert again.pipe.heard == SONG * 3
        assert again.pipe.outcome == heard.pipe.outcome
        pcm = await third.hear(stream.id, "pcm")
        await three.pass_by(1.0)
        assert (replica.listeners, replica.here) == (1, 0)

        def over() -> bool:
            here.encode()
            return pcm.ended

        await until(over)
        assert pcm.pipe.said[-1] == ("ended", None)
        assert third.encodings.opened == []
        replica.owner_lost()
        await replica.stop()
        assert (replica.status, replica.error) == (Status.COMPLETED, None)


async def test_it_is_taken_over_at_once_where_it_is_wanted() -> None:
    """Whoever wants another format before the next round waits for nobody; while its owner lives, it is its own."""
    async with nodes(AudioDelta(SONG * 3), Finished(1.5)) as two:
        there, here = two
        stream = await there.finish()
        heard = await here.hear(stream.id)
        await until(lambda: heard.ended)
        replica = await here.replica(stream.id)
        there.cluster.deaf.add("want")
        with pytest.raises(ServiceError, match="Nobody answers"):
            await replica.obtain(PCM)
        two.realm.kill("n0")
        channel = await replica.obtain(PCM)
        assert replica.adopted
        assert len(here.encodings.opened) == 1
        assert channel is await replica.obtain(PCM)
        await until(lambda: two.realm.owners == {stream.id: "n1"})


async def test_a_format_that_was_on_its_way_is_made_anew() -> None:
    """Its listener is told, comes again with its position, and goes on at the same second."""
    async with nodes(AudioDelta(SONG * 30), Finished(1.5)) as two:
        there, here = two
        stream = await there.finish()
        heard, pcm = await here.hear(stream.id), await here.hear(stream.id, "pcm")
        await until(lambda: heard.ended)
        [encoding] = there.encodings.opened

        def some() -> bool:
            if len(pcm.pipe.chunks) < 2 and encoding.answered < len(encoding.steps):
                encoding.answer()
            return len(pcm.pipe.chunks) > 1

        await until(some)
        assert not pcm.ended
        position, second = pcm.channel.position(1), pcm.channel.moment(1)
        two.realm.kill("n0")
        assert pcm.pipe.said[-1] == ("ended", "owner_lost")
        assert pcm.stream.status is Status.COMPLETED
        moved = await here.hear(stream.id, "pcm", since=position)
        here.encode()
        await until(lambda: moved.pipe.chunks != [])
        assert moved.recovered
        assert moved.channel is not pcm.channel
        assert moved.channel.moment(moved.pipe.chunks[0].seq) == second


async def test_the_whole_copy_is_found_by_those_who_had_a_part() -> None:
    """A part is no song: it takes nothing over, and makes room for the whole when nobody hears it."""
    async with nodes(AudioDelta(SONG * 3), Finished(1.5), number=3) as three:
        there, here, third = three
        stream = await there.finish()
        heard = await here.hear(stream.id)
        await until(lambda: heard.ended)
        part = await third.replica(stream.id)
        three.realm.held = True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gateway.relay.replica.CATCH_UP_SECONDS", 0.0)
            stuck = await third.hear(stream.id)
        three.realm.kill("n0")
        three.realm.held = False
        assert stuck.pipe.said == [("ended", "owner_lost")]
        await three.pass_by(1.0)
        assert three.realm.owners == {stream.id: "n1"}
        three.now.at += 20.0
        found = await asyncio.gather(*[third.hub.find(TENANT, stream.id) for _ in range(2)])
        assert found[0] is found[1] is not part
        assert part.retained_bytes == 0
        whole = await third.hear(stream.id)
        await until(lambda: whole.ended)
        assert whole.pipe.heard == SONG * 3


async def test_who_hears_a_part_is_not_disturbed() -> None:
    """While somebody has not taken it all, the part stays; as it does while nobody can tell who has the song."""
    async with nodes(AudioDelta(SONG), asyncio.Event(), number=3) as three:
        there, here, third = three
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        part = await here.replica(stream.id)
        slow = await here.hear(stream.id)
        slow.pipe.room = 0
        three.realm.kill("n0")
        assert not slow.ended
        await three.pass_by(30.0)
        assert list(here.hub.streams) == [part]
        three.realm.owners[stream.id] = "n2"
        three.now.at += 20.0
        assert await here.hub.find(TENANT, stream.id) is part
        slow.leave()
        three.realm.away = True
        assert await here.hub.find(TENANT, stream.id) is part
        three.realm.away = False
        with pytest.raises(RequestError):
            await here.hub.find(TENANT, stream.id)
        assert third.hub.list(TENANT) == []


async def test_a_stream_that_nobody_heard_has_failed_as_well() -> None:
    """Who asks about it after its owner's death is told so, with what was known of it last."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        await here.replica(stream.id)
        there.cluster.deaf.add("look")
        assert (await here.replica(stream.id)).status is Status.RUNNING
        two.realm.kill("n0")
        replica = await here.replica(stream.id)
        assert replica.status is Status.FAILED
        assert replica.received_seconds == stream.received_seconds


@pytest.mark.parametrize("form", ["mp3", "pcm"])
async def test_a_lost_log_costs_nobody_a_chunk(form: str) -> None:
    """It is written anew under another name, and read from its beginning; the channel goes on as if nothing were."""
    gate = asyncio.Event()
    async with nodes(AudioDelta(SONG * 2), gate, AudioDelta(MORE), Finished(1.5)) as two:
        there, here = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        heard = await here.hear(stream.id, form)
        there.encode()
        await until(lambda: len(heard.pipe.chunks) > 0)
        [log] = two.realm.logs
        two.realm.lose_logs()
        await until(lambda: len(two.realm.logs) == 1)
        assert log not in two.realm.logs
        gate.set()

        def over() -> bool:
            there.encode()
            return heard.ended

        await until(over)
        assert [chunk.seq for chunk in heard.pipe.chunks] == list(range(heard.channel.end))
        owned = next(one for one in stream.renditions if one.rendition == heard.channel.rendition)
        assert owned is not heard.channel
        assert heard.pipe.heard == b"".join(chunk.payload for chunk in owned.retained)
        assert heard.pipe.outcome == owned.outcome
        assert wants(here) == 2


async def test_a_store_that_is_away_ends_nothing() -> None:
    """Listeners hear what is there and wait; when it is back they go on, although the logs were lost meanwhile."""
    gate = asyncio.Event()
    async with nodes(AudioDelta(SONG), gate, AudioDelta(MORE), Finished(1.0)) as two:
        there, here = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        heard = await here.hear(stream.id)
        two.realm.away = True
        two.realm.lose_logs()
        gate.set()
        await within(stream.wait())
        await two.pass_by(2 * LOST_SECONDS)
        assert not heard.ended
        assert await here.hub.find(TENANT, stream.id) is heard.stream
        two.realm.away = False
        await until(lambda: heard.ended)
        assert heard.pipe.heard == SONG + MORE
        assert heard.pipe.said[-1] == ("ended", None)


async def test_an_owner_that_only_does_not_answer_is_waited_for() -> None:
    """As long as it lives; one that is gone for a while is lost, although no log said so."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        heard = await here.hear(stream.id)
        there.cluster.deaf.add("want")
        two.realm.lose_logs()
        await two.pass_by(2 * LOST_SECONDS)
        assert not heard.ended
        two.realm.kill("n0")
        await two.told()
        assert not heard.ended
        two.now.at += LOST_SECONDS - 1.0
        await two.told()
        assert not heard.ended
        two.now.at += 1.0
        await until(lambda: heard.ended)
        assert heard.pipe.said[-1] == ("ended", "owner_lost")


async def test_an_owner_that_knows_nothing_of_it_is_as_good_as_gone() -> None:
    """Its listeners are told, and not left waiting."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        heard = await here.hear(stream.id)
        there.hub._streams.pop(stream.id)
        two.realm.lose_logs()
        await until(lambda: heard.ended)
        assert heard.pipe.said[-1] == ("ended", "owner_lost")
        there.hub._streams[stream.id] = stream


async def test_a_format_that_was_made_anew_is_another() -> None:
    """Its numbers mean nothing in the old log: who heard that is told to attach again."""
    async with nodes(AudioDelta(SONG * 3), asyncio.Event()) as two:
        there, here = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        heard = await here.hear(stream.id, "pcm")
        there.encode()
        await until(lambda: len(heard.pipe.chunks) > 0)
        two.realm.away = True
        two.realm.lose_logs()
        await two.pass_by(15.0)
        assert list(stream.renditions) == [stream.native]
        two.realm.away = False
        await until(lambda: heard.ended)
        assert heard.pipe.said[-1] == ("ended", "position_lost")
        again = await here.hear(stream.id, "pcm", since=heard.listener.position)
        assert again.recovered
        assert again.channel.rendition != heard.channel.rendition


async def test_a_format_that_cannot_be_sent_again_ends_alone() -> None:
    """With the code that its owner gave; the others go on."""
    async with nodes(AudioDelta(SONG * 3), asyncio.Event()) as two:
        there, here = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        mp3, pcm = await here.hear(stream.id), await here.hear(stream.id, "pcm")
        there.encode()
        two.realm.away = True
        two.realm.lose_logs()
        await two.pass_by(15.0)
        there.encodings.room = 0
        two.realm.away = False
        await until(lambda: pcm.ended)
        assert pcm.pipe.said[-1] == ("ended", "transcoding_full")
        assert not mp3.ended
        assert mp3.stream.status is Status.RUNNING


async def test_what_was_let_go_is_looked_for_no_more() -> None:
    """Nobody heard it, and its channel is gone: a log that is found again would be read for nothing."""
    async with nodes(AudioDelta(SONG * 3), asyncio.Event()) as two:
        there, here = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        mp3, pcm = await here.hear(stream.id), await here.hear(stream.id, "pcm")
        there.encode()
        await until(lambda: len(pcm.pipe.chunks) > 0)
        pcm.leave()
        replica = await here.replica(stream.id)
        [feed] = replica.renditions.feeds
        assert isinstance(feed, Feed)
        two.realm.away = True
        two.realm.lose_logs()
        await two.pass_by(15.0)
        assert feed.closed
        two.realm.away = False
        await until(lambda: len(two.realm.logs) == 1)
        await two.told()
        assert len(two.realm.followings) == 1
        assert replica.reading == [replica.native.rendition.number]
        assert not mp3.ended


async def test_a_log_is_followed_once_whoever_finds_it() -> None:
    """Whoever looks for it, or whoever asks its owner for the format meanwhile, with a position that nobody knows."""
    async with nodes(AudioDelta(SONG * 3), asyncio.Event()) as two:
        there, here = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        heard = await here.hear(stream.id, "pcm")
        there.encode()
        await until(lambda: len(heard.pipe.chunks) > 0)
        replica = await here.replica(stream.id)
        two.realm.lose_logs()
        channels = await asyncio.gather(*[replica.obtain(PCM, Position(999, number)) for number in range(3)])
        assert {id(channel) for channel in channels} == {id(heard.channel)}
        await two.told()
        assert wants(here) == 1 + 1 + 3
        assert len(two.realm.followings) == 1
        assert [chunk.seq for chunk in heard.pipe.chunks] == list(range(heard.channel.end))
