"""The uses of tickets in an SQLite file: exact between processes, and after a restart.

Invariant: one statement decides and counts, and it is committed before the answer is given. In WAL mode with
synchronous=NORMAL a commit is in the kernel's hands, so it outlives the death of the process by whatever signal; a loss
of power may take the last moments, of which it never leaves half. The loop never waits for the disk: one thread does.
What waits is bounded in number and time. It must not know how a ticket looks.
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from gateway.errors import StartError
from gateway.log import event
from gateway.quota.uses import KEEP_SECONDS, milliseconds, overloaded

logger = logging.getLogger("wavegate.quota")

T = TypeVar("T")

# How long an answer may take, and how much of that another process may hold the file.
ANSWER_SECONDS = 5.0
BUSY_SECONDS = 2.0
MOST_WAITING = 1024
# Between two sweeps, and rows in one: none of them holds the file for long.
SWEEP_SECONDS = 10.0
SWEEP_ROWS = 1000

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS ticket_uses (
        ticket_id BLOB PRIMARY KEY, spent INTEGER NOT NULL, milliseconds INTEGER NOT NULL, keep_until REAL NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS ticket_uses_by_end ON ticket_uses (keep_until)",
    "CREATE TABLE IF NOT EXISTS ticket_secret (one INTEGER PRIMARY KEY CHECK (one = 1), secret BLOB NOT NULL)",
)
# wall_clock() is asked when the file is ours, so no sweep comes between: what may have been swept is refused.
_SPEND = """INSERT INTO ticket_uses SELECT ?1, 1, 0, ?2 WHERE ?2 > wall_clock()
    ON CONFLICT (ticket_id) DO UPDATE SET spent = spent + 1 WHERE spent < ?3"""
_TAKE = """INSERT INTO ticket_uses SELECT ?1, 0, ?2, ?3 WHERE ?3 > wall_clock() AND ?2 <= ?4
    ON CONFLICT (ticket_id) DO UPDATE SET milliseconds = milliseconds + excluded.milliseconds
    WHERE milliseconds + excluded.milliseconds <= ?4"""
_SETTLE = "UPDATE ticket_uses SET milliseconds = milliseconds + ? WHERE ticket_id = ?"
_SWEEP = """DELETE FROM ticket_uses WHERE ticket_id IN
    (SELECT ticket_id FROM ticket_uses WHERE keep_until <= ? LIMIT ?)"""


class SqliteUses:
    """Implements `Uses`: `async with SqliteUses(path) as uses`. Raises StartError when the file cannot be used.

    A new file is readable by its owner alone, for it keeps a secret. The file may hold other tables.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        now: Callable[[], float] = time.time,
        answer_seconds: float = ANSWER_SECONDS,
        busy_seconds: float = BUSY_SECONDS,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._path = Path(path)
        self._now = now
        self._answer_seconds = answer_seconds
        self._busy_seconds = busy_seconds
        self._most_waiting = most_waiting
        self._waiting = 0
        self._next_sweep = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ticket uses")
        self._file: sqlite3.Connection

    async def __aenter__(self) -> "SqliteUses":
        try:
            self._file = await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        except (OSError, sqlite3.Error) as error:
            self._thread.shutdown(wait=False)
            raise StartError(f"{self._path} cannot hold the uses of tickets: {error}") from None
        return self

    async def __aexit__(self, *error: object) -> None:
        """What was asked for before is still done."""
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown(wait=False)
        # A disk that hangs does not hold up whoever stops the gateway.
        await asyncio.wait([closing], timeout=self._answer_seconds)

    async def spend(self, ticket_id: bytes, limit: int, expires_at: float) -> bool:
        """Spends one of `limit` uses."""
        end = expires_at + KEEP_SECONDS
        return await self._ask(lambda: self._changes(_SPEND, ticket_id, end, limit))

    async def take(self, ticket_id: bytes, seconds: float, ceiling: float, expires_at: float) -> bool:
        """Takes seconds of audio out of `ceiling`."""
        wanted, most, end = milliseconds(seconds), milliseconds(ceiling), expires_at + KEEP_SECONDS
        return await self._ask(lambda: self._changes(_TAKE, ticket_id, wanted, end, most))

    async def settle(self, ticket_id: bytes, taken: float, used: float) -> None:
        """Counts `used` in place of `taken`."""
        difference = milliseconds(used) - milliseconds(taken)
        await self._ask(lambda: self._changes(_SETTLE, difference, ticket_id))

    async def secret(self, fresh: bytes) -> bytes:
        """The first that was given, by whichever process."""

        def first() -> bytes:
            self._changes("INSERT OR IGNORE INTO ticket_secret VALUES (1, ?)", fresh)
            kept: bytes = self._file.execute("SELECT secret FROM ticket_secret").fetchone()[0]
            return kept

        return await self._ask(first)

    async def _ask(self, job: Callable[[], T]) -> T:
        """Has the thread do it. Raises ServiceError; what is not answered in time may be done all the same."""
        if self._waiting >= self._most_waiting:
            raise overloaded("Too many tickets are being looked at: come back in a moment.")
        self._waiting += 1
        answer = asyncio.get_running_loop().run_in_executor(self._thread, self._do, job)
        answer.add_done_callback(self._done)
        try:
            # Shielded: what waits counts until it is done, however long the disk takes.
            async with asyncio.timeout(self._answer_seconds):
                return await asyncio.shield(answer)
        except (TimeoutError, sqlite3.Error) as error:
            event(logger, "ticket.uses_failed", path=str(self._path), reason=str(error) or "no answer in time")
            raise overloaded("The gateway cannot look at tickets for the moment: come back soon.") from None

    def _done(self, answer: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        # Looked at, for whoever asked may have gone.
        answer.exception()

    # -- in the thread ---------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        file = sqlite3.connect(self._path, timeout=self._busy_seconds, isolation_level=None)
        try:
            file.create_function("wall_clock", 0, self._now)
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = NORMAL")
            for statement in _SCHEMA:
                file.execute(statement)
        except BaseException:
            file.close()
            raise
        return file

    def _do(self, job: Callable[[], T]) -> T:
        result = job()
        now = self._now()
        if now >= self._next_sweep:
            # The answer stands whatever becomes of the sweep; what it leaves, the next one takes.
            with suppress(sqlite3.Error):
                swept = self._file.execute(_SWEEP, (now, SWEEP_ROWS)).rowcount
                self._next_sweep = now if swept == SWEEP_ROWS else now + SWEEP_SECONDS
        return result

    def _changes(self, statement: str, *values: object) -> bool:
        return self._file.execute(statement, values).rowcount == 1
