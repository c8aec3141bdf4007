"""The metrics of processes that come and go, as one page: what was counted stays when who counted it is gone.

Invariant: a counter of the page never goes backwards, whoever dies, is replaced or does not answer; label values past
their limit count as `other`, over all processes together, and whoever was named once stays named.
It must not know how the processes are asked.
"""

from collections.abc import Hashable, Iterator

from prometheus_client import Metric

from metrics.bounds import Bounds
from metrics.merging import Reader, Snapshot, families, lasting, merge


class Totals:
    """`look` takes a process's page, `gone` says that there will be no other. `max_tenants` as of a Recorder."""

    def __init__(self, *, max_tenants: int = 100) -> None:
        self._reader = Reader(Bounds(max_tenants).names)
        self._last: dict[Hashable, Snapshot] = {}
        self._past: Snapshot = {}

    def look(self, process: Hashable, page: str) -> None:
        """Takes the newest page of a process, in the text format, in place of its last. Raises ValueError."""
        self._last[process] = self._reader.read(page)

    def gone(self, process: Hashable) -> None:
        """What it has counted stays; a second call, and one for a process that was never seen, does nothing."""
        self._past = merge((self._past, lasting(self._last.pop(process, {}))))

    def collect(self) -> Iterator[Metric]:
        """All families, as a registry gives them."""
        return families(merge((self._past, *self._last.values())))
