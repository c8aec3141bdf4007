"""The ledger on SQLite: one file, exact across tasks, threads and processes, and there again after a crash.

Invariant: every step runs in a transaction that begins IMMEDIATE, so of all processes on the file one decides at a
time; what is answered is committed. Writes have one thread, looking things up has another, so that a month of usage
delays no reservation and neither delays the loop. It must not know streams or sockets.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from gateway.accounting import Generation, Grant, Once, Page, Remaining, Reservation, Settlement, Traffic, Usage
from gateway.config.schema import Limits
from gateway.errors import ServiceError
from gateway.model import StreamId, TenantId
from gateway.quota.book import Book
from gateway.quota.policy import Rules
from gateway.quota.prices import Prices
from gateway.quota.sqlite_presence import Presence
from gateway.quota.sqlite_schema import connect, connect_reading
from gateway.quota.sqlite_thread import SqliteThread

# How long SQLite waits for another process' lock; longer than any transaction of ours takes.
BUSY_SECONDS = 2.0
# How long a caller waits for its answer: a lock that does not go, and then its own step.
PATIENCE_SECONDS = 5.0
MOST_WAITING = 4096


class SqliteLedger:
    """Implements `Ledger` on the file at `path`. Open it before use. `now` is wall time, and called in its threads."""

    def __init__(
        self,
        path: str,
        limits_of: Callable[[TenantId], Limits],
        rules: Rules | None = None,
        prices: Prices | None = None,
        *,
        now: Callable[[], float] = time.time,
        busy_seconds: float = BUSY_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._book = Book(limits_of, rules or Rules(), prices or Prices(), now)
        bounded = partial(SqliteThread, patience_seconds=patience_seconds, most_waiting=most_waiting)
        writing = Presence(path, partial(connect, path, busy_seconds), writes=True)
        reading = Presence(path, partial(connect_reading, path, busy_seconds), writes=False)
        self._writer = bounded("ledger", writing.connect, "BEGIN IMMEDIATE", stands=writing.stands)
        self._reader = bounded("usage", reading.connect, "BEGIN", stands=reading.stands)

    async def open(self) -> None:
        """Makes or migrates the file. Raises ServiceError `ledger_unavailable`, and is closed then."""
        await asyncio.to_thread(self._writer.start)
        await asyncio.to_thread(self._reader.start)
        try:
            await self.sweep()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._writer.close()
        await self._reader.close()

    async def reserve(self, reservation: Reservation) -> Grant:
        try:
            return await self._writer.ask(lambda store: self._book.reserve(store, reservation))
        except (ServiceError, asyncio.CancelledError):
            # Nobody waits for it any more, but it may still be granted: what follows it in the line takes it back.
            self._writer.post(lambda store: self._book.withdraw(store, reservation.stream_id))
            raise

    async def ordered(self, tenant: TenantId, once: Once) -> StreamId | None:
        return await self._reader.ask(lambda store: self._book.ordered(store, tenant, once))

    async def withdraw(self, stream_id: StreamId) -> None:
        await self._writer.ask(lambda store: self._book.withdraw(store, stream_id))

    async def begin(self, stream_id: StreamId, provider_request_id: str | None) -> None:
        await self._writer.ask(lambda store: self._book.begin(store, stream_id, provider_request_id))

    async def renew(self, stream_id: StreamId, received_seconds: float) -> bool:
        return await self._writer.ask(lambda store: self._book.renew(store, stream_id, received_seconds))

    async def extend(self, stream_id: StreamId, seconds: float) -> float:
        return await self._writer.ask(lambda store: self._book.extend(store, stream_id, seconds))

    async def settle(self, stream_id: StreamId, settlement: Settlement) -> Generation | None:
        return await self._writer.ask(lambda store: self._book.settle(store, stream_id, settlement))

    async def heard(self, traffic: Sequence[Traffic]) -> None:
        await self._writer.ask(lambda store: self._book.heard(store, traffic))

    async def sweep(self) -> int:
        return await self._writer.ask(self._book.sweep)

    async def remaining(self, tenant: TenantId) -> Remaining:
        return await self._reader.ask(lambda store: self._book.remaining(store, tenant))

    async def generation(self, tenant: TenantId, stream_id: StreamId) -> Generation | None:
        return await self._reader.ask(lambda store: self._book.generation(store, tenant, stream_id))

    async def usage(self, tenant: TenantId, since: float, until: float, *, limit: int = 500) -> Usage:
        return await self._reader.ask(lambda store: self._book.usage(store, tenant, since, until, limit))

    async def generations(self, tenant: TenantId, since: float, until: float, after: str, limit: int = 500) -> Page:
        return await self._reader.ask(lambda store: self._book.generations(store, tenant, since, until, after, limit))
