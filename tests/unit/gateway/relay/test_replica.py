"""Tests of replicas: what is heard of a stream on a node that does not own it.

Invariant under test: it is the owner's, byte for byte and number for number, in every format, from every position, and
whoever goes from one node to another loses nothing and hears nothing twice. Two and three hubs share a played cluster.
"""

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import ServiceError, UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, Position, Status
from gateway.protocol.messages import FormatSpec
from gateway.relay.replica import MOMENTS_KEPT
from gateway.relay.stream import Stream
from gateway.relay.wishes import possible
from tests.support.hub import SONG, WHOLE
from tests.support.nodes import Hearing, Node, nodes
from tests.support.relay import TENANT, Pipe, mp3_frames, until, within

MORE = b"".join(mp3_frames(20, 20))


def same(here: Hearing, there: Hearing) -> None:
    """Both have heard the same, to the end, under the same numbers."""
    for one, other in zip(here.pipe.chunks, there.pipe.chunks, strict=True):
        assert one.rendition == other.rendition
        assert (one.seq, one.pts, one.duration, one.flags, one.payload) == (
            other.seq,
            other.pts,
            other.duration,
            other.flags,
            other.payload,
        )
    assert here.pipe.outcome == there.pipe.outcome
    assert here.pipe.outcome is not None
    assert here.pipe.announced is not None
    assert there.pipe.announced is not None
    (form, number, init), (its_form, its_number, its_init) = here.pipe.announced, there.pipe.announced
    assert (form, number) == (its_form, its_number)
    assert (init and init.payload) == (its_init and its_init.payload)
    assert (here.channel.size, here.channel.end, here.channel.end_pts) == (
        there.channel.size,
        there.channel.end,
        there.channel.end_pts,
    )


async def played(there: Node, here: Node) -> tuple[Stream, Hearing, Hearing]:
    """A stream that is heard at both."""
    stream = await there.create()
    await until(lambda: stream.native.end > 0)
    return stream, await there.hear(stream.id), await here.hear(stream.id)


@pytest.mark.parametrize("form", ["mp3", "pcm", "wav", "ogg"])
async def test_a_format_is_the_same_on_both_nodes(form: str) -> None:
    """While it is made and for those who come when it is whole; the encode is the owner's alone."""
    gate = asyncio.Event()
    async with nodes(Accepted("req-1"), AudioDelta(SONG), gate, AudioDelta(MORE), Finished(1.0)) as (there, here):
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        hearings = [await node.hear(stream.id, form) for node in (there, here)]
        gate.set()

        def over() -> bool:
            there.encode()
            return all(hearing.ended for hearing in hearings)

        await until(over)
        hearings += [await node.hear(stream.id, form) for node in (there, here)]
        await until(over)
        assert hearings[0].pipe.chunks
        for hearing in hearings[1:]:
            same(hearing, hearings[0])
        assert here.encodings.opened == []
        assert len(there.encodings.opened) == (form != "mp3")
        assert (here.ledger.reserved, here.ledger.settled) == ([], [])
        replica = await here.replica(stream.id)
        assert replica.status is Status.COMPLETED
        assert (replica.bill, replica.finished_at) == (stream.bill, stream.finished_at)
        assert replica.audio_seconds == stream.audio_seconds == 1.0


async def test_who_comes_before_the_first_sound_waits_for_it() -> None:
    """At the owner's and elsewhere; the queue's news, too, come as they are."""
    gate = asyncio.Event()
    async with nodes(gate, *WHOLE) as (there, here):
        stream = await there.create()
        hearings = [await node.hear(stream.id) for node in (there, here)]
        replica = await here.replica(stream.id)
        assert (replica.silent, replica.audio_seconds, replica.received_seconds) == (True, 0.0, 0.0)
        assert hearings[1].pipe.said == []
        gate.set()
        await until(lambda: all(hearing.ended for hearing in hearings))
        same(*hearings)
        assert not replica.silent


