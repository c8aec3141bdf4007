"""A store on a SQLite connection: each look-up and write as one statement, all of them within the caller's transaction.

Invariant: nothing is cached here, so what another process has committed is what the next step sees; every look-up that
a reservation makes is answered by an index, however many rows there are. It must not begin or end a transaction, nor
know limits, prices or a clock.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from gateway.accounting import State, Totals
from gateway.model import StreamId, TenantId
from gateway.quota.entry import Entry
from gateway.quota.policy import Used
from gateway.quota.prices import MILLION
from gateway.quota.store import HISTORY, Place, Remembered

COLUMNS = tuple(field.name for field in fields(Entry))
_STATUS = COLUMNS.index("status")
_LIST = ", ".join(COLUMNS)
# The words of the partial indexes: SQLite takes one only for a query that says the same.
_OPEN = "status IN ('queued', 'running')"
# Ended rows that one sweep drops at most, so that no step is a long one.
PRUNED_AT_ONCE = 200

_SELECT = f"SELECT {_LIST} FROM generations"  # noqa: S608 - the columns are the fields of Entry
_INSERT = f"INSERT INTO generations ({_LIST}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - the same
_LAPSED = f"{_SELECT} WHERE {_OPEN} AND expires_at <= ? UNION ALL {_SELECT} WHERE {_OPEN} AND expires_at - lease > ?"
_HELD = f"SELECT count(*) FROM generations WHERE tenant = ? AND {_OPEN}"  # noqa: S608 - constant words
_NTH_START = """
    SELECT created_at FROM generations WHERE tenant = ? AND created_at > ? AND created_at <= ?
    ORDER BY created_at DESC LIMIT 1 OFFSET ?
"""
_OF_ONE = """
    SELECT settled FROM generations WHERE status = 'completed' AND settled > 0 AND tenant = ? AND model = ?
    ORDER BY finished_at DESC, stream_id DESC LIMIT ?
"""
_OF_ALL = """
    SELECT settled FROM generations WHERE status = 'completed' AND settled > 0 AND model = ?
    ORDER BY finished_at DESC, stream_id DESC LIMIT ?
"""
_USE = """
    INSERT INTO budgets (period, tenant, audio, egress) VALUES (?, ?, ?, ?)
    ON CONFLICT (period, tenant) DO UPDATE SET audio = audio + excluded.audio, egress = egress + excluded.egress
"""
_PRUNE = f"""
    DELETE FROM generations WHERE rowid IN (SELECT rowid FROM generations ORDER BY rowid LIMIT {PRUNED_AT_ONCE})
    AND created_at < ? AND NOT {_OPEN}
"""  # noqa: S608 - constant words
_TOTALS = """
    SELECT total(reserved), total(settled), total(refunded), total(listened), coalesce(sum(egress), 0), total(cost),
    count(*) FROM generations WHERE tenant = ? AND created_at >= ? AND created_at < ?
"""
_PAGE = f"""
    {_SELECT} WHERE tenant = ? AND created_at >= ? AND created_at < ? AND (created_at, stream_id) > (?, ?)
    ORDER BY created_at, stream_id LIMIT ?
"""


class SqliteStore:
    """Lives as long as its connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def entry(self, stream_id: StreamId) -> Entry | None:
        row = self._execute(f"{_SELECT} WHERE stream_id = ?", (stream_id,)).fetchone()
        return None if row is None else _entry(row)

    def add(self, entry: Entry, remembered: tuple[str, Remembered] | None) -> None:
        self._execute(_INSERT, tuple(getattr(entry, name) for name in COLUMNS))
        if remembered is not None:
            key, one = remembered
            self._execute(
                "INSERT OR REPLACE INTO idempotency (tenant, key, request_hash, stream_id, expires_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (entry.tenant, key, one.request_hash, one.stream_id, one.expires_at),
            )

    def change(self, before: Entry, after: Entry) -> None:
        # Only what has changed is written: an index whose columns are not named costs nothing.
        changed = [name for name in COLUMNS if getattr(before, name) != getattr(after, name)]
        if changed:
            settings = ", ".join(f"{name} = ?" for name in changed)
            statement = f"UPDATE generations SET {settings} WHERE stream_id = ?"  # noqa: S608 - the fields of Entry
            self._execute(statement, (*(getattr(after, name) for name in changed), after.stream_id))

    def use(self, tenant: TenantId, period: str, audio: int, egress: int) -> None:
        self._execute(_USE, (period, tenant, audio, egress))

    def used(self, tenant: TenantId, period: str) -> Used:
        found = self._execute("SELECT audio, egress FROM budgets WHERE period = ? AND tenant = ?", (period, tenant))
        row = found.fetchone()
        return Used() if row is None else Used(*row)

    def held(self, tenant: TenantId) -> int:
        return int(self._execute(_HELD, (tenant,)).fetchone()[0])

    def lapsed(self, now: int) -> Sequence[Entry]:
        return [_entry(row) for row in self._execute(_LAPSED, (now, now))]

    def nth_start(self, tenant: TenantId, number: int, after: int, until: int) -> int | None:
        row = self._execute(_NTH_START, (tenant, after, until, number - 1)).fetchone()
        return None if row is None else int(row[0])

    def durations(self, tenant: TenantId | None, model: str) -> Sequence[int]:
        if tenant is None:
            rows = self._execute(_OF_ALL, (model, HISTORY))
        else:
            rows = self._execute(_OF_ONE, (tenant, model, HISTORY))
        return [int(row[0]) for row in rows]

    def remembered(self, tenant: TenantId, key: str) -> Remembered | None:
        row = self._execute(
            "SELECT request_hash, stream_id, expires_at FROM idempotency WHERE tenant = ? AND key = ?", (tenant, key)
        ).fetchone()
        return None if row is None else Remembered(*row)

    def forget(self, stream_id: StreamId) -> None:
        self._execute("DELETE FROM idempotency WHERE stream_id = ?", (stream_id,))

    def prune(self, now: int, horizon: int, oldest_day: str) -> None:
        self._execute("DELETE FROM idempotency WHERE expires_at <= ?", (now,))
        self._execute("DELETE FROM budgets WHERE period < ?", (oldest_day,))
        self._execute(_PRUNE, (horizon,))

    def totals(self, tenant: TenantId, since: int, until: int) -> Totals:
        reserved, settled, refunded, listened, egress, cost, generations = self._execute(
            _TOTALS, (tenant, since, until)
        ).fetchone()
        return Totals(
            reserved=reserved / 1000,
            settled=settled / 1000,
            refunded=refunded / 1000,
            listener_seconds=listened / 1000,
            egress_bytes=egress,
            cost=cost / MILLION,
            generations=generations,
        )

    def page(self, tenant: TenantId, since: int, until: int, after: Place | None, limit: int) -> Sequence[Entry]:
        place = after or Place(since, "")
        # The index is entered at the place, not at the beginning: the last page costs what the first does.
        since = max(since, place.created_at)
        return [_entry(row) for row in self._execute(_PAGE, (tenant, since, until, *place, limit))]


def _entry(row: tuple[Any, ...]) -> Entry:
    values = list(row)
    values[_STATUS] = State(values[_STATUS])
    return Entry(*values)
