"""How often each ticket has been used and how many seconds were bought with it: the port, and its form in memory.

Invariant: of any number of calls at once, exactly as many spend a use, and exactly as many seconds are taken, as the
ticket allows. A ticket is remembered for `KEEP_SECONDS` longer than it is good, and after that it is refused unseen, so
forgetting never makes a used ticket new. It must not know how a ticket looks, nor who may have one.
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import ServiceError

# Longer than the leeway that clocks are granted and the longest wait for an answer, together; and so far a clock may be
# put back without making a used ticket new.
KEEP_SECONDS = 3600.0
# Tickets that memory may hold: some 300 MB.
MOST_TICKETS = 1_000_000


class Uses(Protocol):
    """A store of uses. Every method may raise ServiceError, `overloaded` or `cluster_unavailable`: then nothing may be
    granted."""

    async def spend(self, ticket_id: bytes, limit: int, expires_at: float) -> bool:
        """Spends one of `limit` uses (1 or more); False when none is left. `expires_at` is in Unix seconds."""
        ...

    async def take(self, ticket_id: bytes, seconds: float, ceiling: float, expires_at: float) -> bool:
        """Takes seconds of audio out of `ceiling`; False, with nothing taken, when fewer than that are left."""
        ...

    async def settle(self, ticket_id: bytes, taken: float, used: float) -> None:
        """Counts `used` in place of what one `take` took. To be called once; a ticket that is forgotten stays so."""
        ...

    async def secret(self, fresh: bytes) -> bytes:
        """The secret that this store keeps for whoever signs: `fresh`, if it keeps none yet."""
        ...


def milliseconds(seconds: float) -> int:
    """What is added up: sums of whole numbers are exact."""
    return round(seconds * 1000)


def overloaded(sentence: str) -> ServiceError:
    """The store can say nothing for the moment."""
    return ServiceError("overloaded", sentence, retry_after=1.0)


@dataclass(slots=True)
class _Record:
    spent: int = 0
    milliseconds: int = 0


class MemoryUses:
    """Implements `Uses` for one process; it forgets everything at a restart, its secret too, so no ticket outlives it.

    Nothing waits between a look and the count, so the loop itself keeps calls apart.
    """

    def __init__(self, *, now: Callable[[], float] = time.time, most: int = MOST_TICKETS) -> None:
        self._now = now
        self._most = most
        self._records: dict[bytes, _Record] = {}
        self._ends: list[tuple[float, bytes]] = []
        self._secret: bytes | None = None

    def __len__(self) -> int:
        """How many tickets are remembered."""
        return len(self._records)

    async def spend(self, ticket_id: bytes, limit: int, expires_at: float) -> bool:
        """Spends one of `limit` uses."""
        record = self._record(ticket_id, expires_at)
        if record is None or record.spent >= limit:
            return False
        record.spent += 1
        return True

    async def take(self, ticket_id: bytes, seconds: float, ceiling: float, expires_at: float) -> bool:
        """Takes seconds of audio out of `ceiling`."""
        record = self._record(ticket_id, expires_at)
        wanted = milliseconds(seconds)
        if record is None or record.milliseconds + wanted > milliseconds(ceiling):
            return False
        record.milliseconds += wanted
        return True

    async def settle(self, ticket_id: bytes, taken: float, used: float) -> None:
        """Counts `used` in place of `taken`."""
        record = self._records.get(ticket_id)
        if record is not None:
            record.milliseconds += milliseconds(used) - milliseconds(taken)

    async def secret(self, fresh: bytes) -> bytes:
        """The first that was given."""
        if self._secret is None:
            self._secret = fresh
        return self._secret

    def _record(self, ticket_id: bytes, expires_at: float) -> _Record | None:
        """The ticket's record; None for one that may have been forgotten. Raises ServiceError."""
        now = self._now()
        while self._ends and self._ends[0][0] <= now:
            del self._records[heapq.heappop(self._ends)[1]]
        end = expires_at + KEEP_SECONDS
        if end <= now:
            return None
        record = self._records.get(ticket_id)
        if record is None:
            if len(self._records) >= self._most:
                raise overloaded("More tickets are in use than this gateway can remember: come back in a moment.")
            record = self._records[ticket_id] = _Record()
            heapq.heappush(self._ends, (end, ticket_id))
        return record
