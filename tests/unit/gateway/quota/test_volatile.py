"""Tests of the ledger in memory, beyond what every ledger does: what it does without, and what it forgets.

Invariant under test: a step is done before any other task runs. The contract suite has the rest.
It must not know SQLite.
"""

import pytest

from gateway.quota.volatile import VolatileLedger
from tests.support.ledger import ACME, FREE, Time, completed, order, stream


async def test_a_step_never_gives_way() -> None:
    """A reservation that is driven by hand is done at its first step."""
    ledger = VolatileLedger(lambda _: FREE, now=Time())
    asked = ledger.reserve(order(1))
    with pytest.raises(StopIteration) as done:
        asked.send(None)
    assert done.value.value.seconds == 240.0


async def test_what_is_kept() -> None:
    """Rows past the bound are forgotten, what they cost is not."""
    clock = Time()
    ledger = VolatileLedger(lambda _: FREE, now=clock, keep=3)
    await ledger.open()
    for number in range(10):
        await ledger.reserve(order(number))
        await ledger.settle(stream(number), completed(1.0))
        clock.at += 600
    usage = await ledger.usage(ACME.tenant, 0.0, clock.at)
    assert [row.stream_id for row in usage.page.generations] == [stream(7), stream(8), stream(9)]
    assert (await ledger.remaining(ACME.tenant)).audio_seconds_per_month.used == 10.0
    await ledger.close()


async def test_forgotten_with_the_process() -> None:
    """Another one knows nothing."""
    first, second = (VolatileLedger(lambda _: FREE) for _ in range(2))
    await first.reserve(order(1))
    assert await second.generation(ACME.tenant, stream(1)) is None
