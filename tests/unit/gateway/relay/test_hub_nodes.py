"""Tests of a hub that is one of several: its round, what it has others do for it, and how it stops beside them.

Invariant under test: work that breaks ends nothing else, and a hub that has ended begins none.
Two hubs share a played cluster.
"""

import asyncio
import logging

import pytest

from gateway.config.schema import Limits, Relay
from gateway.model import AudioDelta, Finished, StreamId
from gateway.relay.listener import OnLag
from gateway.relay.since import FromStart
from tests.support.hub import SONG, House
from tests.support.nodes import nodes
from tests.support.realm import FakeCluster, Realm
from tests.support.relay import TENANT, Pipe, until, within


async def test_nobody_needs_to_be_asked_about_what_is_here() -> None:
    """Its own streams, those it has taken over, and all where there are no other nodes."""
    house = House()
    async with house.hub:
        assert house.hub.owns("st_any")
        stream = await house.finish()
        assert await house.hub.find(TENANT, stream.id) is stream
        assert await house.hub.everywhere(TENANT) == [stream]
    async with nodes(AudioDelta(SONG), Finished(0.5)) as two:
        there, here = two
        stream = await there.finish()
        heard = await here.hear(stream.id)
        await until(lambda: heard.ended)
        assert (there.hub.owns(stream.id), here.hub.owns(stream.id), here.hub.owns("st_any")) == (True, False, False)
        assert here.hub.list(TENANT) == []
        two.realm.kill("n0")
        await two.pass_by(1.0)
        assert here.hub.owns(stream.id)


async def test_other_nodes_are_told_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the keeper, in its round."""
    realm = Realm()
    house = House(cluster=FakeCluster(realm, "n0"))
    rounds: list[None] = []
    assert house.hub.neighbours is not None
    monkeypatch.setattr(house.hub.neighbours, "tick", lambda: rounds.append(None))
    async with house.hub:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        before = loop.time
        monkeypatch.setattr(loop, "time", lambda: before() + 1.01)
        await until(lambda: rounds != [])


async def test_work_that_breaks_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """It stands in the log; streams and listeners go on, and so does the hub."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        there, here = two
        stream = await there.create()
        heard = await here.hear(stream.id)

        async def broken() -> None:
            raise RuntimeError("a fault of ours")

        for node in two:
            node.hub._spawn(broken(), "a broken thing")
        with caplog.at_level(logging.ERROR):
            await until(lambda: not here.hub._workers)
        broke = [record.__dict__["fields"] for record in caplog.records if record.message == "task.broke"]
        assert broke == [{"task": "a broken thing"}] * 2
        assert not stream.status.final
        assert not heard.ended


async def test_a_hub_that_has_ended_begins_nothing() -> None:
    """What still comes from others finds it closed, and what it was at is over."""
    async with nodes(AudioDelta(SONG), asyncio.Event()) as two:
        _, here = two

        async def long() -> None:
            await asyncio.Event().wait()

        here.hub._spawn(long(), "a long thing")
        await asyncio.sleep(0)
        await within(here.stop())
        await asyncio.sleep(0)  # it is over; that it is forgotten may come a turn later, as on Python 3.13
        assert not here.hub._workers
        begun: list[None] = []

        async def late() -> None:
            begun.append(None)

        here.hub._spawn(late(), "a late thing")
        await asyncio.sleep(0)
        assert begun == []


async def test_a_place_that_is_held_is_taken_without_a_check() -> None:
    """Also where others have come meanwhile, here or on other nodes."""
    async with nodes(AudioDelta(SONG), asyncio.Event(), limits=Limits(listeners=1)) as (there, here):
        stream = await there.create()
        with there.hub.place(TENANT) as place:
            assert here.neighbours.crowd(TENANT) == 1, "what is held counts on all nodes"
            listener, _ = there.hub.attach(stream, stream.native, Pipe(), FromStart(), OnLag.COMPLETE, place)
            listener.join()
        assert there.neighbours.says() == here.cluster.peers["n0"]
        assert here.neighbours.crowd(TENANT) == 1
        there.hub.detach(TENANT, listener)
        assert here.neighbours.crowd(TENANT) == 0


async def test_copies_are_let_go_as_songs_are() -> None:
    """Past their time, and past the room there is; their owner keeps its own."""
    async with nodes(config=Relay(retain_bytes=len(SONG))) as two:
        there, here = two
        streams: list[StreamId] = []
        for _ in range(2):
            stream = await there.finish()
            streams.append(stream.id)
            heard = await here.hear(stream.id)
            await until(lambda: heard.ended)  # noqa: B023 - awaited right here
        here.hub.forget()
        assert [stream.id for stream in here.hub.streams] == streams[1:]
        assert list(two.realm.owners) == streams
        two.time.at += 4000.0
        here.hub.forget()
        assert list(here.hub.streams) == []
        await two.told()
        assert list(two.realm.owners) == streams
