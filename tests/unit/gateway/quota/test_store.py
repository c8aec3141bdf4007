"""Tests of what a store must answer, on the dictionaries and on SQLite alike.

Invariant under test: a look-up sees every write before it, at the edges as in the middle.
It must not know what the rows are for.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.accounting import State
from gateway.errors import RequestError
from gateway.model import StreamId
from gateway.quota import entry as entries
from gateway.quota.bucket import SECOND
from gateway.quota.entry import Entry
from gateway.quota.memory_store import MemoryStore
from gateway.quota.policy import Used
from gateway.quota.prices import Prices
from gateway.quota.sqlite_schema import connect
from gateway.quota.sqlite_store import SqliteStore
from gateway.quota.store import HISTORY, Place, Remembered, Store, paged
from tests.support.ledger import ACME, MODEL, OTHER, completed, order, stream

TENANT = ACME.tenant
LEASE = 60 * SECOND


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore(1000)
        return
    with closing(connect(str(tmp_path / "usage.db"), 1.0)) as connection:
        yield SqliteStore(connection)


def opened(number: int, at: int = 0) -> Entry:
    return entries.opened(order(number), 5000, LEASE, at)


def over(store: Store, number: int, at: int, milliseconds: int) -> None:
    """A completed row."""
    entry = opened(number, at)
    store.add(entry, None)
    store.change(entry, entries.settled(entry, completed(milliseconds / 1000), Prices(), at))


def test_rows(store: Store) -> None:
    """As they were added, then as they were changed; a change of nothing changes nothing."""
    entry = opened(1)
    store.add(entry, None)
    assert store.entry(stream(1)) == entry
    assert store.entry(stream(2)) is None
    changed = replace(entry, status=State.RUNNING, request_id="req", characters=7, finished_at=5)
    store.change(entry, changed)
    store.change(changed, changed)
    assert store.entry(stream(1)) == changed


def test_slots(store: Store) -> None:
    """Queued and running rows hold one each."""
    first = opened(1)
    for entry in (first, opened(2)):
        store.add(entry, None)
    assert (store.held(TENANT), store.held(OTHER.tenant)) == (2, 0)
    store.change(first, entries.begun(first, None))
    assert store.held(TENANT) == 2
    store.change(first, entries.lapsed(first, Prices(), LEASE))
    assert store.held(TENANT) == 1


@pytest.mark.parametrize(("now", "found"), [(0, 0), (LEASE - 1, 0), (LEASE, 1), (2 * LEASE, 1), (-1, 1)])
def test_leases(store: Store, now: int, found: int) -> None:
    """Those that are over, to the microsecond, and those that reach further than a lease can."""
    store.add(opened(1), None)
    assert [entry.stream_id for entry in store.lapsed(now)] == [stream(1)] * found
    over(store, 2, 0, 1)
    assert len(store.lapsed(now)) == found


def test_starts(store: Store) -> None:
    """The n-th latest within a span whose beginning is outside and whose end is inside."""
    for number, at in enumerate([10, 30, 20, 20]):
        store.add(opened(number, at), None)
    assert [store.nth_start(TENANT, nth, 10, 30) for nth in (1, 2, 3, 4)] == [30, 20, 20, None]
    assert [store.nth_start(TENANT, nth, 9, 29) for nth in (1, 2, 3, 4)] == [20, 20, 10, None]
    assert store.nth_start(OTHER.tenant, 1, 0, 100) is None


def test_sums(store: Store) -> None:
    """By period and tenant; what was never used is nothing."""
    store.use(TENANT, "2026-03", 5, 7)
    store.use(TENANT, "2026-03", -2, 1)
    assert store.used(TENANT, "2026-03") == Used(3, 8)
    assert store.used(TENANT, "2026-03-01") == store.used(OTHER.tenant, "2026-03") == Used()


def test_histories(store: Store) -> None:
    """The last twenty to finish, by when they did; nothing that is open, failed, or was free."""
    assert list(store.durations(TENANT, MODEL)) == []
    for number in range(HISTORY + 5):
        over(store, number, 1000 - number, 100 + number)
    over(store, 50, 5000, 0)
    store.add(opened(51, 6000), None)
    for tenant in (TENANT, None):
        assert sorted(store.durations(tenant, MODEL)) == list(range(100, 100 + HISTORY))
    assert list(store.durations(OTHER.tenant, MODEL)) == list(store.durations(None, "another")) == []


def test_keys(store: Store) -> None:
    """Remembered with their row, replaced, forgotten by it, or dropped when they are over."""
    one, two = Remembered("hash", stream(1), 100), Remembered("hash 2", stream(2), 200)
    store.add(opened(1), ("k", one))
    store.add(opened(2), ("l", two))
    assert (store.remembered(TENANT, "k"), store.remembered(OTHER.tenant, "k")) == (one, None)
    store.add(opened(3), ("k", replace(two, stream_id=stream(3))))
    store.forget(stream(3))
    assert (store.remembered(TENANT, "k"), store.remembered(TENANT, "l")) == (None, two)
    store.prune(199, -1, "")
    assert store.remembered(TENANT, "l") == two
    store.prune(200, -1, "")
    assert store.remembered(TENANT, "l") is None


def test_pruning(store: Store) -> None:
    """Ended rows and sums from before; what runs is never dropped."""
    over(store, 1, 10, 5)
    over(store, 2, 20, 5)
    store.add(opened(3, 10), None)
    for period in ("2026-01", "2026-02-03", "2026-03"):
        store.use(TENANT, period, 1, 0)
    store.prune(0, 20, "2026-02-04")
    assert [store.entry(stream(number)) is None for number in (1, 2, 3)] == [True, False, False]
    assert [store.used(TENANT, period).audio for period in ("2026-01", "2026-02-03", "2026-03")] == [0, 0, 1]
    assert [one.stream_id for one in store.page(TENANT, 0, 100, None, 9)] == [stream(3), stream(2)]


def test_totals(store: Store) -> None:
    """Of the rows from the first instant up to but not including the last."""
    for number, at in enumerate([10, 20, 30]):
        over(store, number, at, 1500)
    store.add(opened(9, 15), None)
    totals = store.totals(TENANT, 10, 30)
    assert (totals.generations, totals.reserved, totals.settled, totals.refunded) == (3, 15.0, 3.0, 7.0)
    assert store.totals(TENANT, 11, 20).generations == 1
    assert store.totals(OTHER.tenant, 0, 100).reserved == 0.0


def test_pages(store: Store) -> None:
    """In order of time and then of id, from behind a place, within the span."""
    for number, at in [(3, 10), (1, 20), (2, 20), (5, 20), (4, 30)]:
        store.add(opened(number, at), None)

    def page(after: Place | None, limit: int, since: int = 10, until: int = 30) -> list[StreamId]:
        return [entry.stream_id for entry in store.page(TENANT, since, until, after, limit)]

    assert page(None, 9) == [stream(3), stream(1), stream(2), stream(5)]
    assert page(None, 2) == [stream(3), stream(1)]
    assert page(Place(20, stream(1)), 2) == [stream(2), stream(5)]
    assert page(Place(20, stream(5)), 2) == []
    assert page(Place(1, "x"), 1, since=20) == [stream(1)]
    assert page(None, 9, until=31) == [*page(None, 9), stream(4)]


def test_a_row_is_added_once(tmp_path: Path) -> None:
    """SQLite holds the line even if a book would not."""
    with closing(connect(str(tmp_path / "usage.db"), 1.0)) as connection:
        SqliteStore(connection).add(opened(1), None)
        with pytest.raises(sqlite3.IntegrityError):
            SqliteStore(connection).add(opened(1), None)


def test_what_a_page_gives() -> None:
    """What a page gives for the next one leads to its last row, and anything else is the caller's mistake."""
    rows = [opened(number, at=7) for number in range(3)]
    page = paged(rows, 2)
    assert [row.stream_id for row in page.generations] == [stream(0), stream(1)]
    assert page.after is not None
    assert Place.told(page.after) == (7, stream(1))
    assert paged(rows, 3).after is None
    with pytest.raises(RequestError, match="a page of usage"):
        Place.told("yesterday")
