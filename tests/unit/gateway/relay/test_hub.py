"""Tests of the hub: whose a stream is, how many may listen, and how the gateway stops.

Invariant under test: a stream exists for its tenant alone, limits count who is there, and a hub that is left has ended
and settled everything. How long streams and slots are kept is tested in test_hub_keeping.py.
"""

import asyncio

import pytest

from gateway.accounting import Grant, Reservation
from gateway.config.schema import Limits, Relay
from gateway.errors import LimitError, RequestError, ServiceError
from gateway.model import AudioDelta, Finished, Position, Status
from gateway.relay.listener import OnLag
from gateway.relay.since import FromStart, SecondsAgo, Since
from tests.support.hub import OTHER, SONG, House
from tests.support.relay import TENANT, Pipe, song, until, within


async def test_creating_reserves_and_starts() -> None:
    """The slot is taken under the stream's own id before anything is bought, and the stream runs by itself."""
    house = House()
    async with house.hub:
        stream = await house.create()
        assert house.ledger.reserved == [(TENANT, stream.id)]
        assert stream.id == f"st_{1:032x}"
        assert (stream.native.rendition.number, stream.native.rendition.epoch) == (2, 3)
        assert (stream.warnings, stream.created_at) == (["a warning"], 5001.0)
        await within(stream.wait())
        assert (stream.status, house.source.songs) == (Status.COMPLETED, [song()])


async def test_a_refusal_buys_nothing() -> None:
    """Without a slot there is no stream and no call upstream, and the metrics know who was refused and why."""
    house = House()
    house.ledger.refusal = LimitError("concurrency_exceeded", "All are taken.")
    async with house.hub:
        with pytest.raises(LimitError):
            await house.create()
        assert list(house.hub.streams) == []
    assert house.source.songs == []
    labels = {"tenant": TENANT, "reason": "concurrency_exceeded"}
    assert house.recorder.registry.get_sample_value("wavegate_quota_rejections_total", labels) == 1.0


async def test_money_is_told_of_when_it_is_reserved_settled_or_refused() -> None:
    """Once when a song begins and once when it has its bill; and when there is none left."""
    house = House()
    told: list[tuple[str, int]] = []
    house.hub._on_money = lambda tenant: told.append((tenant, len(house.ledger.settled)))
    async with house.hub:
        await house.finish()
        await until(lambda: len(told) == 2)
        house.ledger.refusal = LimitError("quota_exceeded", "All is used.")
        with pytest.raises(LimitError):
            await house.create(OTHER)
    assert [tenant for tenant, _ in told] == [TENANT, TENANT, OTHER]
    assert told[1][1] == 1, "the bill was settled when it was told"


async def test_another_tenants_stream_does_not_exist() -> None:
    """It is refused in the same words as one that never was, and stands in no list but its own tenant's."""
    house = House()
    async with house.hub:
        mine, theirs = await house.finish(), await house.finish(OTHER)
        assert house.hub.get(TENANT, mine.id) is mine
        refusals = []
        for stream_id in (theirs.id, "st_nothing", ""):
            with pytest.raises(RequestError) as refusal:
                house.hub.get(TENANT, stream_id)
            refusals.append(refusal.value.body())
        assert refusals[0] == refusals[1] == refusals[2]
        assert (refusals[0]["code"], refusals[0]["param"]) == ("stream_not_found", "stream_id")
        assert house.hub.list(TENANT) == [mine]
        assert list(house.hub.streams) == [mine, theirs]


async def test_the_newest_come_first() -> None:
    """A tenant's list is in the order of creation, whatever was heard since."""
    house = House()
    async with house.hub:
        streams = [await house.finish() for _ in range(3)]
        house.attach(streams[0])
        assert house.hub.list(TENANT) == streams[::-1]


async def test_attaching_says_where_and_whether_a_resume_is_whole() -> None:
    """The listener stands where it wished and has not joined yet; only a resume is told whether it is whole."""
    house = House()
    async with house.hub:
        stream = await house.finish()
        native, epoch = stream.native, stream.native.rendition.epoch
        wishes: list[tuple[Since, int, bool | None]] = [
            (FromStart(), 0, None),
            (SecondsAgo(0.0), native.end, None),
            (Position(epoch, 1), 1, True),
            (Position(epoch + 1, 1), 0, False),
        ]
        for since, seq, whole in wishes:
            pipe = Pipe()
            listener, recovered = house.hub.attach(stream, native, pipe, since, OnLag.LIVE)
            assert (listener.position, recovered) == (Position(epoch, seq), whole)
            assert (listener.on_lag, listener.live_lag, pipe.said) == (OnLag.LIVE, Relay().live_lag, [])


