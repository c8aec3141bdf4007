"""Tests of the metered ledger: what it counts is what the ledger within has booked, and it changes nothing.

Invariant under test: after any life of any number of generations the counters are the sums of the ledger's own rows.
It must not know a store; that it is a ledger like every other is seen in its being one here.
"""

from unittest.mock import AsyncMock

import pytest

from gateway.accounting import Grant, Traffic
from gateway.errors import LimitError, RequestError, ServiceError
from gateway.quota.metered import MeteredLedger
from gateway.quota.volatile import VolatileLedger
from metrics.recorder import Recorder
from tests.support.ledger import ACME, FREE, NOON, PRICES, RULES, Time, completed, once, order, some, stream
from tests.support.verbs import value


def ledger(recorder: Recorder, limits: object = FREE) -> MeteredLedger:
    return MeteredLedger(VolatileLedger(lambda _: limits, RULES, PRICES, now=Time()), recorder)  # type: ignore[arg-type, return-value]  # plain limits


def seconds(recorder: Recorder) -> dict[str, float | None]:
    states = ("reserved", "settled", "refunded")
    return {state: value(recorder, "audio_seconds_total", tenant="acme", state=state) for state in states}


async def test_money_is_counted_as_it_is_booked() -> None:
    """One that completes, with more reserved; one that is withdrawn; bills that come again; and an order repeated."""
    recorder = Recorder()
    metered = ledger(recorder)
    await metered.open()
    for number in (1, 2, 3):
        await metered.reserve(order(number, once=once("k1")) if number == 1 else order(number))
    assert (await metered.reserve(order(9, once=once("k1")))).repeated
    await metered.begin(stream(1), "request")
    assert await metered.renew(stream(1), 5.0)
    assert await metered.extend(stream(1), 30.0) == 30.0
    await metered.withdraw(stream(2))
    await metered.withdraw(stream(2))
    for _ in range(2):
        booked = await metered.settle(stream(1), completed(50.0))
        assert booked is not None
    await metered.settle(stream(3), completed(10.0))
    usage = await metered.usage(ACME.tenant, 0.0, NOON + 1)
    totals = usage.totals
    assert seconds(recorder) == {"reserved": totals.reserved, "settled": totals.settled, "refunded": totals.refunded}
    assert totals.settled == 60.0
    assert value(recorder, "cost_total", tenant="acme") == pytest.approx(totals.cost) == 60.0 * 0.02
    await metered.close()


async def test_what_was_not_reserved_here_is_counted_elsewhere() -> None:
    """A bill and more seconds for another node's generation, and one for nothing at all."""
    recorder = Recorder()
    inner = VolatileLedger(lambda _: FREE, RULES, PRICES, now=Time())
    await inner.reserve(order(1))
    metered = MeteredLedger(inner, recorder)
    await metered.extend(stream(1), 5.0)
    assert await metered.settle(stream(1), completed(1.0)) is not None
    assert await metered.settle(stream(2), completed(1.0)) is None
    assert seconds(recorder) == {"reserved": None, "settled": None, "refunded": None}


async def test_a_bill_that_nothing_is_known_of_counts_nothing() -> None:
    """The ledger within has lost the row."""
    recorder = Recorder()
    inner = AsyncMock(VolatileLedger)
    inner.reserve.return_value = Grant(stream(1), 7.0)
    inner.settle.return_value = None
    metered = MeteredLedger(inner, recorder)
    await metered.reserve(order(1))
    assert await metered.settle(stream(1), completed(1.0)) is None
    assert seconds(recorder) == {"reserved": 7.0, "settled": None, "refunded": None}


async def test_every_step_is_measured() -> None:
    """By the clock, under its own name; those that only read have one together."""
    recorder, clock = Recorder(), Time(0.0)
    inner = AsyncMock(VolatileLedger)
    for name in ("reserve", "ordered", "settle", "heard", "sweep", "remaining", "generation", "usage", "generations"):
        getattr(inner, name).side_effect = lambda *_, **__: setattr(clock, "at", clock.at + 0.5)

    def reserve(_: object) -> Grant:
        clock.at += 0.5
        return Grant(stream(1), 1.0)

    inner.reserve.side_effect = reserve
    metered = MeteredLedger(inner, recorder, clock)
    await metered.reserve(order(1))
    await metered.heard([Traffic(stream(1), 1.0, 2)])
    await metered.sweep()
    await metered.remaining(ACME.tenant)
    await metered.ordered(ACME.tenant, order(1, once=once("k")).once)  # type: ignore[arg-type]  # it has one
    await metered.generation(ACME.tenant, stream(1))
    await metered.usage(ACME.tenant, 0.0, 1.0)
    await metered.generations(ACME.tenant, 0.0, 1.0, "")
    took = {
        name: value(recorder, "ledger_seconds_sum", operation=name)
        for name in ("reserve", "heard", "sweep", "remaining", "read")
    }
    assert took == {"reserve": 0.5, "heard": 0.5, "sweep": 0.5, "remaining": 0.5, "read": 2.0}


@pytest.mark.parametrize(
    ("raised", "errors"),
    [
        (LimitError("quota_exceeded", "."), 0.0),
        (RequestError("idempotency_conflict", "."), 0.0),
        (ServiceError("ledger_unavailable", "."), 1.0),
        (TimeoutError(), 1.0),
    ],
)
async def test_a_refusal_is_no_error(raised: Exception, errors: float) -> None:
    """It is an answer, and all that is raised leaves as it is."""
    recorder = Recorder()
    inner = AsyncMock(VolatileLedger)
    inner.reserve.side_effect = raised
    with pytest.raises(type(raised)):
        await MeteredLedger(inner, recorder).reserve(order(1))
    assert value(recorder, "ledger_errors_total", operation="reserve") == errors
    assert value(recorder, "ledger_seconds_count", operation="reserve") == 1.0


async def test_what_a_limit_refuses_is_reserved_for_nobody() -> None:
    """Nothing is counted of it."""
    recorder = Recorder()
    metered = ledger(recorder, some(concurrent_streams=1))
    granted = (await metered.reserve(order(1))).seconds
    with pytest.raises(LimitError):
        await metered.reserve(order(2))
    assert seconds(recorder)["reserved"] == granted
