"""Tests of how the hub keeps house: what is forgotten and when, which slots are renewed, what listeners are told.

Invariant under test: what is forgotten is finished, unheard, and too old or the least recently heard; a slot is renewed
as long as its stream runs. The loop's clock is put forward, so nobody waits for a second to pass.
"""

import asyncio
import logging
from collections.abc import Callable

import pytest

from gateway.accounting import Traffic
from gateway.config.schema import Relay
from gateway.errors import RequestError
from gateway.model import AudioDelta, Finished
from tests.support.hub import SONG, House
from tests.support.relay import TENANT, Pipe, until, within


@pytest.fixture
def put_forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Makes the loop's timers fire as if so many seconds had passed; nobody waits for them."""

    def put(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time
        monkeypatch.setattr(loop, "time", lambda: before() + seconds)

    return put


async def turn(house: House, put_forward: Callable[[float], None]) -> None:
    """Lets the hub's keeper and its bookkeeper go round once."""
    rounds: list[str] = []
    forget, count = house.hub.forget, house.hub._count

    def forgotten() -> None:
        forget()
        rounds.append("kept")

    async def counted() -> None:
        await count()
        rounds.append("booked")

    # Forgetting is the first step of one's round, and what is behind it happens in the same turn of the loop; behind
    # the other's count there are leases, each in a task that needs another.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.hub, "forget", forgotten)
        patch.setattr(house.hub, "_count", counted)
        put_forward(1.01)
        await until(lambda: len(rounds) == 2)
        for _ in range(3):
            await asyncio.sleep(0)


async def test_old_streams_are_forgotten() -> None:
    """A finished stream goes when it is older than it is kept, unless somebody listens; one that runs never does."""
    gate = asyncio.Event()
    house = House(AudioDelta(SONG), gate, Finished(0.5), config=Relay(retain_seconds=100.0))
    async with house.hub:
        finished, heard, fresh = [await house.create() for _ in range(3)]
        gate.set()
        for stream in (finished, heard, fresh):
            await within(stream.wait())
        gate.clear()
        running = await house.create()
        await until(lambda: running.native.end > 0)
        stalled = house.attach(heard, Pipe(room=0))
        stalled.join()
        assert finished.finished_at is not None
        fresh.finished_at = finished.finished_at + 50.0
        house.time.at = finished.finished_at + 100.0
        house.hub.forget()
        assert list(house.hub.streams) == [finished, fresh, running, heard], "at the horizon it is still kept"
        house.time.at += 1.0
        house.hub.forget()
        assert list(house.hub.streams) == [fresh, running, heard]
        house.hub.detach(TENANT, stalled)
        house.hub.forget()
        assert list(house.hub.streams) == [fresh, running]
        with pytest.raises(RequestError):
            house.hub.get(TENANT, finished.id)
        assert [len(stream.native.retained) > 0 for stream in (finished, heard, fresh)] == [False, False, True], (
            "whoever still holds a stream that is forgotten holds no song with it"
        )


async def test_the_least_recently_heard_go_first() -> None:
    """Past the byte limit finished streams go until the rest fits: those not asked for longest, never one heard."""
    house = House(config=Relay(retain_bytes=2 * len(SONG)))
    async with house.hub:
        first, second, third, fourth = [await house.finish() for _ in range(4)]
        house.attach(second, Pipe(room=0)).join()
        house.attach(first)
        house.hub.forget()
        assert list(house.hub.streams) == [second, first]
        assert third not in house.hub.list(TENANT)
        assert fourth not in house.hub.list(TENANT)


async def test_what_is_heard_counts_in_the_memory() -> None:
    """A stream with listeners is kept and takes its part of the room, so the others go."""
    house = House(config=Relay(retain_bytes=len(SONG)))
    async with house.hub:
        heard, unheard = [await house.finish() for _ in range(2)]
        assert unheard.retained_bytes == len(SONG)
        house.attach(heard, Pipe(room=0)).join()
        house.hub.forget()
        assert list(house.hub.streams) == [heard]


async def test_a_running_stream_is_not_counted() -> None:
    """The byte limit is for finished streams: one that runs makes no other go."""
    gate = asyncio.Event()
    house = House(AudioDelta(SONG), gate, Finished(0.5), config=Relay(retain_bytes=len(SONG)))
    gate.set()
    async with house.hub:
        finished = await house.finish()
        gate.clear()
        running = await house.create()
        await until(lambda: running.native.end > 0)
        house.hub.forget()
        assert list(house.hub.streams) == [finished, running]


async def test_leases_are_renewed_while_streams_run(put_forward: Callable[[float], None]) -> None:
    """Three times a lease each running stream's slot is kept, also when the ledger fails for one; no finished one's."""
    gate = asyncio.Event()
    house = House(AudioDelta(SONG), gate, Finished(0.5), lease_seconds=60.0)
    gate.set()
    async with house.hub:
        await house.finish()
        gate.clear()
        running = [await house.create() for _ in range(2)]
        await until(lambda: all(stream.native.end > 0 for stream in running))
        house.now.at += 19.0
        await turn(house, put_forward)
        assert house.ledger.renewed == []
        house.now.at += 1.0
        house.ledger.fault = OSError("the store is away")
        await turn(house, put_forward)
        assert house.ledger.renewed == [stream.id for stream in running]
        house.ledger.fault = None
        await turn(house, put_forward)
        assert len(house.ledger.renewed) == 2
        house.now.at += 20.0
        await turn(house, put_forward)
        assert len(house.ledger.renewed) == 4


async def test_the_keeper_forgets_and_announces(put_forward: Callable[[float], None]) -> None:
    """Every second, without being asked, old streams go and listeners are told what is new."""
    house = House(AudioDelta(SONG), asyncio.Event(), config=Relay(retain_seconds=10.0))
    async with house.hub:
        cancelled, stream = await house.create(), await house.create()
        pipe = Pipe()
        house.attach(stream, pipe).join()
        await until(lambda: stream.native.end > 0)
        cancelled.cancel()
        await within(cancelled.wait())
        house.time.at += 11.0
        await turn(house, put_forward)
        assert list(house.hub.streams) == [stream]
        assert pipe.said[-1][0] == "news"


async def test_what_listeners_took_is_counted_every_second(
    put_forward: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    """For all streams in one go; while the ledger is away it stands in the log, and is told when it is back."""
    house = House(AudioDelta(SONG), asyncio.Event())
    async with house.hub:
        stream = await house.create()
        house.attach(stream, Pipe()).join()
        await until(lambda: stream.native.end > 0)
        house.now.at += 1.0
        await turn(house, put_forward)
        assert house.ledger.traffic == [Traffic(stream.id, 1.0, stream.renditions.egress)]
        house.ledger.fault = OSError("the disk is full")
        house.now.at += 1.0
        with caplog.at_level(logging.ERROR):
            await turn(house, put_forward)
        assert "ledger.traffic_failed" in caplog.text
        assert caplog.records[-1].__dict__["fields"] == {"streams": 1}
        house.ledger.fault = None
        house.now.at += 1.0
        await turn(house, put_forward)
        assert [one.listener_seconds for one in house.ledger.traffic] == [1.0, 2.0], "nothing is lost meanwhile"


async def test_a_bill_outlives_its_stream(put_forward: Callable[[float], None]) -> None:
    """What is kept no more is settled all the same, when the ledger is back."""
    house = House(lease_seconds=3.0, config=Relay(retain_seconds=1.0))
    async with house.hub:
        house.ledger.fault = OSError("the disk is full")
        stream = await house.create()
        await within(stream.wait())
        house.time.at += 10.0
        house.now.at += 1.0
        await turn(house, put_forward)
        assert not list(house.hub.streams)
        house.ledger.fault = None
        house.now.at += 1.0
        await turn(house, put_forward)
        assert stream.account.unsettled is None
        assert not house.hub._owing


async def test_a_bill_that_was_not_taken_is_offered_again(put_forward: Callable[[float], None]) -> None:
    """With each renewal of leases, until the ledger has it."""
    house = House(lease_seconds=3.0)
    async with house.hub:
        house.ledger.fault = OSError("the disk is full")
        stream = await house.create()
        await within(stream.wait())
        assert stream.account.unsettled is not None
        house.ledger.fault = None
        house.now.at += 1.0
        await turn(house, put_forward)
        assert stream.account.unsettled is None
