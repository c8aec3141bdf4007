"""Who of each tenant is connected: a place for every authenticated WebSocket, up to the tenant's limit.

Invariant: a place is held by somebody, never counted up and down, so that leaving twice frees one and not two.
It must not know what somebody is.
"""

import random
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.config.schema import Limits
from gateway.errors import LimitError
from gateway.model import TenantId
from gateway.server.admission import RETRY_SECONDS
from metrics.recorder import Recorder

Holder = TypeVar("Holder")


class Seats(Generic[Holder]):
    """`limits_of` tells a tenant's limits; `connections` of 0 is no limit."""

    def __init__(
        self,
        limits_of: Callable[[TenantId], Limits],
        recorder: Recorder,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._limits_of = limits_of
        self._recorder = recorder
        self._uniform = uniform
        self._taken: dict[TenantId, set[Holder]] = {}

    def taken(self, tenant: TenantId) -> int:
        """Places the tenant holds now."""
        return len(self._taken.get(tenant, ()))

    def holders(self, tenant: TenantId) -> list[Holder]:
        """Who holds them, at this moment."""
        return list(self._taken.get(tenant, ()))

    def everybody(self) -> list[Holder]:
        """Who holds a place, of any tenant."""
        return [holder for holders in self._taken.values() for holder in holders]

    def check(self, tenant: TenantId) -> None:
        """Raises LimitError when the tenant has no place left."""
        limit = self._limits_of(tenant).connections
        if limit and self.taken(tenant) >= limit:
            self._recorder.quota_rejected(tenant, "connections")
            sentence = f"All {limit} connections this tenant may have at once are open: close one, or come back later."
            raise LimitError("concurrency_exceeded", sentence, retry_after=self._uniform(*RETRY_SECONDS))

    def take(self, tenant: TenantId, holder: Holder) -> None:
        """Gives `holder` a place. Raises LimitError."""
        self.check(tenant)
        self._taken.setdefault(tenant, set()).add(holder)

    def leave(self, tenant: TenantId, holder: Holder) -> None:
        """The place is free again; whoever holds none frees none."""
        holders = self._taken.get(tenant)
        if holders is not None:
            holders.discard(holder)
            if not holders:
                del self._taken[tenant]
