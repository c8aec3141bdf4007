"""What the book asks of a place that keeps its rows: look-ups and writes, all within one atomic step of the caller's.

Invariant: nothing here decides anything. A look-up sees every write before it, of other processes too, and either all
writes of a step are kept or none. Budgets are kept as sums beside the rows, so that a reservation costs the same in a
month of a hundred rows and of a hundred thousand. It must not know limits, prices or a clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gateway.accounting import Page, Totals
from gateway.errors import RequestError
from gateway.model import StreamId, TenantId
from gateway.quota.entry import Entry, shown
from gateway.quota.policy import Used

# How many completed generations an estimate is learned from.
HISTORY = 20


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an idempotency key stands for, until `expires_at`."""

    request_hash: str
    stream_id: StreamId
    expires_at: int


class Place(NamedTuple):
    """Where a row stands among its tenant's."""

    created_at: int
    stream_id: str

    @classmethod
    def told(cls, after: str) -> "Place":
        """From what a page has given. Raises RequestError when none has."""
        created_at, _, stream_id = after.partition(":")
        if not (created_at.isascii() and created_at.isdecimal() and len(created_at) < 19):
            raise RequestError("invalid_request", "This is not what a page of usage has given.", param="after")
        return cls(int(created_at), stream_id)


def paged(rows: Sequence[Entry], limit: int) -> Page:
    """The first `limit` of these as they are shown, and what to ask for the others with."""
    more = f"{rows[limit - 1].created_at}:{rows[limit - 1].stream_id}" if len(rows) > limit else None
    return Page([shown(row) for row in rows[:limit]], more)


class Store(Protocol):
    """Instants are microseconds."""

    def entry(self, stream_id: StreamId) -> Entry | None: ...

    def add(self, entry: Entry, remembered: tuple[str, Remembered] | None) -> None:
        """A new row, and the idempotency key it is remembered by."""
        ...

    def change(self, before: Entry, after: Entry) -> None: ...

    def use(self, tenant: TenantId, period: str, audio: int, egress: int) -> None:
        """Adds to what the tenant has used in a period."""
        ...

    def used(self, tenant: TenantId, period: str) -> Used: ...

    def held(self, tenant: TenantId) -> int:
        """Open rows of the tenant."""
        ...

    def lapsed(self, now: int) -> Sequence[Entry]:
        """Open rows, of all tenants, whose lease is over or reaches further than a lease can."""
        ...

    def nth_start(self, tenant: TenantId, number: int, after: int, until: int) -> int | None:
        """When the `number`-th latest of the tenant's starts past `after` and up to `until` was; None if fewer."""
        ...

    def durations(self, tenant: TenantId | None, model: str) -> Sequence[int]:
        """What the last `HISTORY` completed generations of a model took, of one tenant or of all."""
        ...

    def remembered(self, tenant: TenantId, key: str) -> Remembered | None: ...

    def forget(self, stream_id: StreamId) -> None:
        """Forgets the idempotency key that this stream is remembered by."""
        ...

    def prune(self, now: int, horizon: int, oldest_day: str) -> None:
        """Drops idempotency keys that are over, a bounded number of ended rows from before `horizon`, and old sums."""
        ...

    def totals(self, tenant: TenantId, since: int, until: int) -> Totals: ...

    def page(self, tenant: TenantId, since: int, until: int, after: Place | None, limit: int) -> Sequence[Entry]:
        """Rows by time of creation and id, past `after`."""
        ...
