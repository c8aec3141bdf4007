"""The ledger in memory: slots as leases with an owner and an expiry, and the seconds each tenant has used.

Invariant: a slot is held by a stream's id, never counted up and down, so no cancel, crash or bug can hold it longer
than its lease; a bill is settled once. It forgets everything at a restart. It must not know streams or sockets.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.config.schema import Limits
from gateway.errors import LimitError
from gateway.model import StreamId, TenantId


@dataclass(slots=True)
class _Lease:
    tenant: TenantId
    expires_at: float


class MemoryLedger:
    """Implements the relay's `Ledger` port. `lease_seconds` is how long a slot survives its owner."""

    def __init__(
        self,
        limits_of: Callable[[TenantId], Limits],
        *,
        lease_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits_of = limits_of
        self._lease_seconds = lease_seconds
        self._now = now
        self._leases: dict[StreamId, _Lease] = {}
        self._settled: dict[TenantId, float] = {}

    async def reserve(self, tenant: TenantId, stream_id: StreamId) -> None:
        """Takes a slot. Raises LimitError `concurrency_exceeded` when all of the tenant's are held."""
        limit = self._limits_of(tenant).concurrent_streams
        if limit and self.held(tenant) >= limit:
            sentence = (
                f"All {limit} streams this tenant may run at once are running: wait for one to end, or cancel one."
            )
            raise LimitError("concurrency_exceeded", sentence, retry_after=5.0)
        self._leases[stream_id] = _Lease(tenant, self._now() + self._lease_seconds)

    async def renew(self, stream_id: StreamId) -> None:
        """Keeps a lease that is still there; one that has expired is gone for good."""
        lease = self._leases.get(stream_id)
        if lease is not None and lease.expires_at > self._now():
            lease.expires_at = self._now() + self._lease_seconds

    async def settle(self, stream_id: StreamId, seconds: float) -> None:
        """Books the seconds, of an expired lease too, and gives the slot back. A second call does nothing."""
        lease = self._leases.pop(stream_id, None)
        if lease is not None:
            self._settled[lease.tenant] = self._settled.get(lease.tenant, 0.0) + seconds

    def held(self, tenant: TenantId) -> int:
        """Slots the tenant holds now: a lease past its expiry holds none, though its bill may still come."""
        now = self._now()
        return sum(lease.tenant == tenant and lease.expires_at > now for lease in self._leases.values())

    def settled_seconds(self, tenant: TenantId) -> float:
        """Seconds of audio settled for the tenant since the start."""
        return self._settled.get(tenant, 0.0)
