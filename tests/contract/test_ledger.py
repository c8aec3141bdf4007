"""What everybody may expect of the ledger, in memory, on SQLite and on Redis alike: one generation after the other.

Invariant under test: a reservation is checked against every limit at once and given back to the millisecond; what is
settled is settled once; a lease that ends returns its slot. Races are elsewhere.
It must not know a store: it asks as the hub and the doors do.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime

import pytest

from gateway.accounting import Grant, State, Traffic
from gateway.errors import RequestError
from gateway.model import Status
from gateway.quota.policy import Rules
from tests.support.ledger import (
    ACME,
    DAY,
    FORMS,
    FREE,
    MODEL,
    NOON,
    OTHER,
    Ledgers,
    Time,
    completed,
    ended,
    once,
    order,
    place_for,
    refused,
    row,
    some,
    stream,
    used,
)
from tests.support.redis import standing_redis

TENANT = ACME.tenant


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture(scope="module")
def redis_url(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as url:
        yield url


@pytest.fixture(params=(*FORMS, "standby"))
async def make(request: pytest.FixtureRequest, clock: Time) -> AsyncIterator[Ledgers]:
    """`await make(some(...))` is an open ledger with these limits."""
    ledgers = Ledgers(request.param, await place_for(request, request.param), clock)
    yield ledgers
    await ledgers.close()


# -- the life of a generation ------------------------------------------------------------------------------------------


async def test_from_the_door_to_the_bill(make: Ledgers, clock: Time) -> None:
    """An estimate is reserved, the provider's word is booked, the rest comes back, and the row tells all of it."""
    ledger = await make()
    assert await ledger.reserve(order(1)) == Grant(stream(1), 200.0)
    assert await used(ledger) == (1, 200.0)
    await ledger.begin(stream(1), "req-1")
    assert await row(ledger, 1) == ("running", 200.0, 0.0, 0.0)
    clock.at += 30
    assert await ledger.renew(stream(1), 28.5)
    clock.at += 30
    booked = await ledger.settle(stream(1), completed(57.1, 57.123))
    assert booked == await ledger.generation(TENANT, stream(1))
    assert booked is not None
    assert (booked.status, booked.reserved, booked.settled, booked.refunded) == (
        State.COMPLETED,
        200.0,
        57.123,
        142.877,
    )
    assert (booked.created_at, booked.finished_at, booked.received) == (NOON, NOON + 60, 57.1)
    assert (booked.tenant, booked.key_id, booked.model) == (TENANT, "key-1", MODEL)
    assert (booked.provider_request_id, booked.characters, booked.cost) == ("req-1", None, 1.14246)
    assert await used(ledger) == (0, 57.123)


@pytest.mark.parametrize(
    ("settlement", "seconds"),
    [
        (completed(50.0, 49.0), 49.0),
        (completed(50.0), 50.0),
        (completed(50.0, 0.0), 0.0),
        (ended(Status.FAILED, 12.3456, 200.0), 12.346),
        (ended(Status.CANCELLED, 7.0, 8.0), 7.0),
        (ended(Status.FAILED, 0.0), 0.0),
        (ended(Status.FAILED, -1.0), 0.0),
        (completed(0.0, 300.0), 300.0),
    ],
)
async def test_what_is_charged(make: Ledgers, settlement: object, seconds: float) -> None:
    """A whole song by the provider's word, else by what came; whatever failed by what came and nothing more."""
    ledger = await make()
    await ledger.reserve(order(1))
    await ledger.settle(stream(1), settlement)  # type: ignore[arg-type] # from the table
    refunded = max(0.0, 200.0 - seconds)
    assert await row(ledger, 1) == (settlement.status.value, 200.0, seconds, pytest.approx(refunded))  # type: ignore[attr-defined] # from the table
    assert await used(ledger) == (0, seconds)


async def test_a_bill_counts_once(make: Ledgers) -> None:
    """A second one, and a renewal or more sound after it, change nothing."""
    ledger = await make()
    await ledger.reserve(order(1))
    first = await ledger.settle(stream(1), completed(10.0))
    assert await ledger.settle(stream(1), ended(Status.FAILED, 99.0)) == first
    assert not await ledger.renew(stream(1), 99.0)
    assert await ledger.extend(stream(1), 99.0) == 0.0
    await ledger.withdraw(stream(1))
    assert await row(ledger, 1) == ("completed", 200.0, 10.0, 190.0)
    assert await used(ledger) == (0, 10.0)


