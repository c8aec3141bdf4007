"""The ledger as others see it: one interface, whoever keeps the books.

Invariant: each method is one atomic step, so that no caller ever reads and then writes; whoever implements it (in
memory, on SQLite, on Redis) answers in the values of `gateway.accounting` and raises only the errors named here.
Times are seconds since the epoch. It must not know a store.
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.accounting import Generation, Grant, Once, Page, Remaining, Reservation, Settlement, Traffic, Usage
from gateway.errors import RequestError, ServiceError
from gateway.model import StreamId, TenantId

RETRY_SECONDS = 1.0


def unavailable(what: str) -> ServiceError:
    """The ledger cannot take a step now; `what` is said of it."""
    sentence = f"The ledger {what}: nothing can be started or booked now. Try again in a moment."
    return ServiceError("ledger_unavailable", sentence, retry_after=RETRY_SECONDS)


def conflict() -> RequestError:
    """The idempotency key stands for another request."""
    sentence = "This Idempotency-Key was used for another request: use a new one for a new request."
    return RequestError("idempotency_conflict", sentence, param="Idempotency-Key")


class Ledger(Protocol):
    """Every method but `close` may raise ServiceError `ledger_unavailable`, and each ends within a bounded time."""

    async def open(self) -> None:
        """Makes it ready; generations whose lease ended meanwhile are settled by what was received of them."""
        ...

    async def close(self) -> None:
        """Writes down everything that was asked for and lets go; a second call does nothing."""
        ...

    async def reserve(self, reservation: Reservation) -> Grant:
        """Checks every limit and takes a slot and seconds, as a lease, all in one step or not at all.

        Raises LimitError `concurrency_exceeded`, `rate_exceeded` or `quota_exceeded`, and RequestError
        `idempotency_conflict` when its key stands for another request.
        """
        ...

    async def ordered(self, tenant: TenantId, once: Once) -> StreamId | None:
        """What was reserved under this key, None if nothing was. Raises RequestError `idempotency_conflict`."""
        ...

    async def withdraw(self, stream_id: StreamId) -> None:
        """It was never begun: all is given back, and its idempotency key forgotten. Does nothing once it has sound."""
        ...

    async def begin(self, stream_id: StreamId, provider_request_id: str | None) -> None:
        """The provider has begun, and this is its name for the generation."""
        ...

    async def renew(self, stream_id: StreamId, received_seconds: float) -> bool:
        """Keeps the lease, and notes what a crash would charge. An ended lease is taken up again if there is room.

        False: the lease is lost, and only `settle` is left to do.
        """
        ...

    async def extend(self, stream_id: StreamId, seconds: float) -> float:
        """Reserves more and gives how much: at most `seconds`, less when less is left, 0 if nothing is running.

        Raises LimitError `quota_exceeded` when the budget has ended. It renews the lease as well.
        """
        ...

    async def settle(self, stream_id: StreamId, settlement: Settlement) -> Generation | None:
        """Books the end, of an expired lease too, and gives slot and rest back. A second call changes nothing.

        Gives the row as it is booked; None when nothing was ever reserved under this id.
        """
        ...

    async def heard(self, traffic: Sequence[Traffic]) -> None:
        """Adds what listeners took, of ended generations too. Bytes count for the day on which they are told of."""
        ...

    async def sweep(self) -> int:
        """Settles leases that have ended and gives how many, and forgets what is too old. To be called often."""
        ...

    async def remaining(self, tenant: TenantId) -> Remaining:
        """What the tenant has left right now."""
        ...

    async def generation(self, tenant: TenantId, stream_id: StreamId) -> Generation | None:
        """One row, if it is this tenant's."""
        ...

    async def usage(self, tenant: TenantId, since: float, until: float, *, limit: int = 500) -> Usage:
        """The tenant's generations created from `since` up to but not including `until`: totals and a first page."""
        ...

    async def generations(self, tenant: TenantId, since: float, until: float, after: str, limit: int = 500) -> Page:
        """The next page of them. Raises RequestError when `after` is nothing that a page has given."""
        ...
