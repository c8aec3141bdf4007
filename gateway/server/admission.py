"""Whether there is room for something new in this process, which is asked at every door that begins something.

Invariant: connections are counted from those that are there, never by a number kept beside them; whoever is refused is
told when to come back, each at a moment of its own; whoever listens already is never asked.
It must not know tenants, nor in what way a door says no.
"""

import logging
import random
from collections.abc import Callable

from gateway.errors import ServiceError
from gateway.log import event
from metrics.recorder import Recorder

logger = logging.getLogger("wavegate.admission")

# Connections past the limit to which the doors still say no in their own way: a page can be told only on a WebSocket
# that stands. Those past them hear it from the port, before the HTTP server has seen them.
MARGIN = 64
# When those who are refused may knock again, in seconds: not all at once.
RETRY_SECONDS = (2.0, 10.0)
# Of the container's memory when no mark is configured: the rest is for the codec workers and the page cache.
MEMORY_SHARE = 0.85
# Over the mark it is full until below this share of it, else it would open and close with every song.
_CLEAR_SHARE = 0.95
_SAMPLE_SECONDS = 0.5
# Files for what else is open: to the provider, to the workers, and to those who are being turned away.
_SPARE_FILES = 1024
# Linux lets no process open more, unless it is told to.
_MOST_FILES = 1 << 20


def files_for(max_connections: int) -> int:
    """How many files must be allowed for so many connections; for as many as possible if 0."""
    return max_connections + _SPARE_FILES if max_connections else _MOST_FILES


def capacity(max_connections: int, files: int | None) -> int:
    """Connections to take: as configured, and no more than files can be opened; 0 is no limit.

    Without a file left a gateway does not even say no: accepting stops, and whoever knocks waits in the dark.
    """
    if files is None:
        return max_connections
    most = max(1, files - min(_SPARE_FILES, files // 4))
    return min(max_connections or most, most)


class Admission:
    """`limit` connections and `memory` bytes, 0 for no limit; `occupied` and `resident` tell how many there are now."""

    def __init__(
        self,
        limit: int,
        memory: int,
        occupied: Callable[[], int],
        resident: Callable[[], int],
        recorder: Recorder,
        now: Callable[[], float],
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._limit = limit
        self._memory = memory
        self._occupied = occupied
        self._resident = resident
        self._recorder = recorder
        self._now = now
        self._uniform = uniform
        self._over = False
        self._sampled_at: float | None = None

    def check_newcomer(self) -> None:
        """At a door that begins something. The connection that asks is counted already. Raises ServiceError."""
        if self._limit and self._occupied() > self._limit:
            raise self._refusal("connections")
        self.check_order()

    def check_order(self) -> None:
        """Where somebody who is in wants a new song. Raises ServiceError."""
        if self._out_of_memory():
            raise self._refusal("memory")

    def crowded(self) -> ServiceError | None:
        """Why a connection that has just come, and is not counted yet, does not even reach a door."""
        if self._limit and self._occupied() >= self._limit + MARGIN:
            return self._refusal("connections")
        return None

    def full(self) -> list[str]:
        """What there is no room in: reasons to send new work elsewhere."""
        connections = bool(self._limit) and self._occupied() >= self._limit
        return ["connections"] * connections + ["memory"] * self._out_of_memory()

    def _refusal(self, reason: str) -> ServiceError:
        self._recorder.refused(reason)
        event(logger, "gateway.full", reason=reason)
        return ServiceError(
            "overloaded", "This gateway is full: come back in a moment.", retry_after=self._uniform(*RETRY_SECONDS)
        )

    def _out_of_memory(self) -> bool:
        if not self._memory:
            return False
        now = self._now()
        if self._sampled_at is None or now - self._sampled_at >= _SAMPLE_SECONDS:
            self._sampled_at = now
            mark = self._memory * _CLEAR_SHARE if self._over else self._memory
            self._over = self._resident() > mark
        return self._over