async def test_what_was_never_reserved(make: Ledgers) -> None:
    """A bill without a reservation is nobody's, and nothing else is done for it either."""
    ledger = await make()
    assert await ledger.settle(stream(9), completed(5.0)) is None
    assert not await ledger.renew(stream(9), 1.0)
    assert await ledger.extend(stream(9), 1.0) == 0.0
    await ledger.begin(stream(9), "req")
    await ledger.withdraw(stream(9))
    await ledger.heard([Traffic(stream(9), 1.0, 100)])
    assert await ledger.generation(TENANT, stream(9)) is None
    assert await used(ledger) == (0, 0.0)


async def test_withdrawing(make: Ledgers, clock: Time) -> None:
    """What never began costs nothing, and its key may be used again; what has begun is left alone."""
    ledger = await make()
    await ledger.reserve(order(1, once=once("k")))
    await ledger.withdraw(stream(1))
    assert await row(ledger, 1) == ("cancelled", 200.0, 0.0, 200.0)
    assert await ledger.reserve(order(2, once=once("k", "another"))) == Grant(stream(2), 200.0)
    await ledger.begin(stream(2), None)
    await ledger.withdraw(stream(2))
    assert await used(ledger) == (1, 200.0)


async def test_characters(make: Ledgers) -> None:
    """Speech that is billed by text costs by text, and its sound counts for the budget all the same."""
    ledger = await make()
    await ledger.reserve(order(1, model="speech", estimate_seconds=6.0))
    booked = await ledger.settle(stream(1), completed(5.0, None, 120))
    assert booked is not None
    assert (booked.reserved, booked.settled, booked.characters, booked.cost) == (6.0, 5.0, 120, 0.012)


# -- leases ------------------------------------------------------------------------------------------------------------


async def test_a_lease_that_ends(make: Ledgers, clock: Time) -> None:
    """Slot and rest come back to the second; what was received by the last renewal is charged, and nothing more."""
    ledger = await make(some(concurrent_streams=1))
    await ledger.reserve(order(1))
    clock.at += 30
    await ledger.renew(stream(1), 12.5)
    clock.at += 59.999
    assert (await refused(ledger, 2))[0] == "concurrency_exceeded"
    assert await ledger.sweep() == 0
    clock.at += 0.001
    assert await ledger.sweep() == 1
    assert await ledger.sweep() == 0
    assert await row(ledger, 1) == ("expired", 200.0, 12.5, 187.5)
    one = await ledger.generation(TENANT, stream(1))
    assert one is not None
    assert (one.finished_at, one.cost) == (NOON + 90, 0.25)
    assert await used(ledger) == (0, 12.5)
    await ledger.reserve(order(2))
    # Its owner was only late: the truth is booked, once.
    await ledger.settle(stream(1), completed(60.0, 61.0))
    await ledger.settle(stream(1), completed(99.0))
    assert await row(ledger, 1) == ("completed", 200.0, 61.0, 139.0)
    assert await used(ledger) == (1, 261.0)


async def test_reserving_alone_ends_old_leases(make: Ledgers, clock: Time) -> None:
    """Nobody has to sweep for a slot to be free."""
    ledger = await make(some(concurrent_streams=1))
    await ledger.reserve(order(1))
    clock.at += 60
    await ledger.reserve(order(2))
    assert await row(ledger, 1) == ("expired", 200.0, 0.0, 200.0)


async def test_a_late_owner_takes_its_lease_up_again(make: Ledgers, clock: Time) -> None:
    """As after a clock that was put forward: if its slot and its seconds are still there."""
    ledger = await make(some(concurrent_streams=1, audio_seconds_per_day=450))
    await ledger.reserve(order(1))
    clock.at += 3600
    await ledger.sweep()
    await ledger.begin(stream(1), "req-late")
    assert await ledger.renew(stream(1), 20.0)
    assert await row(ledger, 1) == ("running", 200.0, 0.0, 0.0)
    assert await used(ledger) == (1, 200.0)
    clock.at += 60
    await ledger.reserve(order(2))
    assert not await ledger.renew(stream(1), 40.0)
    assert await ledger.extend(stream(1), 5.0) == 0.0
    assert await row(ledger, 1) == ("expired", 200.0, 40.0, 160.0)
    await ledger.settle(stream(2), completed(100.0, 300.0))
    assert not await ledger.renew(stream(1), 41.0)
    assert await used(ledger) == (0, 341.0)


