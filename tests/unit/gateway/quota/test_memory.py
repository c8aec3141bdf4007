"""Tests of the ledger in memory: slots that cannot be oversold or lost, and bills that count once.

Invariant under test: a slot belongs to a stream's id and to time; parallel reservations never pass the limit. It must
not know what a stream is.
"""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema import Limits
from gateway.errors import LimitError
from gateway.model import StreamId, TenantId
from gateway.quota.memory import MemoryLedger
from tests.support.relay import TENANT, Clock

OTHER = TenantId("other")


def new_ledger(slots: int, clock: Clock | None = None, lease_seconds: float = 60.0) -> MemoryLedger:
    limits = Limits(concurrent_streams=slots)
    return MemoryLedger(lambda _: limits, lease_seconds=lease_seconds, now=clock or Clock())


def stream(number: int) -> StreamId:
    return StreamId(f"st_{number}")


@pytest.mark.parametrize(("wanted", "slots"), [(20, 7), (3, 5), (1, 1)])
async def test_parallel_reservations_never_pass_the_limit(wanted: int, slots: int) -> None:
    """Of many who ask at once exactly as many as there is room for get a slot, the others the refusal."""
    ledger = new_ledger(slots)
    asked = [ledger.reserve(TENANT, stream(number)) for number in range(wanted)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert answers.count(None) == min(wanted, slots) == ledger.held(TENANT)
    refusals = [answer for answer in answers if answer is not None]
    assert all(isinstance(refusal, LimitError) for refusal in refusals)


async def test_the_refusal_says_what_to_do() -> None:
    """It names the number, invites to try again, and says when."""
    ledger = new_ledger(1)
    await ledger.reserve(TENANT, stream(1))
    with pytest.raises(LimitError, match="All 1 streams") as refusal:
        await ledger.reserve(TENANT, stream(2))
    assert (refusal.value.code, refusal.value.retry_after) == ("concurrency_exceeded", 5.0)


async def test_tenants_do_not_share() -> None:
    """One tenant's streams take no slot of another's."""
    ledger = new_ledger(1)
    await ledger.reserve(TENANT, stream(1))
    await ledger.reserve(OTHER, stream(2))
    assert (ledger.held(TENANT), ledger.held(OTHER)) == (1, 1)


async def test_no_limit_is_no_limit() -> None:
    """0 grants every slot, and they are counted all the same."""
    ledger = new_ledger(0)
    for number in range(30):
        await ledger.reserve(TENANT, stream(number))
    assert ledger.held(TENANT) == 30


async def test_settling_frees_the_slot_and_counts_once() -> None:
    """The seconds are booked to the tenant with the first bill; a second one changes nothing."""
    ledger = new_ledger(1)
    await ledger.reserve(TENANT, stream(1))
    await ledger.settle(stream(1), 12.5)
    await ledger.settle(stream(1), 12.5)
    assert (ledger.held(TENANT), ledger.settled_seconds(TENANT)) == (0, 12.5)
    await ledger.reserve(TENANT, stream(2))
    await ledger.settle(stream(2), 2.5)
    assert (ledger.settled_seconds(TENANT), ledger.settled_seconds(OTHER)) == (15.0, 0.0)


async def test_settling_what_was_never_reserved() -> None:
    """A bill without a slot is nobody's."""
    ledger = new_ledger(1)
    await ledger.settle(stream(9), 5.0)
    assert ledger.settled_seconds(TENANT) == 0.0


async def test_an_expired_lease_frees_its_slot() -> None:
    """A slot whose owner has not been heard of for the time of a lease is free again, and not a moment before."""
    clock = Clock()
    ledger = new_ledger(1, clock, lease_seconds=60.0)
    await ledger.reserve(TENANT, stream(1))
    clock.at += 59.9
    with pytest.raises(LimitError):
        await ledger.reserve(TENANT, stream(2))
    clock.at += 0.1
    await ledger.reserve(TENANT, stream(2))
    assert ledger.held(TENANT) == 1


async def test_renewing_keeps_the_slot() -> None:
    """Each renewal is good for a whole lease from then on."""
    clock = Clock()
    ledger = new_ledger(1, clock, lease_seconds=60.0)
    await ledger.reserve(TENANT, stream(1))
    for _ in range(5):
        clock.at += 40.0
        await ledger.renew(stream(1))
        assert ledger.held(TENANT) == 1


async def test_what_has_expired_is_gone_for_good() -> None:
    """Renewing does not bring back a slot that another may have taken meanwhile, nor make one of nothing."""
    clock = Clock()
    ledger = new_ledger(1, clock, lease_seconds=60.0)
    await ledger.reserve(TENANT, stream(1))
    clock.at += 60.0
    await ledger.renew(stream(1))
    await ledger.renew(stream(9))
    assert ledger.held(TENANT) == 0


@given(st.lists(st.tuples(st.sampled_from(["reserve", "renew", "settle", "wait"]), st.integers(0, 5)), max_size=60))
def test_any_order_of_calls(calls: list[tuple[str, int]]) -> None:
    """Slots held are always the streams reserved, not settled and not silent for a lease: never more than the limit."""
    clock = Clock()
    ledger = new_ledger(3, clock, lease_seconds=10.0)
    expires: dict[StreamId, float] = {}

    async def play() -> None:
        for what, number in calls:
            one = stream(number)
            if what == "wait":
                clock.at += number
            elif what == "settle":
                await ledger.settle(one, 1.0)
                expires.pop(one, None)
            elif what == "renew":
                await ledger.renew(one)
                if expires.get(one, 0.0) > clock.at:
                    expires[one] = clock.at + 10.0
            elif one not in expires:
                full = sum(end > clock.at for end in expires.values()) >= 3
                try:
                    await ledger.reserve(TENANT, one)
                except LimitError:
                    assert full
                else:
                    assert not full
                    expires[one] = clock.at + 10.0
            assert ledger.held(TENANT) == sum(end > clock.at for end in expires.values()) <= 3

    asyncio.run(play())
