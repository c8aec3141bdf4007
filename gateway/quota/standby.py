"""A ledger on Redis that survives it: its loss of data, and if it may also its absence.

If it may go on alone, reservations are granted by this process' memory while Redis is away: a tenant's limits are then
those of each node, and begin anew, and an idempotency key is known only where it was used. What was reserved before
goes on unlimited, and is settled by the truth. Whether it is back is asked by sweeping, and nobody else waits for it.
Invariant: what was booked alone is in Redis once, as it was, afterwards; a server that has lost its data is told again
of what runs here, at the next word about it. It must not know streams or sockets.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.accounting import Generation, Grant, Once, Page, Remaining, Reservation, Settlement, Traffic, Usage
from gateway.config.schema import Limits
from gateway.errors import ServiceError
from gateway.log import event as log_event
from gateway.model import StreamId, TenantId
from gateway.quota import entry as entries
from gateway.quota.absence import Absence
from gateway.quota.book import DAY, Book
from gateway.quota.bucket import SECOND
from gateway.quota.entry import Entry
from gateway.quota.ledger import unavailable
from gateway.quota.policy import Rules
from gateway.quota.prices import Prices
from gateway.quota.redis import RedisLedger

logger = logging.getLogger("wavegate.ledger")

T = TypeVar("T")


class StandbyLedger:
    """Implements `Ledger`. `shared` is its own, and closed with it; the other arguments are the same as there.

    `now` is wall time, for what is booked alone. One that may not go `alone` raises `ledger_unavailable` instead.
    """

    def __init__(
        self,
        shared: RedisLedger,
        limits_of: Callable[[TenantId], Limits],
        rules: Rules | None = None,
        prices: Prices | None = None,
        *,
        alone: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._shared = shared
        self._may = alone
        self._rules = rules or Rules()
        self._prices = prices or Prices()
        self._book = Book(limits_of, self._rules, self._prices, now)
        self._now = now
        self._absence: Absence | None = None
        self._returning = asyncio.Lock()
        # Rows of this node that run, or whose bill is not taken yet, for a server that has lost them.
        self._mine: dict[StreamId, Entry] = {}
        self._name = secrets.token_hex(8)
        self._told = 0

    @property
    def alone(self) -> bool:
        """Whether Redis is away, or has not been told everything yet."""
        return self._absence is not None

    async def open(self) -> None:
        """A server that is away is no reason not to start, for one that may go on alone.

        Else raises ServiceError `ledger_unavailable`, and is closed then.
        """
        if not self._may:
            await self._shared.open()
            return
        await self.sweep()
        if self._absence is None:
            await self._shared.check()

    async def close(self) -> None:
        """Carries over what it can in one try, and says in the log what it cannot."""
        absence = self._absence
        if absence is not None:
            await self._return()
            if absence.left:
                log_event(logger, "ledger.closed_alone", lost=absence.left)
        self._absence = None
        await self._shared.close()

    async def reserve(self, reservation: Reservation) -> Grant:
        async def together() -> Grant:
            grant = await self._shared.reserve(reservation)
            if not grant.repeated:
                lease = int(self._rules.lease_seconds * SECOND)
                reserved = entries.milliseconds(grant.seconds)
                self._mine[grant.stream_id] = entries.opened(reservation, reserved, lease, self._instant())
            return grant

        return await self._either(together, lambda absence: absence.reserve(reservation))

    async def ordered(self, tenant: TenantId, once: Once) -> StreamId | None:
        return await self._either(
            lambda: self._shared.ordered(tenant, once),
            lambda absence: absence.book.ordered(absence.store, tenant, once),
        )

    async def withdraw(self, stream_id: StreamId) -> None:
        await self._either(lambda: self._shared.withdraw(stream_id), lambda absence: absence.withdraw(stream_id))
        self._mine.pop(stream_id, None)

    async def begin(self, stream_id: StreamId, provider_request_id: str | None) -> None:
        self._keep(stream_id, lambda entry: entries.begun(entry, provider_request_id))
        await self._either(
            lambda: self._shared.begin(stream_id, provider_request_id),
            lambda absence: absence.begin(stream_id, provider_request_id),
        )

    async def renew(self, stream_id: StreamId, received_seconds: float) -> bool:
        received = entries.milliseconds(received_seconds)
        self._keep(stream_id, lambda entry: entries.renewed(entry, received, self._instant()))

        async def together() -> bool:
            kept = await self._shared.renew(stream_id, received_seconds)
            return kept or (await self._restored(stream_id) and await self._shared.renew(stream_id, received_seconds))

        return await self._either(together, lambda absence: absence.renew(stream_id, received_seconds))

    async def extend(self, stream_id: StreamId, seconds: float) -> float:
        more = await self._either(
            lambda: self._shared.extend(stream_id, seconds), lambda absence: absence.extend(stream_id, seconds)
        )
        self._keep(stream_id, lambda entry: entries.extended(entry, entries.milliseconds(more)))
        return more

    async def settle(self, stream_id: StreamId, settlement: Settlement) -> Generation | None:
        """Of what was reserved in Redis, the bill is noted while that is away, and `ledger_unavailable` raised."""

        async def together() -> Generation | None:
            booked = await self._shared.settle(stream_id, settlement)
            if booked is None and await self._restored(stream_id):
                booked = await self._shared.settle(stream_id, settlement)
            self._mine.pop(stream_id, None)
            return booked

        def alone(absence: Absence) -> Generation | None:
            if absence.keeps(stream_id):
                return absence.book.settle(absence.store, stream_id, settlement)
            absence.note_settlement(stream_id, settlement)
            self._keep(stream_id, lambda entry: entries.settled(entry, settlement, self._prices, self._instant()))
            raise unavailable("is away, and takes this bill when it is back")

        return await self._either(together, alone)

    async def heard(self, traffic: Sequence[Traffic]) -> None:
        if self._absence is None:
            self._told += 1
            name = f"{self._name}:{self._told}"
            try:
                await self._shared.heard_once(traffic, name)
            except ServiceError as error:
                self._part(error).note_telling(name, traffic)
        else:
            self._absence.heard(traffic)

    async def sweep(self) -> int:
        if self._absence is None:
            try:
                ended = await self._shared.sweep()
            except ServiceError as error:
                self._part(error)
                return 0
            # What was renewed no more for a day has no owner here.
            horizon = self._instant() - DAY
            self._mine = {row.stream_id: row for row in self._mine.values() if row.expires_at > horizon}
            return ended
        ended = self._absence.book.sweep(self._absence.store)
        await self._return()
        return ended

    # -- looking things up -----------------------------------------------------------------------------------------

    async def remaining(self, tenant: TenantId) -> Remaining:
        """Alone: of what this node has granted since."""
        return await self._either(
            lambda: self._shared.remaining(tenant), lambda absence: absence.book.remaining(absence.store, tenant)
        )

    async def generation(self, tenant: TenantId, stream_id: StreamId) -> Generation | None:
        absence = self._absence
        if absence is not None and absence.keeps(stream_id):
            return absence.book.generation(absence.store, tenant, stream_id)
        self._check()
        return await self._shared.generation(tenant, stream_id)

    async def usage(self, tenant: TenantId, since: float, until: float, *, limit: int = 500) -> Usage:
        """Alone it is not known."""
        self._check()
        return await self._shared.usage(tenant, since, until, limit=limit)

    async def generations(self, tenant: TenantId, since: float, until: float, after: str, limit: int = 500) -> Page:
        """Alone they are not known."""
        self._check()
        return await self._shared.generations(tenant, since, until, after, limit)

    # -- alone and together again ----------------------------------------------------------------------------------

    async def _either(self, together: Callable[[], Awaitable[T]], alone: Callable[[Absence], T]) -> T:
        if self._absence is None:
            try:
                return await together()
            except ServiceError as error:
                self._part(error)
        # What is done alone is done at once: nothing comes between that would end the absence.
        return alone(self._leave())

    def _part(self, error: ServiceError) -> Absence:
        if not self._may:
            raise error
        return self._leave()

    def _leave(self) -> Absence:
        if self._absence is None:
            self._told += 1
            self._absence = Absence(self._book, f"{self._name}:{self._told}")
            log_event(logger, "ledger.alone")
        return self._absence

    async def _return(self) -> None:
        async with self._returning:
            absence = self._absence
            if absence is None:
                return
            try:
                await self._shared.ping()
                # A server that has its data takes none of these.
                for stream_id in list(self._mine):
                    await self._restored(stream_id)
                await absence.carry_over(self._shared)
            except ServiceError:
                return
            self._absence = None
            known = [*self._mine.values(), *absence.rows]
            self._mine = {entry.stream_id: entry for entry in known if entry.open}
            log_event(logger, "ledger.together", rows=len(absence.rows))

    async def _restored(self, stream_id: StreamId) -> bool:
        """Tells of a row that runs here, in case it is not known any more; False if there is none."""
        entry = self._mine.get(stream_id)
        if entry is None:
            return False
        await self._shared.carry(entries.renewed(entry, 0, self._instant()), replace=False)
        return True

    def _keep(self, stream_id: StreamId, change: Callable[[Entry], Entry]) -> None:
        if stream_id in self._mine:
            self._mine[stream_id] = change(self._mine[stream_id])

    def _check(self) -> None:
        if self._absence is not None:
            raise unavailable("is away")

    def _instant(self) -> int:
        return int(self._now() * SECOND)
