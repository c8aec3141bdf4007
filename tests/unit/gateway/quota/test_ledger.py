"""Tests of the interface: whoever keeps the books has every method of it, with the same arguments.

Invariant under test: a caller can take one ledger for another. What the methods do is in the contract suite.
It must not know a store.
"""

import inspect

import pytest

from gateway.quota.ledger import Ledger, conflict, unavailable
from gateway.quota.redis import RedisLedger
from gateway.quota.sqlite import SqliteLedger
from gateway.quota.standby import StandbyLedger
from gateway.quota.volatile import VolatileLedger


@pytest.mark.parametrize("implementation", [SqliteLedger, VolatileLedger, RedisLedger, StandbyLedger])
def test_one_for_another(implementation: type) -> None:
    """Each method is there, takes what the interface says, and is awaited."""
    names = {name for name in vars(Ledger) if not name.startswith("_")}
    assert len(names) > 10
    for name in names:
        asked, given = getattr(Ledger, name), getattr(implementation, name)
        assert inspect.signature(given) == inspect.signature(asked), name
        assert inspect.iscoroutinefunction(given), name


def test_what_every_ledger_says_alike() -> None:
    """A fault says when to come again, and is retried; a key that was used for something else is not."""
    fault = unavailable("is on fire")
    assert (fault.code, fault.retry_after, fault.handling.status) == ("ledger_unavailable", 1.0, 503)
    assert fault.message.startswith("The ledger is on fire:")
    refusal = conflict()
    assert (refusal.code, refusal.param, refusal.handling.retryable) == (
        "idempotency_conflict",
        "Idempotency-Key",
        False,
    )
