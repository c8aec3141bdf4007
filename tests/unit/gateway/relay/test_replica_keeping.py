"""Tests of how a node keeps the streams of others: what it asks for, whom it lets have them, and what it lets go.

Invariant under test: only what somebody hears is read, nothing is bought, and what nobody hears is let go, memory and
all. That what is heard is the owner's is tested in `test_replica.py`.
"""

import asyncio

import pytest

from gateway.errors import RequestError
from gateway.model import AudioDelta, Finished, Status
from gateway.protocol.messages import FormatSpec
from gateway.relay.order import Order
from gateway.relay.stream import Stream
from gateway.relay.wishes import possible
from tests.support.hub import OTHER, SONG
from tests.support.nodes import Hearing, Node, nodes
from tests.support.relay import BUYER, TENANT, song, until, within


async def played(there: Node, here: Node) -> tuple[Stream, Hearing, Hearing]:
    """A stream that is heard at both."""
    stream = await there.create()
    await until(lambda: stream.native.end > 0)
    return stream, await there.hear(stream.id), await here.hear(stream.id)


async def test_what_is_read_already_is_not_asked_for() -> None:
    """However many come, one node asks once, follows once, and has one channel of a format."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as (there, here):
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        found = await asyncio.gather(*[here.hub.find(TENANT, stream.id) for _ in range(3)])
        assert len({id(one) for one in found}) == 1
        replica = await here.replica(stream.id)
        for form in ("mp3", "pcm"):
            wished = possible([FormatSpec(form)])
            channels = await asyncio.gather(*[replica.obtain(wished) for _ in range(3)])
            assert len({id(channel) for channel in channels}) == 1
            assert await replica.look(wished) is channels[0]
        assert len(here.cluster.realm.followings) == 2


async def test_a_look_begins_nothing() -> None:
    """A finished song in the provider's own format is read, so that all nodes say the same; nothing is encoded."""
    gate = asyncio.Event()
    async with nodes(AudioDelta(SONG), gate, Finished(0.5)) as (there, here):
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        replica = await here.replica(stream.id)
        for form in ("mp3", "pcm"):
            assert await replica.look(possible([FormatSpec(form)])) is None
        assert here.cluster.realm.logs == {}
        gate.set()
        await within(stream.wait())
        replica = await here.replica(stream.id)
        assert replica.status is Status.COMPLETED
        assert await replica.look(possible([FormatSpec("pcm")])) is None
        assert await replica.look(possible([FormatSpec("mp3", bitrate=64000)])) is None
        assert there.encodings.opened == []
        channel = await replica.look(possible([FormatSpec("mp3")]))
        assert channel is replica.native
        assert channel.outcome == stream.native.outcome


async def test_what_nobody_hears_is_let_go() -> None:
    """First it is read no more, then its memory goes, and the copy with it; its owner sends it no more."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        stream, _, theirs = await played(there, here)
        pcm = await here.hear(stream.id, "pcm")
        there.encode()
        await until(lambda: pcm.channel.end > 0)
        replica = await here.replica(stream.id)
        keep = replica.renditions._workshop.keep_seconds
        await two.pass_by(keep + 5.0)
        assert len(replica.reading) == len(two.realm.followings) == 2, "both are heard"
        theirs.leave()
        pcm.leave()
        await two.pass_by(1.0)
        theirs = await here.hear(stream.id)
        await two.pass_by(2.0)
        theirs.leave()
        await two.pass_by(keep)
        assert replica.reading == [replica.native.rendition.number]
        assert pcm.channel.retained_bytes == 0
        await two.pass_by(2.0)
        assert replica.reading == []
        assert two.realm.followings == []
        assert replica.retained_bytes > 0, "whoever comes now finds what is there"
        back = await here.hear(stream.id)
        await until(lambda: len(back.pipe.chunks) == stream.native.end)
        assert [chunk.seq for chunk in back.pipe.chunks] == list(range(stream.native.end))
        back.leave()
        await two.pass_by(2 * keep + 4.0)
        assert list(here.hub.streams) == []
        assert replica.native.retained_bytes == 0
        await two.pass_by(11.0)
        assert two.realm.logs == {}
        assert len(there.neighbours._publications) == 0
        assert stream.listeners == 1


async def test_another_tenants_stream_is_unknown() -> None:
    """As unknown as one that never was, whether this node has heard of it or not; so is one that is kept no more."""
    async with nodes() as two:
        there, here = two
        stream = await there.finish()
        refusals = []

        async def refused(node: Node, stream_id: str, tenant: str = OTHER) -> None:
            with pytest.raises(RequestError) as refusal:
                await node.hub.find(tenant, stream_id)  # type: ignore[arg-type] # a name
            refusals.append(refusal.value.body())

        for node in (there, here):
            await refused(node, stream.id)
            await refused(node, "st_never")
        replica = await here.replica(stream.id)
        await refused(here, stream.id)
        two.time.at += 4000.0
        two.now.at += 4000.0
        there.hub.forget()
        await two.told()
        await refused(here, stream.id, TENANT)
        here.hub.forget()
        assert replica.id not in {one.id for one in here.hub.streams}
        await refused(here, stream.id, TENANT)
        assert len({str(body) for body in refusals}) == 1
        assert refusals[0]["code"] == "stream_not_found"


async def test_it_costs_nothing_here() -> None:
    """Nothing is reserved, renewed or settled; what its listeners took is counted where they are."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as (there, here):
        stream, _, theirs = await played(there, here)
        await until(lambda: len(theirs.pipe.chunks) == stream.native.end)
        replica = await here.replica(stream.id)
        assert replica.granted_seconds == 0.0
        await replica.keep_lease()
        await replica.wait()
        replica.share(None)
        here.now.at += 2.0
        took = replica.traffic()
        assert took is not None
        assert took.listener_seconds == 2.0
        theirs.leave()
        rest = replica.traffic()
        assert rest is not None
        assert (rest.listener_seconds, took.egress_bytes + rest.egress_bytes) == (0.0, len(theirs.pipe.heard))
        assert replica.traffic() is None
        mine = stream.traffic()
        assert mine is not None
        assert mine.listener_seconds == 2.0, "the other node is no listener"
        assert here.ledger.renewed == here.ledger.settled == []


async def test_a_shared_stream_is_that_of_another_node() -> None:
    """As `Order` has it: the replica is given instead of a song that is bought."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as (there, here):
        stream, _ = await there.hub.order(Order(BUYER, song(), share=True))
        found, known = await here.hub.order(Order(BUYER, song(), share=True))
        assert (found.id, known) == (stream.id, True)
        assert found.shareable
        assert found is await here.replica(stream.id)


async def test_a_drain_waits_for_those_who_hear_it() -> None:
    """Until they have come to its end."""
    gate = asyncio.Event()
    async with nodes(AudioDelta(SONG), gate, Finished(0.5)) as (there, here):
        _, _, theirs = await played(there, here)
        waiting = asyncio.ensure_future(theirs.stream.ended())
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
        await within(waiting)
        assert theirs.channel.outcome is not None


async def test_a_node_that_stops_ends_its_listeners() -> None:
    """In every format, and nobody waits for what other nodes go on with."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as (there, here):
        stream, mine, theirs = await played(there, here)
        pcm = await here.hear(stream.id, "pcm")
        await within(here.stop(), 1.0)
        assert theirs.pipe.said[-1] == pcm.pipe.said[-1] == ("ended", "going_away")
        assert not mine.ended
        assert stream.status is Status.RUNNING
        assert here.cluster.realm.followings == []
