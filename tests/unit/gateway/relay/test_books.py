"""Tests of what the ledger is told beside the songs: slots that are kept, what listeners took, bills that come late.

Invariant under test: a slot is renewed as long as its stream runs, and nothing is lost while the ledger is away.
The loop's clock is put forward, so nobody waits for a second to pass.
"""

import asyncio
import logging
from collections.abc import Callable

import pytest

from gateway.accounting import Traffic
from gateway.config.schema import Relay
from gateway.model import AudioDelta, Finished
from tests.support.hub import SONG, House, turn
from tests.support.relay import Pipe, until, within


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
        assert not house.hub._books.owing


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


async def test_what_was_taken_last_is_told_of_a_stream_that_is_kept_no_more() -> None:
    """A part of it may go out, and the stream with it, before anybody has counted."""
    house = House(AudioDelta(SONG), Finished(0.5), config=Relay(retain_seconds=1.0))
    async with house.hub:
        stream = await house.finish()
        tally = stream.native.tally("http")
        tally.chunks, tally.size = 1, 500
        stream.native.flush_tallies()
        house.time.at += 10.0
        house.hub.forget()
        assert not list(house.hub.streams)
        await house.hub._books.count()
        assert house.ledger.traffic == [Traffic(stream.id, 0.0, 500)]