async def test_a_failed_stream_fails_alike() -> None:
    """What came of it is heard, and then why there is no more, with the code that its owner was given."""
    failure = UpstreamError("upstream_interrupted", "The provider went silent.", retry_after=3.0)
    gate = asyncio.Event()
    async with nodes(AudioDelta(SONG), gate, failure) as (there, here):
        stream, mine, theirs = await played(there, here)
        gate.set()
        await until(lambda: mine.ended and theirs.ended)
        assert mine.pipe.heard == theirs.pipe.heard
        assert mine.pipe.said[-1] == theirs.pipe.said[-1] == ("ended", "upstream_interrupted")
        replica = await here.replica(stream.id)
        assert replica.status is Status.FAILED
        assert replica.error is not None
        assert (replica.error.code, replica.error.message, replica.error.retry_after) == (
            failure.code,
            failure.message,
            failure.retry_after,
        )
        assert replica.whole, "what came of it is all there will be"


async def test_the_end_of_a_stream_is_known_without_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its log said last holds: that it was cancelled, say, and the bill."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as (there, here):
        stream, _, theirs = await played(there, here)
        there.cluster.deaf.add("look")
        await stream.stop()
        await until(lambda: theirs.ended)
        replica = theirs.stream
        await until(lambda: replica.status.final)
        assert (replica.status, replica.bill) == (Status.CANCELLED, stream.bill)
        assert replica.finished_at == there.time.at
        assert replica.error is not None
        assert replica.error.code == "cancelled"


async def test_news_arrive_as_they_are() -> None:
    """The owner says how many listen, of all nodes; every listener hears the same words, once."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        stream, mine, theirs = await played(there, here)
        await two.pass_by(2.0)
        await until(lambda: [said for said in theirs.pipe.said if said[0] == "news"] != [])
        news = [[said for said in hearing.pipe.said if said[0] == "news"] for hearing in (mine, theirs)]
        assert news[1][-1] == news[0][-1]
        assert b'"listeners":2' in news[1][-1][1]  # type: ignore[operator] # the text
        assert len(news[1]) == len({text for _, text in news[1]})
        assert stream.listeners == theirs.stream.listeners == 2


async def test_a_resume_goes_on_at_another_node() -> None:
    """From its position, without loss and without a chunk twice: before the node has read any of it, and after."""
    gate = asyncio.Event()
    async with nodes(AudioDelta(SONG), gate, AudioDelta(MORE), Finished(1.0), number=3) as (there, here, third):
        stream, mine, theirs = await played(there, here)
        await until(lambda: len(theirs.pipe.chunks) == stream.native.end)
        position = mine.listener.position
        assert position.seq == stream.native.end > 0
        mine.leave()
        moved = [await node.hear(stream.id, since=position) for node in (here, third)]
        gate.set()
        await until(lambda: all(one.ended for one in moved))
        for one in moved:
            assert one.recovered
            assert mine.pipe.heard + one.pipe.heard == SONG + MORE
            assert one.pipe.chunks[0].seq == position.seq
        back = await there.hear(stream.id, since=Position(position.epoch, 1))
        await until(lambda: back.ended)
        assert back.recovered
        assert [chunk.seq for chunk in back.pipe.chunks] == list(range(1, stream.native.end))


async def test_a_resume_in_another_format_goes_on_at_the_same_second() -> None:
    """The owner alone knows when the position sounded, in a format that this node has never read."""
    async with nodes(AudioDelta(SONG * 3), asyncio.Event()) as (there, here):
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        pcm = await there.hear(stream.id, "pcm")
        there.encode()
        await until(lambda: len(pcm.pipe.chunks) > 2)
        position = pcm.channel.position(2)
        second = pcm.channel.moment(2)
        assert second
        moved = await here.hear(stream.id, "mp3", since=position)
        await until(lambda: len(moved.pipe.chunks) > 0)
        assert moved.recovered
        assert moved.pipe.chunks[0].seq == stream.native.seq_at(round(second * 44100)) > 0
        again = await here.hear(stream.id, "mp3", since=position)
        assert again.recovered
        asked = [kind for _, _, kind in here.cluster.realm.letters if kind == "want"]
        assert len(asked) == 1, "what is known is not asked for again"
        lost = await here.hear(stream.id, "mp3", since=Position(12345, 1))
        assert not lost.recovered


async def test_many_may_resume_at_once() -> None:
    """Each asks for a second of its own, and all of them attach when all have been answered."""
    async with nodes(AudioDelta(SONG * 3), asyncio.Event()) as (there, here):
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        pcm = await there.hear(stream.id, "pcm")
        there.encode()
        await until(lambda: pcm.channel.end > 1)
        replica = await here.replica(stream.id)
        positions = [pcm.channel.position(seq) for seq in (0, 1)]
        await asyncio.gather(*[replica.obtain(possible([FormatSpec("mp3")]), position) for position in positions])
        assert [replica.moment(position) for position in positions] == [pcm.channel.moment(seq) for seq in (0, 1)]
        for epoch in range(MOMENTS_KEPT + 1):
            pcm.channel.rendition = replace(pcm.channel.rendition, epoch=1000 + epoch)
            await replica.obtain(possible([FormatSpec("mp3")]), Position(1000 + epoch, 1))
        assert len(replica._moments) == MOMENTS_KEPT
        assert replica.moment(positions[0]) is None


async def test_a_format_wished_for_in_two_ways_is_the_one_that_is_sent() -> None:
    """Of one format with different numbers, what the owner has made already is the second wish."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as (there, here):
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        slow, fast = FormatSpec("pcm", sample_rate=8000), FormatSpec("pcm", sample_rate=16000)
        mine = await there.hear(stream.id, fast)
        theirs = await here.hear(stream.id, slow, fast)
        assert theirs.channel.rendition == mine.channel.rendition
        other = await here.hear(stream.id, slow)
        assert other.channel.rendition != mine.channel.rendition
        assert (await here.hear(stream.id, fast)).channel is theirs.channel


