"""Who listens of each tenant: how many there may be, and whether they may be sent more today.

Invariant: a limit counts the listeners that are there and the places that are held, never a number kept beside them;
what was sent is the ledger's to know, and is asked for about once a second, so a day's bytes are overshot by about a
second of them. It must not know streams, nor what is sent.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.config.schema import Limits
from gateway.errors import LimitError
from gateway.log import bound
from gateway.model import TenantId
from gateway.relay.departure import LEFT
from gateway.relay.instruments import Instruments
from gateway.relay.listener import Listener
from gateway.relay.ports import Ledger
from gateway.relay.visit import Visit

RETRY_SECONDS = 5.0
# Listeners that are sent away in one go, before others have their turn.
AT_ONCE = 64


class Place:
    """Kept for a listener that is not there yet, and counts as one."""


class Audiences:
    """Of all tenants. `elsewhere` tells how many of one listen on other nodes, as of about a second ago."""

    def __init__(
        self,
        ledger: Ledger,
        limits_of: Callable[[TenantId], Limits],
        instruments: Instruments,
        elsewhere: Callable[[TenantId], int] | None = None,
    ) -> None:
        self._elsewhere = elsewhere or (lambda _: 0)
        self._ledger = ledger
        self._limits_of = limits_of
        self._instruments = instruments
        self._all: dict[TenantId, set[Listener | Place]] = {}
        self._visits: dict[Listener, Visit] = {}
        # Tenants that have had all the bytes of their day, and what they hear of it.
        self._spent: dict[TenantId, LimitError] = {}
        # Those that something was given to since the last look: who has gone again by then was sent bytes all the same.
        self._given: set[TenantId] = set()

    @contextmanager
    def place(self, tenant: TenantId) -> Iterator[Place]:
        """Holds a place while a song is bought for whoever will take it: what is bought can be heard.

        Raises LimitError, before anything is spent.
        """
        self.check(tenant)
        held = Place()
        self._all.setdefault(tenant, set()).add(held)
        try:
            yield held
        finally:
            self._remove(tenant, held)

    def check(self, tenant: TenantId) -> None:
        """Whether there may be one more. Raises LimitError."""
        self.check_bytes(tenant)
        limit = self._limits_of(tenant).listeners
        if limit and len(self._all.get(tenant, ())) + self._elsewhere(tenant) >= limit:
            self._instruments.recorder.quota_rejected(tenant, "listeners")
            sentence = f"All {limit} listeners of this tenant are in use."
            raise LimitError("concurrency_exceeded", sentence, retry_after=RETRY_SECONDS)

    def check_bytes(self, tenant: TenantId) -> None:
        """Whether something may be sent to whoever is no listener: a small part, a clip. Raises LimitError."""
        if (spent := self._spent.get(tenant)) is not None:
            self._instruments.recorder.quota_rejected(tenant, "egress")
            raise spent
        self._given.add(tenant)

    @property
    def sizes(self) -> dict[TenantId, int]:
        """How many of each tenant there are on this node."""
        return {tenant: len(mine) for tenant, mine in self._all.items()}

    def enter(self, tenant: TenantId, listener: Listener, place: Place | None) -> None:
        """One more, in the place that was held for it if there is one; else it has been checked."""
        mine = self._all.setdefault(tenant, set())
        if place is not None:
            mine.discard(place)
        mine.add(listener)
        visit = self._visits[listener] = Visit(tenant, bound(), self._instruments.now())
        visit.began(listener)

    def leave(self, tenant: TenantId, listener: Listener, reason: str = LEFT) -> None:
        """It is gone; a second call does nothing."""
        listener.leave(reason)
        if listener in self._all.get(tenant, ()) and (visit := self._visits.pop(listener, None)) is not None:
            visit.ended(listener, self._instruments.now())
        self._remove(tenant, listener)

    def _remove(self, tenant: TenantId, one: Listener | Place) -> None:
        mine = self._all.get(tenant)
        if mine is not None:
            mine.discard(one)
            if not mine:
                del self._all[tenant]

    # -- the bytes of a day ----------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Sends away the listeners of tenants whose bytes of the day are used up; for a new day's they may come again.

        Raises what the ledger does.
        """
        for tenant in {*self._all, *self._spent, *self._given}:
            limit = self._limits_of(tenant).egress_bytes_per_day
            self._given.discard(tenant)
            try:
                budget = (await self._ledger.remaining(tenant)).egress_bytes_per_day if limit else None
            except BaseException:
                self._given.add(tenant)
                raise
            if budget is None or budget.used < limit:
                self._spent.pop(tenant, None)
                continue
            sentence = f"The {limit} bytes that may be sent to this tenant's listeners a day are used up."
            wait = max(0.0, (budget.resets_at or 0.0) - self._instruments.time())
            error = self._spent[tenant] = LimitError("quota_exceeded", sentence, retry_after=wait)
            for number, listener in enumerate(tuple(self._all.get(tenant, ())), 1):
                if isinstance(listener, Listener):
                    listener.refuse(error)
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
