"""A ledger on Redis that may not go on alone: what a server that is away costs, and what it forgets.

Invariant under test: nothing is booked elsewhere than in Redis, and rows without an owner are let go.
It must not know how rows are kept.
"""

import pytest

from gateway.accounting import Traffic
from gateway.errors import ServiceError
from gateway.quota.redis import RedisLedger
from gateway.quota.standby import StandbyLedger
from tests.support.ledger import ACME, DAY, FREE, PRICES, RULES, Time, completed, order, stream, used
from tests.support.redis_line import Line


@pytest.fixture
async def ledger(line: Line, clock: Time) -> StandbyLedger:
    shared = RedisLedger(line, lambda _: FREE, RULES, PRICES, now=clock)
    standby = StandbyLedger(shared, lambda _: FREE, RULES, PRICES, alone=False, now=clock)
    await standby.open()
    return standby


async def test_everything_is_refused_while_it_is_away(ledger: StandbyLedger, line: Line) -> None:
    """And done as soon as it is back: nothing was noted meanwhile, and nothing is left of what was asked."""
    await ledger.reserve(order(1))
    line.cut = True
    for asked in (
        ledger.reserve(order(2)),
        ledger.renew(stream(1), 5.0),
        ledger.heard([Traffic(stream(1), 1.0, 10)]),
        ledger.settle(stream(1), completed(6.0)),
        ledger.sweep(),
        ledger.remaining(ACME.tenant),
    ):
        with pytest.raises(ServiceError) as refusal:
            await asked
        assert refusal.value.code == "ledger_unavailable"
        assert not ledger.alone
    line.cut = False
    assert await used(ledger) == (1, 200.0)
    await ledger.sweep()
    booked = await ledger.settle(stream(1), completed(6.0))
    assert booked is not None
    assert (booked.settled, booked.received, booked.egress_bytes) == (6.0, 6.0, 0)
    await ledger.close()


async def test_a_row_without_an_owner_is_let_go(ledger: StandbyLedger, line: Line, clock: Time) -> None:
    """Whose bill never came, and whose lease was not renewed for a day: a server that lost it is not told of it."""
    for number in (1, 2):
        await ledger.reserve(order(number))
    clock.at += DAY
    await ledger.renew(stream(2), 9.0)
    clock.at += 120
    await ledger.sweep()
    await line.call("FLUSHALL")
    assert await ledger.settle(stream(1), completed(1.0)) is None
    assert await ledger.settle(stream(2), completed(10.0)) is not None
