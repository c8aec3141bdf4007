"""What everybody may expect of the ledger's limits, in memory, on SQLite and on Redis alike.

Invariant under test: each limit refuses by its name, until the exact moment at which it gives way; a refusal takes
nothing, and a song that outgrows its reservation gets what is left and no more.
It must not know a store: it asks as the hub does.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime

import pytest

from gateway.accounting import Grant, Traffic
from gateway.errors import LimitError
from gateway.model import Status
from tests.support.ledger import (
    ACME,
    DAY,
    FORMS,
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


@pytest.fixture(params=FORMS)
async def make(request: pytest.FixtureRequest, clock: Time) -> AsyncIterator[Ledgers]:
    """`await make(some(...))` is an open ledger with these limits."""
    ledgers = Ledgers(request.param, await place_for(request, request.param), clock)
    yield ledgers
    await ledgers.close()


async def test_slots(make: Ledgers) -> None:
    """As many as there are; tenants do not share; a bill makes room."""
    ledger = await make(some(concurrent_streams=2))
    for number in (1, 2):
        await ledger.reserve(order(number))
    assert (await refused(ledger, 3))[:2] == ("concurrency_exceeded", 5.0)
    await ledger.reserve(order(4, OTHER))
    await ledger.settle(stream(1), completed(1.0))
    await ledger.reserve(order(3))
    assert await used(ledger) == (2, 202.0)


async def test_starts_a_minute(make: Ledgers, clock: Time) -> None:
    """The time to wait is exact: a microsecond before, it is still refused; also when all of them have ended."""
    ledger = await make(some(streams_per_minute=2))
    for number in (1, 2):
        await ledger.reserve(order(number))
        await ledger.settle(stream(number), completed(1.0))
        clock.at += 7.5
    code, after, sentence = await refused(ledger, 3)
    assert (code, after) == ("rate_exceeded", 45.0)
    assert "2 streams a minute" in sentence
    clock.at += 45.0 - 1e-6
    assert (await refused(ledger, 3))[1] == 0.001
    clock.at = NOON + 60.0
    await ledger.reserve(order(3))
    assert (await refused(ledger, 4))[1] == 7.5


@pytest.mark.parametrize(("name", "ends"), [("day", datetime(2026, 3, 4)), ("month", datetime(2026, 4, 1))])
async def test_seconds(make: Ledgers, clock: Time, name: str, ends: datetime) -> None:
    """Who has less left than the estimate gets the rest, who has less than the minimum waits until it turns over."""
    ledger = await make(some(**{f"audio_seconds_per_{name}": 415}))
    turnover = ends.replace(tzinfo=UTC).timestamp()
    await ledger.reserve(order(1))
    await ledger.reserve(order(2))
    assert await ledger.reserve(order(3)) == Grant(stream(3), 15.0, partial=True)
    code, after, sentence = await refused(ledger, 4)
    assert (code, after) == ("quota_exceeded", turnover - NOON)
    assert f"415 seconds of audio that this tenant may use a {name}" in sentence
    await ledger.settle(stream(3), ended(Status.FAILED, 5.001))
    assert (await refused(ledger, 4))[0] == "quota_exceeded"
    await ledger.settle(stream(2), completed(199.0))
    assert await ledger.reserve(order(4, estimate_seconds=3.0)) == Grant(stream(4), 3.0)
    clock.at = turnover - 1e-6
    await ledger.settle(stream(1), completed(200.0))
    await ledger.settle(stream(4), completed(10.999))
    assert (await refused(ledger, 5))[:2] == ("quota_exceeded", 0.001)
    clock.at = turnover
    assert await ledger.reserve(order(5)) == Grant(stream(5), 200.0)


async def test_what_cannot_be_ended_early_gets_all_or_nothing(make: Ledgers) -> None:
    """A file: taken for as long as a song of which nobody knows, whatever short ones were made to teach otherwise."""
    ledger = await make(some(audio_seconds_per_day=415))
    for number in range(1, 4):
        await ledger.reserve(order(number))
        await ledger.settle(stream(number), completed(1.0))
    assert await ledger.reserve(order(4)) == Grant(stream(4), 1.0)
    assert await ledger.reserve(order(5, whole=True)) == Grant(stream(5), 200.0)
    assert await ledger.reserve(order(6, whole=True, estimate_seconds=150.0)) == Grant(stream(6), 150.0)
    for more in ({}, {"estimate_seconds": 62.0}):
        with pytest.raises(LimitError):
            await ledger.reserve(order(7, whole=True, **more))
    assert await ledger.reserve(order(8, estimate_seconds=62.0)) == Grant(stream(8), 61.0, partial=True)


async def test_a_file_may_use_a_limit_that_is_smaller(make: Ledgers) -> None:
    """If nothing of it is used yet: a limit below what songs are taken for is no trap either."""
    ledger = await make(some(audio_seconds_per_day=50))
    assert await ledger.reserve(order(1, whole=True)) == Grant(stream(1), 50.0, partial=True)
    assert (await refused(ledger, 2))[0] == "quota_exceeded"


async def test_a_small_limit_can_be_used(make: Ledgers) -> None:
    """A limit below the minimum is no trap: it can be spent, and then it is spent."""
    ledger = await make(some(audio_seconds_per_day=5))
    assert await ledger.reserve(order(1)) == Grant(stream(1), 5.0, partial=True)
    assert (await refused(ledger, 2))[0] == "quota_exceeded"


async def test_egress(make: Ledgers, clock: Time) -> None:
    """Bytes count for the day on which they went out, whenever their song was made."""
    ledger = await make(some(egress_bytes_per_day=1000))
    await ledger.reserve(order(1))
    await ledger.heard([Traffic(stream(1), 10.0, 999)])
    await ledger.reserve(order(2))
    await ledger.settle(stream(1), completed(1.0))
    await ledger.heard([Traffic(stream(1), 0.25, 1), Traffic(stream(2), 1.0, 0)])
    code, after, sentence = await refused(ledger, 3)
    assert (code, after) == ("quota_exceeded", DAY / 2)
    assert "1000 bytes" in sentence
    clock.at += DAY / 2
    await ledger.heard([Traffic(stream(1), 0.0, 5)])
    await ledger.reserve(order(3))
    assert (await ledger.remaining(TENANT)).egress_bytes_per_day.remaining == 995
    one = await ledger.generation(TENANT, stream(1))
    assert one is not None
    assert (one.listener_seconds, one.egress_bytes) == (10.25, 1005)


async def test_a_refusal_takes_nothing(make: Ledgers) -> None:
    """Whichever limit refuses: no slot, no seconds, no start, no key, no row."""
    ledger = await make(some(concurrent_streams=1, streams_per_minute=2, audio_seconds_per_day=500))
    await ledger.reserve(order(1))
    for number, asked in ((2, 5.0), (3, 5.0)):
        with pytest.raises(LimitError, match="All 1 streams"):
            await ledger.reserve(order(number, once=once("k", str(number)), estimate_seconds=asked))
    await ledger.settle(stream(1), completed(1.0))
    await ledger.reserve(order(4, once=once("k")))
    await ledger.settle(stream(4), completed(1.0))
    with pytest.raises(LimitError, match="2 streams a minute"):
        await ledger.reserve(order(5))
    usage = await ledger.usage(TENANT, NOON, NOON + DAY)
    assert [one.stream_id for one in usage.page.generations] == [stream(1), stream(4)]
    assert await used(ledger) == (0, 2.0)


# -- more than was reserved --------------------------------------------------------------------------------------------


async def test_extending(make: Ledgers, clock: Time) -> None:
    """A song that outgrows its reservation gets more, then what is left, then the refusal; its lease is renewed."""
    ledger = await make(some(audio_seconds_per_day=250))
    await ledger.reserve(order(1))
    assert await ledger.extend(stream(1), 30.0) == 30.0
    clock.at += 45
    assert await ledger.extend(stream(1), 30.0) == 20.0
    with pytest.raises(LimitError) as refusal:
        await ledger.extend(stream(1), 30.0)
    assert (refusal.value.code, refusal.value.retry_after) == ("quota_exceeded", DAY / 2 - 45)
    clock.at += 45
    assert await row(ledger, 1) == ("queued", 250.0, 0.0, 0.0)
    assert await ledger.sweep() == 0
    assert await ledger.renew(stream(1), 260.0)
    assert await used(ledger) == (1, 260.0)
    assert await ledger.extend(stream(1), 4.0) == 4.0
    with pytest.raises(LimitError):
        await ledger.extend(stream(1), 30.0)
    await ledger.settle(stream(1), completed(261.0))
    assert await row(ledger, 1) == ("completed", 254.0, 261.0, 0.0)


async def test_extending_past_midnight(make: Ledgers, clock: Time) -> None:
    """A song belongs to the day on which it was made: that day's end is no reason to wait any more."""
    ledger = await make(some(audio_seconds_per_day=200))
    clock.at = NOON + DAY / 2 - 1
    await ledger.reserve(order(1))
    clock.at += 2
    await ledger.reserve(order(2))
    with pytest.raises(LimitError) as refusal:
        await ledger.extend(stream(1), 1.0)
    assert refusal.value.retry_after == 0.0
