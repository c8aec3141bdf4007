"""News of a tenant's budget, for its sessions: `quota.updated` when one begins, or something was reserved or settled.

Invariant: a tenant is told at most once a second, and the last change is always told; only who holds a key is told,
for a budget is no business of guests. A ledger that is away costs news and nothing else.
It must not know sockets, nor what has changed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.accounting import Budget, Remaining
from gateway.log import event
from gateway.model import TenantId
from gateway.protocol.events import QuotaBudget, QuotaUpdated
from gateway.quota.ledger import Ledger

logger = logging.getLogger("wavegate.quotanews")

INTERVAL_SECONDS = 1.0
LIMITS = ("concurrent_streams", "audio_seconds_per_day", "audio_seconds_per_month", "egress_bytes_per_day")


class Owner(Protocol):
    """Who sits in a seat."""

    def tell_owner(self, message: QuotaUpdated) -> None:
        """Says it, to whoever holds a key."""
        ...


class QuotaNews:
    """`run()` is its one task. `holders` are the sessions of a tenant; `changed` may be called at any time."""

    def __init__(
        self,
        holders: Callable[[TenantId], Sequence[Owner]],
        ledger: Ledger,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._holders = holders
        self._ledger = ledger
        self._sleep = sleep
        self._changed: set[TenantId] = set()
        self._news = asyncio.Event()

    def changed(self, tenant: TenantId) -> None:
        """Something was reserved, settled or refused, or somebody has come who does not know yet."""
        self._changed.add(tenant)
        self._news.set()

    async def run(self) -> None:
        """Tells, until it is cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            changed, self._changed = self._changed, set()
            for tenant in changed:
                await self._tell(tenant)
            await self._sleep(INTERVAL_SECONDS)

    async def _tell(self, tenant: TenantId) -> None:
        if not self._holders(tenant):
            return
        try:
            message = quota_updated(await self._ledger.remaining(tenant))
        except Exception:
            event(logger, "quota.news_failed", exc_info=True, tenant=tenant)
            return
        for owner in self._holders(tenant):
            try:
                owner.tell_owner(message)
            except Exception:
                event(logger, "quota.news_unheard", exc_info=True, tenant=tenant)


def quota_updated(remaining: Remaining) -> QuotaUpdated:
    """What is left as a message."""
    budgets: dict[str, Budget] = {name: getattr(remaining, name) for name in LIMITS}
    shown = {name: _shown(budget) for name, budget in budgets.items()}
    return QuotaUpdated(**shown, warnings=[name for name, budget in budgets.items() if budget.low])


def _shown(budget: Budget) -> QuotaBudget:
    return QuotaBudget(budget.limit, round(budget.used, 3), budget.remaining, budget.resets_at)
