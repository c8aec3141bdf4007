"""Tests of the store in dictionaries, beyond what every store does: its bound.

Invariant under test: it keeps a bounded number of ended rows, and every row that still matters.
It must not know SQLite.
"""

from gateway.quota import entry as entries
from gateway.quota.bucket import WINDOW
from gateway.quota.memory_store import MemoryStore
from gateway.quota.prices import Prices
from tests.support.ledger import ACME, completed, order, stream


def test_the_oldest_ended_rows_go() -> None:
    """But not those that run, nor those that the rate counts."""
    store = MemoryStore(keep=2)
    for number in range(4):
        entry = entries.opened(order(number), 1, WINDOW, number)
        store.add(entry, None)
        if number != 1:
            store.change(entry, entries.settled(entry, completed(1.0), Prices(), number))
    assert len(store.page(ACME.tenant, 0, 10, None, 10)) == 4
    store.add(entries.opened(order(4), 1, WINDOW, 2 * WINDOW + 2), None)
    rows = store.page(ACME.tenant, 0, 10 * WINDOW, None, 10)
    assert [row.stream_id for row in rows] == [stream(1), stream(2), stream(3), stream(4)]
    store.add(entries.opened(order(5), 1, WINDOW, 2 * WINDOW + 5), None)
    rows = store.page(ACME.tenant, 0, 10 * WINDOW, None, 10)
    assert [row.stream_id for row in rows] == [stream(1), stream(4), stream(5)]
