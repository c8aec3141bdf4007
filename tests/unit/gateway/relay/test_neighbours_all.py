"""Tests of what nodes do with all their streams at once: list them, and hand them over when one leaves.

Invariant under test: a list is the same on every node and begins nothing; a node that leaves takes no finished song
along that another has room for, and nobody holds it up.
"""

import asyncio
import logging

import pytest

from gateway.model import AudioDelta, Finished
from gateway.relay import letters
from gateway.relay.neighbours import crowds
from gateway.relay.order import Order
from tests.support.hub import OTHER, SONG
from tests.support.nodes import nodes
from tests.support.relay import BUYER, TENANT, song, until, within


async def test_all_nodes_list_the_same() -> None:
    """All streams of the tenant, those of other nodes, too; to be shown, and nothing is begun for it."""
    async with nodes(AudioDelta(SONG), asyncio.Event(), number=3) as three:
        streams = [await node.create() for node in three for _ in range(2)]
        await three[0].create(OTHER)
        await until(lambda: all(stream.native.end > 0 for stream in streams))
        before = asyncio.all_tasks()
        for node in three:
            listed = await node.hub.everywhere(TENANT)
            assert sorted(stream.id for stream in listed) == sorted(stream.id for stream in streams)
            assert len(list(node.hub.streams)) == 2 + (node is three[0])
        assert asyncio.all_tasks() <= before
        assert {kind for _, _, kind in three.realm.letters} == {"list"}
        three[1].cluster.deaf.add("list")
        listed = await three[0].hub.everywhere(TENANT)
        there = {stream.id for stream in (*streams[:2], *streams[4:])}
        assert {stream.id for stream in listed} == there, (
            "what is on a node that does not answer cannot be heard either"
        )


async def test_a_stream_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though several nodes had it whole when its owner died; and of many a node tells the newest."""
    async with nodes(AudioDelta(SONG), Finished(0.5), number=4) as four:
        there, here, third, fourth = four
        stream = await there.finish()
        for node in (here, third):
            heard = await node.hear(stream.id)
            await until(lambda: heard.ended)  # noqa: B023 - awaited right here
        four.realm.kill("n0")
        await four.pass_by(1.0)
        for node in (here, third, fourth):
            assert [one.id for one in await node.hub.everywhere(TENANT)] == [stream.id]
        monkeypatch.setattr("gateway.relay.neighbours.MOST_LISTED", 2)
        newer = [await here.create() for _ in range(2)]
        listed = await fourth.hub.everywhere(TENANT)
        assert {one.id for one in listed} == {stream.id, *[one.id for one in newer]}
        third.hub._streams.clear()
        assert {one.id for one in await fourth.hub.everywhere(TENANT)} == {one.id for one in newer}


async def test_a_list_fits_into_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of streams with so many words that they would not, the newest are told."""
    monkeypatch.setattr("gateway.relay.neighbours.MOST_OCTETS", 20_000)
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        streams = []
        for _ in range(3):
            two.time.at += 1.0
            streams.append(await there.hub.create(Order(BUYER, song(lyrics="é" * 1500))))
        listed = await here.hub.everywhere(TENANT)
        assert {one.id for one in listed} == {one.id for one in streams[1:]}
        assert len(await there.hub.everywhere(TENANT)) == 3, "its own it need not be told"


async def test_a_node_that_leaves_hands_over_what_it_keeps() -> None:
    """Its finished songs are copied, to all others in turn, and theirs when it has gone; nothing is lost on the way."""
    async with nodes(AudioDelta(SONG), Finished(0.5), number=3) as three:
        there, here, third = three
        streams = [await there.finish() for _ in range(4)]
        copy = await third.finish()
        await there.hear(copy.id)
        leaving = asyncio.ensure_future(there.hub.drain(1000.0))
        await until(lambda: [kind for _, _, kind in three.realm.letters].count("keep") == 4)
        await three.told()
        assert not leaving.done()
        await three.pass_by(4.0)
        await within(leaving)
        assert three.realm.logs.keys() == {key for key in three.realm.logs if key[0] != "n0"}
        await there.stop()
        three.realm.leave("n0")
        await three.pass_by(1.0)
        assert {three.realm.owners[stream.id] for stream in streams} == {"n1", "n2"}
        for stream in streams:
            for node in (here, third):
                heard = await node.hear(stream.id)
                await until(lambda: heard.ended)  # noqa: B023 - awaited right here
                assert heard.pipe.heard == SONG
                assert heard.pipe.outcome == stream.native.outcome
        assert three.realm.owners[copy.id] == "n2"


async def test_what_cannot_be_handed_over_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is there, or does not answer, or there is no time: the node leaves, and the log says what was lost."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        stream = await there.create()
        await until(lambda: stream.native.end > 0)
        await there.neighbours.hand_over(0.0)
        await within(there.neighbours.hand_over(1000.0))
        assert two.realm.letters == [], "it has not ended"
        await stream.stop()
        here.cluster.deaf.add("keep")
        with caplog.at_level(logging.WARNING):
            await within(there.neighbours.hand_over(1000.0))
        assert "stream.not_handed_over" in caplog.text
        assert caplog.records[-1].__dict__["fields"] == {"stream_id": stream.id, "code": "cluster_unavailable"}
        here.cluster.deaf.clear()
        await within(there.neighbours.hand_over(0.05), 10.0)
        assert len(two.realm.logs) == 1, "nobody has said yet that it is read"
        two.realm.kill("n1")
        await within(there.neighbours.hand_over(1000.0))


def test_a_sign_of_life_tells_who_listens_there() -> None:
    """One that says nothing, or what nobody understands, tells of nobody, and refuses no listener here."""
    assert crowds(letters.Crowds(listeners={TENANT: 3}).octets()) == {TENANT: 3}
    assert crowds(b"") == crowds(b"\xff\x00") == {}
