"""Tests of the ledger on SQLite, beyond what every ledger does: what it says when its file is in trouble.

Invariant under test: a file that is locked, full, read-only, damaged or away is an error within a bounded time, never
a wait without end; the ledger goes on as soon as the file does; nobody holds what nobody waits for.
It must not know the statements.
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.accounting import Reservation
from gateway.errors import ServiceError
from gateway.quota.sqlite import SqliteLedger
from tests.support.ledger import ACME, FREE, PRICES, RULES, Time, completed, order, stream

Make = Callable[..., SqliteLedger]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Makes ledgers on this test's file, or `path`; they are closed with the test."""
    made: list[SqliteLedger] = []

    def build(path: str | None = None, now: Callable[[], float] | None = None, **bounds: Any) -> SqliteLedger:
        ledger = SqliteLedger(
            path or str(tmp_path / "usage.db"), lambda _: FREE, RULES, PRICES, now=now or Time(), **bounds
        )
        made.append(ledger)
        return ledger

    yield build
    for ledger in made:
        await ledger.close()


async def refused(ledger: SqliteLedger, words: str, one: Reservation | None = None) -> None:
    with pytest.raises(ServiceError, match=words) as refusal:
        await ledger.reserve(one or order(1))
    assert (refusal.value.code, refusal.value.handling.status) == ("ledger_unavailable", 503)


async def test_locked(make: Make, tmp_path: Path) -> None:
    """It waits for a while, says so, and goes on when the lock has gone; looking things up needs no lock."""
    ledger = make(busy_seconds=0.02)
    await ledger.open()
    await ledger.reserve(order(1))
    with closing(sqlite3.connect(tmp_path / "usage.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await refused(ledger, "is locked by another program", order(2))
        with pytest.raises(ServiceError):
            await ledger.settle(stream(1), completed(1.0))
        assert (await ledger.remaining(ACME.tenant)).concurrent_streams.used == 1
        other.execute("COMMIT")
    assert await ledger.settle(stream(1), completed(1.0)) is not None
    assert await ledger.generation(ACME.tenant, stream(2)) is None


async def test_full(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no room is refused, and what was there stays."""
    ledger = make()
    await ledger.open()
    await ledger.reserve(order(1))

    def fill(thread_connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        connection = thread_connect()
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    await ledger.close()
    full = make()
    inner = full._writer._connect
    monkeypatch.setattr(full._writer, "_connect", lambda: fill(inner))
    await full.open()
    with pytest.raises(ServiceError, match="has no room left on its disk"):
        await asyncio.gather(*(full.reserve(order(number)) for number in range(2, 400)))
    assert await full.generation(ACME.tenant, stream(1)) is not None


async def test_read_only(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not open."""
    await (first := make()).open()
    await first.close()
    ledger = make()
    monkeypatch.setattr(
        ledger._writer,
        "_connect",
        lambda: sqlite3.connect(f"file:{tmp_path / 'usage.db'}?mode=ro", uri=True, isolation_level=None),
    )
    with pytest.raises(ServiceError, match="may not be written to"):
        await ledger.open()


async def test_deleted(make: Make, tmp_path: Path) -> None:
    """The file is there again with the next step, and nothing that was booked is lost, now or for the next start."""
    ledger = make()
    await ledger.open()
    await ledger.reserve(order(1))
    assert await ledger.generation(ACME.tenant, stream(1)) is not None
    for name in ("usage.db", "usage.db-wal", "usage.db-shm"):
        (tmp_path / name).unlink()
    await ledger.reserve(order(2))
    await ledger.close()
    again = make()
    await again.open()
    for number in (1, 2):
        assert await again.generation(ACME.tenant, stream(number)) is not None


@pytest.mark.parametrize("name", ["", "nowhere/usage.db"])
async def test_away(make: Make, tmp_path: Path, name: str) -> None:
    """A folder is no file, and one that is not there is not made."""
    with pytest.raises(ServiceError, match="cannot be opened"):
        await make(str(tmp_path / name)).open()


async def test_not_a_database(make: Make, tmp_path: Path) -> None:
    """Another file is left as it is."""
    (tmp_path / "usage.db").write_bytes(b"a song" * 1000)
    with pytest.raises(ServiceError, match="is damaged"):
        await make().open()
    assert (tmp_path / "usage.db").read_bytes() == b"a song" * 1000


async def test_damaged(make: Make, tmp_path: Path) -> None:
    """Pages of noise behind a sound beginning: it says so, whatever is asked, and does not hang."""
    ledger = make()
    await ledger.open()
    await asyncio.gather(*(ledger.reserve(order(number)) for number in range(300)))
    await ledger.close()
    data = bytearray((tmp_path / "usage.db").read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    (tmp_path / "usage.db").write_bytes(data)
    again = make()
    with pytest.raises(ServiceError, match="is damaged"):
        await again.open()


async def test_a_reservation_that_nobody_waits_for(make: Make) -> None:
    """Its caller was cancelled while it was being made: it is taken back at once, and its key is free."""
    gate, reached = threading.Event(), threading.Event()

    def now() -> float:
        if threading.current_thread().name == "ledger" and closed:
            reached.set()
            assert gate.wait(20)
        return clock()

    clock, closed = Time(), False
    ledger = make(now=now)
    await ledger.open()
    closed = True
    asked = asyncio.ensure_future(ledger.reserve(order(1)))
    await asyncio.to_thread(reached.wait, 20)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    closed = False
    gate.set()
    await ledger.sweep()
    row = await ledger.generation(ACME.tenant, stream(1))
    assert row is not None
    assert (row.status.value, row.refunded) == ("cancelled", 200.0)


async def test_a_month_of_usage(make: Make) -> None:
    """Page by page, while reservations go on; every row once."""
    ledger = make()
    await ledger.open()
    for first in range(0, 2500, 250):  # each has its own time to be answered in
        await asyncio.gather(*(ledger.reserve(order(number)) for number in range(first, first + 250)))
    usage = await ledger.usage(ACME.tenant, 0.0, 1e10)
    assert (usage.totals.generations, len(usage.page.generations)) == (2500, 500)
    found, after = {row.stream_id for row in usage.page.generations}, usage.page.after
    while after is not None:
        page, _ = await asyncio.gather(
            ledger.generations(ACME.tenant, 0.0, 1e10, after, 700), ledger.reserve(order(5000 + len(found)))
        )
        assert not found & {row.stream_id for row in page.generations}
        found |= {row.stream_id for row in page.generations}
        after = page.after
    assert found >= {stream(number) for number in range(2500)}
