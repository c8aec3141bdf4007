"""The ledger in memory: exact as long as the process lives, and forgotten with it.

Invariant: no method gives way to another task before its step is done, so every step is atomic among the tasks of one
loop; it is not for several threads. It must not know streams or sockets.
"""

import time
from collections.abc import Callable, Sequence

from gateway.accounting import Generation, Grant, Once, Page, Remaining, Reservation, Settlement, Traffic, Usage
from gateway.config.schema import Limits
from gateway.model import StreamId, TenantId
from gateway.quota.book import Book
from gateway.quota.memory_store import MemoryStore
from gateway.quota.policy import Rules
from gateway.quota.prices import Prices

# Rows kept for `usage`: some 5 MiB, and a sum over all of them takes the loop 5 ms.
KEPT_ROWS = 10_000


class VolatileLedger:
    """Implements `Ledger`. `now` is wall time."""

    def __init__(
        self,
        limits_of: Callable[[TenantId], Limits],
        rules: Rules | None = None,
        prices: Prices | None = None,
        *,
        now: Callable[[], float] = time.time,
        keep: int = KEPT_ROWS,
    ) -> None:
        self._book = Book(limits_of, rules or Rules(), prices or Prices(), now)
        self._store = MemoryStore(keep)

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """There is nothing to write down."""

    async def reserve(self, reservation: Reservation) -> Grant:
        return self._book.reserve(self._store, reservation)

    async def ordered(self, tenant: TenantId, once: Once) -> StreamId | None:
        return self._book.ordered(self._store, tenant, once)

    async def withdraw(self, stream_id: StreamId) -> None:
        self._book.withdraw(self._store, stream_id)

    async def begin(self, stream_id: StreamId, provider_request_id: str | None) -> None:
        self._book.begin(self._store, stream_id, provider_request_id)

    async def renew(self, stream_id: StreamId, received_seconds: float) -> bool:
        return self._book.renew(self._store, stream_id, received_seconds)

    async def extend(self, stream_id: StreamId, seconds: float) -> float:
        return self._book.extend(self._store, stream_id, seconds)

    async def settle(self, stream_id: StreamId, settlement: Settlement) -> Generation | None:
        return self._book.settle(self._store, stream_id, settlement)

    async def heard(self, traffic: Sequence[Traffic]) -> None:
        self._book.heard(self._store, traffic)

    async def sweep(self) -> int:
        return self._book.sweep(self._store)

    async def remaining(self, tenant: TenantId) -> Remaining:
        return self._book.remaining(self._store, tenant)

    async def generation(self, tenant: TenantId, stream_id: StreamId) -> Generation | None:
        return self._book.generation(self._store, tenant, stream_id)

    async def usage(self, tenant: TenantId, since: float, until: float, *, limit: int = 500) -> Usage:
        return self._book.usage(self._store, tenant, since, until, limit)

    async def generations(self, tenant: TenantId, since: float, until: float, after: str, limit: int = 500) -> Page:
        return self._book.generations(self._store, tenant, since, until, after, limit)
