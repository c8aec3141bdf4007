"""Tests of streams that several buyers share, and of those that everybody has left.

Invariant under test: of many who order the same song at once one pays, and nobody is given a song that is not whole
from its first sound, or another tenant's.
"""

import asyncio

import pytest

from gateway.accounting import Grant, Once, Reservation
from gateway.config.schema import Relay
from gateway.errors import LimitError
from gateway.model import AudioDelta, Principal, Status, StreamId
from gateway.relay.order import Order, RepeatedOrderError
from tests.support.hub import OTHER, SONG, House
from tests.support.relay import BUYER, TENANT, Pipe, song, until, within


@pytest.fixture
def house() -> House:
    return House(AudioDelta(SONG), asyncio.Event())


async def test_the_same_song_is_bought_once(house: House) -> None:
    """While it runs, and when it is whole; another song, and another tenant's order of the same, are others."""
    async with house.hub:
        first, there = await house.hub.order(Order(BUYER, song(), share=True))
        assert not there
        assert await house.hub.order(Order(BUYER, song(), share=True)) == (first, True)
        other, there = await house.hub.order(Order(BUYER, song(prompt="Another song"), share=True))
        assert (there, other is first) == (False, False)
        theirs, there = await house.hub.order(Order(Principal(OTHER, "k"), song(), share=True))
        assert (there, theirs is first) == (False, False)
        assert len(house.ledger.reserved) == 3


async def test_a_song_that_was_bought_alone_can_be_shared(house: House) -> None:
    """Whoever orders without sharing has a stream of its own, and the newest is the one that others are given."""
    async with house.hub:
        first, second = await house.create(), await house.create()
        assert first is not second
        assert await house.hub.order(Order(BUYER, song(), share=True)) == (second, True)


async def test_of_many_at_once_one_pays(house: House) -> None:
    """The others wait for its order and are given the same stream; nothing is left of the wait."""
    async with house.hub:
        orders = [asyncio.create_task(house.hub.order(Order(BUYER, song(), share=True))) for _ in range(50)]
        answers = [await within(order) for order in orders]
        assert len({stream.id for stream, _ in answers}) == 1
        assert sum(not there for _, there in answers) == 1
        assert len(house.ledger.reserved) == 1
        assert not house.hub._songs._ordering


async def test_who_waited_for_an_order_that_was_refused_orders(house: House) -> None:
    """Each is refused by itself, and when there is room again the next has it."""
    house.ledger.refusal = LimitError("concurrency_exceeded", "No.")
    async with house.hub:
        orders = [asyncio.create_task(house.hub.order(Order(BUYER, song(), share=True))) for _ in range(3)]
        for order in orders:
            with pytest.raises(LimitError):
                await within(order)
        house.ledger.refusal = None
        _, there = await house.hub.order(Order(BUYER, song(), share=True))
        assert not there


async def test_who_orders_first_and_leaves_holds_nobody_up(house: House) -> None:
    """The next of those who waited orders in its place."""
    gate = asyncio.Event()
    reserve = house.ledger.reserve

    async def slowly(reservation: Reservation) -> Grant:
        await gate.wait()
        return await reserve(reservation)

    house.ledger.reserve = slowly  # type: ignore[method-assign] # the same, slower
    async with house.hub:
        first, second = (asyncio.create_task(house.hub.order(Order(BUYER, song(), share=True))) for _ in range(2))
        await until(lambda: len(house.hub._songs._ordering) == 1)
        first.cancel()
        await until(first.cancelled)
        gate.set()
        _, there = await within(second)
        assert not there


@pytest.mark.parametrize("how", ["cancelled", "cancelling", "trimmed", "forgotten"])
async def test_what_is_not_whole_is_bought_again(how: str) -> None:
    """One that was cancelled, or whose first sound is no longer kept."""
    config = Relay(max_stream_bytes=1000) if how == "trimmed" else Relay(retain_seconds=10.0)
    house = House(AudioDelta(SONG * 3), asyncio.Event(), config=config)
    async with house.hub:
        first, _ = await house.hub.order(Order(BUYER, song(), share=True))
        await until(lambda: first.native.end > 1)
        if how != "trimmed":
            first.cancel()
        if how != "cancelling":
            await until(lambda: first.status is Status.CANCELLED or how == "trimmed")
        if how == "forgotten":
            house.time.at += 60.0
            house.hub.forget()
            assert not house.hub._songs._newest
        second, there = await house.hub.order(Order(BUYER, song(), share=True))
        assert (there, second is first) == (False, False)


async def test_an_older_stream_that_goes_takes_no_newer_one_along() -> None:
    """The newest of a song stays known when another of it is forgotten."""
    house = House(config=Relay(retain_seconds=10.0))
    async with house.hub:
        await house.finish()
        house.time.at += 8.0
        second = await house.finish()
        house.time.at += 5.0
        house.hub.forget()
        assert list(house.hub.streams) == [second]
        assert await house.hub.order(Order(BUYER, song(), share=True)) == (second, True)


async def test_a_stream_that_everybody_has_left_is_cancelled(house: House) -> None:
    """When its grace is over, and what came of it is charged; one with patience goes on."""
    async with house.hub:
        brief = await house.hub.create(Order(BUYER, song(), grace=5.0))
        patient = await house.create()
        for stream in (brief, patient):
            pipe = Pipe()
            listener = house.attach(stream, pipe)
            listener.join()
            await until(lambda: stream.native.end > 0)  # noqa: B023 - awaited right here
            house.hub.detach(TENANT, listener)
            stream.tick()
        house.now.at += 4.0
        brief.tick()
        assert brief.status is Status.RUNNING
        house.now.at += 1.0
        for stream in (brief, patient):
            stream.tick()
        await within(brief.wait())
        assert (brief.status, patient.status) == (Status.CANCELLED, Status.RUNNING)
        assert brief.error is not None
        assert brief.error.code == "cancelled"
        assert house.ledger.settled == [(brief.id, brief.received_seconds)]


async def test_who_shares_a_stream_brings_patience(house: House) -> None:
    """It goes on as long as the more patient of its buyers wants."""
    async with house.hub:
        stream, _ = await house.hub.order(Order(BUYER, song(), share=True, grace=0.0))
        await house.hub.order(Order(BUYER, song(), share=True, grace=None))
        listener = house.attach(stream, Pipe())
        listener.join()
        house.hub.detach(TENANT, listener)
        stream.tick()
        assert stream.shareable


async def test_an_order_that_is_repeated_buys_nothing(house: House) -> None:
    """It is the stream of the first; one that is no longer kept is named, and the gateway pays for no other."""
    async with house.hub:
        first = await house.create()
        house.ledger.repeats = first.id
        once = Once("key-1", "hash")
        assert await house.hub.order(Order(BUYER, song(), once=once)) == (first, True)
        house.ledger.repeats = StreamId("st_gone")
        with pytest.raises(RepeatedOrderError) as told:
            await house.hub.order(Order(BUYER, song(), once=once))
        assert (told.value.stream_id, told.value.code) == ("st_gone", "stream_not_found")
        assert len(house.ledger.reserved) == 1
