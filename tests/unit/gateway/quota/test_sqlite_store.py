"""Tests of the store on SQLite, beyond what every store does: an index for every look-up, and pruning by the piece.

Invariant under test: what a reservation asks does not depend on how many rows there are.
It must not know a thread.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.quota import entry as entries
from gateway.quota.prices import Prices
from gateway.quota.sqlite_schema import connect
from gateway.quota.sqlite_store import PRUNED_AT_ONCE, SqliteStore
from gateway.quota.store import Place, Remembered
from tests.support.ledger import ACME, MODEL, completed, order, stream


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(str(tmp_path / "usage.db"), 1.0)) as connection:
        yield connection


def test_every_look_up_has_an_index(connection: sqlite3.Connection) -> None:
    """No statement walks through a table, but for the piece that pruning takes."""
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    store, tenant = SqliteStore(connection), ACME.tenant
    entry = entries.opened(order(1), 1, 60, 0)
    store.add(entry, ("k", Remembered("h", stream(1), 5)))
    store.change(entry, entries.settled(entry, completed(1.0), Prices(), 1))
    store.use(tenant, "2026-03", 1, 1)
    store.used(tenant, "2026-03")
    store.held(tenant)
    store.lapsed(5)
    store.nth_start(tenant, 3, 0, 5)
    store.durations(tenant, MODEL)
    store.durations(None, MODEL)
    store.remembered(tenant, "k")
    store.forget(stream(1))
    store.prune(1, 1, "2026")
    store.totals(tenant, 0, 5)
    store.page(tenant, 0, 5, Place(0, ""), 9)
    connection.set_trace_callback(None)
    assert len(asked) > 15
    for statement in asked:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        walks = [step for step in plan if step.startswith("SCAN")]
        assert walks == (["SCAN generations"] if f"LIMIT {PRUNED_AT_ONCE}" in statement else []), statement


def test_pruning_takes_a_piece(connection: sqlite3.Connection) -> None:
    """A year that is dropped at once would hold everybody up."""
    store = SqliteStore(connection)
    for number in range(PRUNED_AT_ONCE + 50):
        entry = entries.opened(order(number), 1, 60, 0)
        store.add(entry, None)
        store.change(entry, entries.settled(entry, completed(1.0), Prices(), 1))
    for left in (50, 0):
        store.prune(0, 1, "")
        assert store.totals(ACME.tenant, 0, 1).generations == left
