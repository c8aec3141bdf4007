"""The tables of the ledger on SQLite, how a file comes to have them, and how a connection is set up.

Invariant: a file is migrated within one transaction that no other process shares, step by step from whatever version
it has; a file of a newer version is left alone. WAL with synchronous=NORMAL: what was committed survives the death of
the process by any signal; the death of the machine may cost the last moments, never the file's soundness.
It must not know what the rows mean.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

_OPEN = "status IN ('queued', 'running')"

# One entry for each version, in reservation: a change of the tables is a new entry at the end.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE generations (
            stream_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, key_id TEXT NOT NULL, model TEXT NOT NULL,
            request_id TEXT, status TEXT NOT NULL, created_at INTEGER NOT NULL, finished_at INTEGER,
            expires_at INTEGER NOT NULL, lease INTEGER NOT NULL, reserved INTEGER NOT NULL,
            received INTEGER NOT NULL, settled INTEGER NOT NULL, refunded INTEGER NOT NULL, characters INTEGER,
            cost INTEGER NOT NULL, listened INTEGER NOT NULL, egress INTEGER NOT NULL
        )
        """,
        "CREATE INDEX generations_by_time ON generations (tenant, created_at, stream_id)",
        f"CREATE INDEX generations_held ON generations (tenant) WHERE {_OPEN}",
        f"CREATE INDEX generations_ending ON generations (expires_at) WHERE {_OPEN}",
        f"CREATE INDEX generations_renewed ON generations (expires_at - lease) WHERE {_OPEN}",
        """
        CREATE INDEX durations_of_tenant ON generations (tenant, model, finished_at, stream_id, settled)
        WHERE status = 'completed'
        """,
        """
        CREATE INDEX durations_of_model ON generations (model, finished_at, stream_id, settled)
        WHERE status = 'completed'
        """,
        """
        CREATE TABLE budgets (
            period TEXT NOT NULL, tenant TEXT NOT NULL, audio INTEGER NOT NULL, egress INTEGER NOT NULL,
            PRIMARY KEY (period, tenant)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE idempotency (
            tenant TEXT NOT NULL, key TEXT NOT NULL, request_hash TEXT NOT NULL, stream_id TEXT NOT NULL,
            expires_at INTEGER NOT NULL, PRIMARY KEY (tenant, key)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX idempotency_by_stream ON idempotency (stream_id)",
        "CREATE INDEX idempotency_by_end ON idempotency (expires_at)",
    ),
)

# Between two tries to take a lock for which SQLite itself does not wait.
PAUSE_SECONDS = 0.01


class NewerVersion(sqlite3.DatabaseError):
    """The file was written by a newer version of this program."""


def make(path: str) -> None:
    """An empty file for its owner alone, if there is none of that name: those that SQLite makes are for everybody."""
    # Why there can be none SQLite tells better.
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def connect(path: str, busy_seconds: float) -> sqlite3.Connection:
    """A connection for writing, to a file that has the tables. Raises sqlite3.Error within about twice the time."""
    make(path)
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
    try:
        # Two processes that open a new file at once meet here, where SQLite waits for no one.
        patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"), busy_seconds)
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection, MIGRATIONS)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reading(path: str, busy_seconds: float) -> sqlite3.Connection:
    """A connection that only reads, and makes no file: one that was deleted is the writer's to put back."""
    there = f"{Path(path).absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(there, uri=True, timeout=busy_seconds, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def migrate(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...]) -> None:
    """Brings the tables to the version that the program knows. Raises NewerVersion."""
    if _version(connection) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        if version > len(migrations):
            raise NewerVersion(f"the tables have version {version}, this program knows {len(migrations)}")
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute("CREATE TABLE IF NOT EXISTS ledger_version (version INTEGER NOT NULL)")
        connection.execute("DELETE FROM ledger_version")
        connection.execute("INSERT INTO ledger_version VALUES (?)", (len(migrations),))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    with closing(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'ledger_version'")) as found:
        if found.fetchone() is None:
            return 0
    with closing(connection.execute("SELECT version FROM ledger_version")) as found:
        return int(found.fetchone()[0])


def patiently(
    action: Callable[[], object],
    seconds: float,
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Tries again while another has the lock, for about so many seconds. Raises sqlite3.OperationalError."""
    deadline = now() + seconds
    while True:
        try:
            action()
            return
        except sqlite3.OperationalError as trouble:
            if trouble.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or now() >= deadline:
                raise
        pause(PAUSE_SECONDS)