async def test_a_clock_put_back_holds_nothing(make: Ledgers, clock: Time) -> None:
    """From the moment it is noticed a lease is good for a lease's time, and old starts do not count for hours."""
    ledger = await make(some(concurrent_streams=1, streams_per_minute=1))
    await ledger.reserve(order(1))
    clock.at -= 7200
    assert (await refused(ledger, 2))[0] == "concurrency_exceeded"
    clock.at += 59
    assert await ledger.sweep() == 0
    clock.at += 1
    await ledger.reserve(order(2))
    await ledger.settle(stream(2), completed(1.0))
    # A little back is no jump: the start still counts.
    clock.at -= 0.5
    assert (await refused(ledger, 3))[:2] == ("rate_exceeded", 60.5)


# -- estimates ---------------------------------------------------------------------------------------------------------


async def test_estimates_are_learned(make: Ledgers, clock: Time) -> None:
    """From the tenant's own last twenty of that model, else from everybody's, else from the rules."""
    ledger = await make()
    lengths = [900.0] * 5 + [float(seconds) for seconds in range(1, 21)]
    for number, seconds in enumerate(lengths):
        await ledger.reserve(order(number, OTHER))
        clock.at += 1
        await ledger.settle(stream(number), completed(seconds))
    await ledger.reserve(order(30, OTHER))
    await ledger.settle(stream(30), ended(Status.FAILED, 500.0))
    await ledger.reserve(order(31, OTHER))
    await ledger.settle(stream(31), completed(0.0))
    assert (await ledger.reserve(order(40, OTHER))).seconds == 18.0
    assert (await ledger.reserve(order(41))).seconds == 18.0
    assert (await ledger.reserve(order(42, model="another"))).seconds == 200.0
    await ledger.settle(stream(41), completed(55.0))
    assert (await ledger.reserve(order(43))).seconds == 55.0
    assert (await ledger.reserve(order(44, OTHER))).seconds == 18.0


# -- idempotency -------------------------------------------------------------------------------------------------------


async def test_the_same_request_twice(make: Ledgers, clock: Time) -> None:
    """The same stream, and nothing reserved for the second; another tenant's key is another key."""
    ledger = await make(some(concurrent_streams=1))
    assert await ledger.ordered(TENANT, once("k")) is None
    first = await ledger.reserve(order(1, once=once("k")))
    assert await ledger.ordered(TENANT, once("k")) == stream(1)
    assert await ledger.ordered(OTHER.tenant, once("k")) is None
    assert await ledger.reserve(order(2, once=once("k"))) == Grant(stream(1), 200.0, repeated=True)
    assert not first.repeated
    await ledger.settle(stream(1), completed(3.0))
    assert (await ledger.reserve(order(3, once=once("k")))).stream_id == stream(1)
    assert (await ledger.reserve(order(4, OTHER, once=once("k")))).stream_id == stream(4)
    assert await ledger.reserve(order(1)) == Grant(stream(1), 200.0, repeated=True)
    assert await used(ledger) == (0, 3.0)


async def test_another_request_under_the_same_key(make: Ledgers, clock: Time) -> None:
    """It is a conflict, for a day; a lease that ends does not change that."""
    ledger = await make()
    await ledger.reserve(order(1, once=once("k")))
    clock.at += DAY - 0.001
    for number in (2, 3):
        with pytest.raises(RequestError) as refusal:
            await ledger.reserve(order(number, once=once("k", "another song")))
        assert (refusal.value.code, refusal.value.param) == ("idempotency_conflict", "Idempotency-Key")
        with pytest.raises(RequestError, match="used for another request"):
            await ledger.ordered(TENANT, once("k", "another song"))
    clock.at += 0.001
    assert await ledger.ordered(TENANT, once("k", "another song")) is None
    assert (await ledger.reserve(order(4, once=once("k", "another song")))).stream_id == stream(4)


async def test_a_key_outlives_the_row(make: Ledgers, clock: Time) -> None:
    """Rows that are too old are dropped, and what is asked about them is unknown; sums of old days go with them."""
    ledger = await make(FREE, Rules(keep_days=32, idempotency_seconds=40 * DAY))
    await ledger.reserve(order(1, once=once("k")))
    await ledger.settle(stream(1), completed(3.0))
    await ledger.reserve(order(2))
    clock.at += 32 * DAY
    await ledger.sweep()
    assert await ledger.generation(TENANT, stream(1)) is not None
    clock.at += 1
    await ledger.sweep()
    assert await ledger.generation(TENANT, stream(1)) is None
    assert await ledger.reserve(order(3, once=once("k"))) == Grant(stream(1), 0.0, repeated=True)
    clock.at += 9 * DAY
    await ledger.sweep()
    assert (await ledger.reserve(order(3, once=once("k")))).stream_id == stream(3)