async def test_no_room_for_a_format_is_told_to_whoever_asked() -> None:
    """With the code, the sentence and the time that its owner would have said it with."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as (there, here):
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        there.encodings.room = 0
        refusals = []
        for node in (there, here):
            with pytest.raises(ServiceError) as refusal:
                await node.hear(stream.id, "pcm")
            refusals.append(refusal.value)
        assert refusals[0].code == "transcoding_full"
        assert refusals[0].body() == refusals[1].body()
        assert (await here.hear(stream.id, "pcm", "mp3")).channel.format.name == "mp3"


async def test_whoever_comes_to_a_whole_song_finds_it_whole() -> None:
    """A length can be told at once; it is waited for, but not for ever."""
    async with nodes() as two:
        there, here = two
        stream = await there.finish()
        replica = await here.replica(stream.id)
        channel = await replica.obtain(possible([FormatSpec("mp3")]))
        assert channel.outcome == stream.native.outcome
        assert (replica.whole, replica.reading) == (True, [])
        two.realm.held = True
        wav = there.hub.get(TENANT, stream.id).renditions.channel(possible([FormatSpec("wav")]))
        there.encode()
        await until(lambda: wav.outcome is not None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gateway.relay.replica.CATCH_UP_SECONDS", 0.01)
            late = await within(replica.obtain(possible([FormatSpec("wav")])))
        assert late.end == 0
        two.realm.held = False
        two.realm.pump()
        await until(lambda: late.outcome is not None)
        assert late.outcome == wav.outcome


async def test_a_cancel_elsewhere_ends_it_at_its_owner() -> None:
    """Whoever cancels is told the bill that is settled; a second time changes nothing."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as (there, here):
        stream, mine, theirs = await played(there, here)
        replica = await here.replica(stream.id)
        replica.cancel()
        assert stream.status is Status.RUNNING, "that a node stops is no reason"
        await within(replica.stop())
        assert stream.status is Status.CANCELLED
        assert replica.status is Status.CANCELLED
        assert replica.bill == stream.bill
        assert replica.bill.settled
        assert there.ledger.settled == [(stream.id, stream.received_seconds)]
        await until(lambda: mine.ended and theirs.ended)
        assert theirs.pipe.said[-1] == mine.pipe.said[-1] == ("ended", "cancelled")
        await within(replica.stop())
        there.cluster.deaf.add("cancel")
        with pytest.raises(ServiceError, match="Nobody answers"):
            await replica.stop()


async def test_pipe_is_a_listener_like_any_other() -> None:
    """A slow one at another node is behind, hears all, and keeps nobody waiting."""
    async with nodes() as (there, here):
        stream = await there.finish()
        slow = await here.hear(stream.id, pipe=Pipe(room=0))
        fast = await here.hear(stream.id)
        await until(lambda: fast.ended)
        assert slow.pipe.chunks == []
        slow.pipe.room = None
        slow.listener.pump()
        same(slow, fast)
