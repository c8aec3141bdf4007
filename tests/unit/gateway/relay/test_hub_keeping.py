"""Tests of how the hub keeps house: what is forgotten and when, and what listeners are told.

Invariant under test: what is forgotten is finished, unheard, and too old or the least recently heard.
The loop's clock is put forward, so nobody waits for a second to pass.
"""

import asyncio
from collections.abc import Callable

import pytest

from gateway.config.schema import Relay
from gateway.errors import RequestError
from gateway.model import AudioDelta, Finished
from tests.support.hub import SONG, House, turn
from tests.support.relay import TENANT, Pipe, until, within


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