# -- usage -------------------------------------------------------------------------------------------------------------


async def test_usage(make: Ledgers, clock: Time) -> None:
    """Totals and rows of what was created in the span, running ones too, page by page and nobody else's."""
    ledger = await make()
    await ledger.reserve(order(99, OTHER))
    for number in range(5):
        await ledger.reserve(order(number))
        await ledger.settle(stream(number), completed(10.0 + number))
        clock.at += 10 * (number % 2)
    await ledger.reserve(order(5))
    await ledger.heard([Traffic(stream(0), 1.5, 100), Traffic(stream(5), 2.0, 50)])
    whole = await ledger.usage(TENANT, NOON, NOON + DAY)
    assert [one.stream_id for one in whole.page.generations] == [stream(number) for number in range(6)]
    assert whole.page.after is None
    totals = whole.totals
    assert (totals.reserved, totals.settled) == (200.0 + 10.0 + 11.0 + 12.0 + 13.0 + 14.0, 60.0)
    assert (totals.generations, totals.egress_bytes, totals.listener_seconds) == (6, 150, 3.5)
    assert totals.refunded == pytest.approx(sum(one.refunded for one in whole.page.generations))
    assert totals.cost == pytest.approx(60.0 * 0.02)
    part = await ledger.usage(TENANT, NOON, NOON + 20.0, limit=2)
    found, after = list(part.page.generations), part.page.after
    assert part.totals.generations == 4
    while after is not None:
        page = await ledger.generations(TENANT, NOON, NOON + 20.0, after, limit=1)
        found += page.generations
        after = page.after
    assert found == list(whole.page.generations[:4])
    nothing = await ledger.usage(TENANT, NOON + DAY, NOON + 2 * DAY)
    assert (nothing.totals.generations, nothing.totals.settled, list(nothing.page.generations)) == (0, 0.0, [])
    assert await ledger.generation(OTHER.tenant, stream(0)) is None


@pytest.mark.parametrize("after", ["", "soon", "-1:st", "²:st", "9" * 30])
async def test_a_page_that_nobody_gave(make: Ledgers, after: str) -> None:
    """It is the caller's mistake, and the ledger goes on."""
    ledger = await make()
    with pytest.raises(RequestError) as refusal:
        await ledger.generations(TENANT, NOON, NOON + 1, after)
    assert (refusal.value.code, refusal.value.param) == ("invalid_request", "after")
    await ledger.reserve(order(1))


async def test_what_is_left(make: Ledgers, clock: Time) -> None:
    """Each limit with what is used of it, when it turns over, and whether to warn."""
    ledger = await make(some(concurrent_streams=2, audio_seconds_per_day=250, egress_bytes_per_day=100))
    await ledger.reserve(order(1))
    left = await ledger.remaining(TENANT)
    assert (left.concurrent_streams.remaining, left.concurrent_streams.low) == (1.0, False)
    day = left.audio_seconds_per_day
    assert (day.limit, day.used, day.remaining, day.low, day.resets_at) == (250, 200.0, 50.0, True, NOON + DAY / 2)
    month = left.audio_seconds_per_month
    assert (month.used, month.remaining, month.low) == (200.0, None, False)
    assert month.resets_at == datetime(2026, 4, 1, tzinfo=UTC).timestamp()
    await ledger.heard([Traffic(stream(1), 1.0, 150)])
    assert (await ledger.remaining(TENANT)).egress_bytes_per_day.remaining == 0.0


async def test_limits_are_looked_up_each_time(make: Ledgers) -> None:
    """A tenant whose limits change feels it at once."""
    now = {"limits": some(concurrent_streams=1)}
    ledger = await make(lambda _: now["limits"])
    await ledger.reserve(order(1))
    assert (await refused(ledger, 2))[0] == "concurrency_exceeded"
    now["limits"] = some(concurrent_streams=2)
    await ledger.reserve(order(2))


async def test_closing_twice(make: Ledgers) -> None:
    """The second time does nothing."""
    ledger = await make()
    await ledger.close()
    await ledger.close()