async def test_listeners_are_limited_by_those_who_are_there() -> None:
    """The limit is over all streams of a tenant and of no other; a detached listener frees its place."""
    house = House(limits=Limits(listeners=2))
    async with house.hub:
        one, two, theirs = await house.finish(), await house.finish(), await house.finish(OTHER)
        first = house.attach(one)
        house.attach(two)
        house.attach(theirs)
        with pytest.raises(LimitError) as refusal:
            house.attach(one)
        assert refusal.value.code == "concurrency_exceeded"
        house.hub.detach(TENANT, first)
        house.hub.detach(TENANT, first)
        house.attach(one)
        with pytest.raises(LimitError):
            house.attach(two)
    labels = {"tenant": TENANT, "reason": "listeners"}
    assert house.recorder.registry.get_sample_value("wavegate_quota_rejections_total", labels) == 2.0


async def test_no_limit_is_no_limit() -> None:
    """0 lets everybody in, and a tenant without listeners may be detached from."""
    house = House(limits=Limits(listeners=0))
    async with house.hub:
        stream = await house.finish()
        listeners = [house.attach(stream) for _ in range(50)]
        house.hub.detach(OTHER, listeners[0])


async def test_detaching_leaves_the_channel() -> None:
    """A detached listener is sent nothing more; the stream goes on."""
    house = House(AudioDelta(SONG), asyncio.Event())
    async with house.hub:
        stream = await house.create()
        listener = house.attach(stream)
        listener.join()
        assert stream.listeners == 1
        house.hub.detach(TENANT, listener)
        assert (stream.listeners, house.hub.running) == (0, 1)


async def test_draining_takes_nothing_new_and_waits() -> None:
    """What runs may end by itself, and the wait is over when it has."""
    gate = asyncio.Event()
    house = House(AudioDelta(SONG), gate, Finished(0.5))
    async with house.hub:
        stream = await house.create()
        await until(lambda: stream.native.end > 0)
        draining = asyncio.create_task(house.hub.drain(50.0))
        await asyncio.sleep(0)
        with pytest.raises(ServiceError) as refusal:
            await house.create()
        assert (refusal.value.code, refusal.value.retry_after) == ("going_away", 1.0)
        assert not draining.done()
        gate.set()
        await within(draining)
        assert stream.status is Status.COMPLETED
    assert len(house.ledger.reserved) == 1


async def test_draining_does_not_wait_for_ever() -> None:
    """After its time it returns; the stream that is late runs on until the hub is left, which ends it as going away."""
    house = House(AudioDelta(SONG), asyncio.Event())
    pipe = Pipe()
    async with house.hub:
        stream = await house.create()
        house.attach(stream, pipe).join()
        await until(lambda: stream.native.end > 0)
        await within(house.hub.drain(0.01))
        assert (stream.status, house.hub.running) == (Status.RUNNING, 1)
    assert stream.status is Status.FAILED
    assert pipe.said[-1] == ("ended", "going_away")


async def test_draining_without_streams() -> None:
    """There is nothing to wait for when nothing runs."""
    house = House()
    async with house.hub:
        await house.finish()
        await within(house.hub.drain(50.0), seconds=5.0)
        assert house.hub.running == 0


async def test_leaving_ends_and_settles_everything() -> None:
    """A hub that is left has told every listener, taken every bill and let every upstream go."""
    house = House(AudioDelta(SONG), asyncio.Event())
    pipes = [Pipe(), Pipe(), Pipe()]
    async with house.hub:
        streams = [await house.create() for _ in pipes]
        for stream, pipe in zip(streams, pipes, strict=True):
            house.attach(stream, pipe).join()
        await until(lambda: all(stream.native.end > 0 for stream in streams))
    assert [pipe.said[-1] for pipe in pipes] == [("ended", "going_away")] * 3
    assert [pipe.heard for pipe in pipes] == [SONG] * 3
    assert sorted(stream_id for stream_id, _ in house.ledger.settled) == sorted(stream.id for stream in streams)
    assert house.source.let_go == 3


async def test_leaving_at_once_ends_what_has_not_begun() -> None:
    """A stream that was created a moment ago is settled too, though it never ran."""
    house = House()
    async with house.hub:
        stream = await house.create()
    assert stream.error is not None
    assert (stream.error.code, house.source.songs) == ("going_away", [])
    assert house.ledger.settled == [(stream.id, 0.0)]


async def test_a_stream_that_was_being_reserved_when_the_hub_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that is granted only after the hub began to stop buys nothing."""
    house = House(AudioDelta(SONG), asyncio.Event())
    granted = asyncio.Event()
    reserve = house.ledger.reserve

    async def slowly(reservation: Reservation) -> Grant:
        await granted.wait()
        return await reserve(reservation)

    monkeypatch.setattr(house.ledger, "reserve", slowly)
    async with house.hub:
        creating = asyncio.create_task(house.create())
        await asyncio.sleep(0)
        await within(house.hub.drain(0.0))
        granted.set()
        with pytest.raises(ServiceError) as refusal:
            await within(creating)
        assert refusal.value.code == "going_away"
    assert house.ledger.withdrawn == [stream_id for _, stream_id in house.ledger.reserved]
    assert house.source.songs == []
