"""Tests of the interface: whoever keeps the books has every method of it, with the same arguments.

Invariant under test: a caller can take one ledger for another. What the methods do is in the contract suite.
It must not know a store.
"""

import inspect

import pytest

from gateway.quota.ledger import Ledger
from gateway.quota.sqlite import SqliteLedger
from gateway.quota.volatile import VolatileLedger


@pytest.mark.parametrize("implementation", [SqliteLedger, VolatileLedger])
def test_one_for_another(implementation: type) -> None:
    """Each method is there, takes what the interface says, and is awaited."""
    names = {name for name in vars(Ledger) if not name.startswith("_")}
    assert len(names) > 10
    for name in names:
        asked, given = getattr(Ledger, name), getattr(implementation, name)
        assert inspect.signature(given) == inspect.signature(asked), name
        assert inspect.iscoroutinefunction(given), name
