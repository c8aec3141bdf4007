"""The series behind the verbs: instruments made from the catalogue, their children bound once, label values bounded.

Invariant: nothing here raises or blocks when it is used, and no use makes more series than the catalogue allows.
It must not know what any metric means.
"""

from bisect import bisect_left
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client import Histogram as _Histogram

from metrics.bounds import Bounds
from metrics.catalogue import CATALOGUE, Row


class Histogram(_Histogram):
    """The client library's, to which the same value can be given many times at once."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None, times: int = 1) -> None:
        """As if `amount` had been observed so many times."""
        if times != 1:
            self._sum.inc(amount * times)
            self._buckets[bisect_left(self._upper_bounds, amount)].inc(times)
        else:
            super().observe(amount, exemplar)


_KINDS: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}
# Of a row whose labels' values are all known, and make no more series than this, all are there from the start.
_MOST_AT_FIRST = 64


def _build(row: Row, registry: CollectorRegistry) -> Any:
    extra = {"buckets": row.buckets} if row.kind == "histogram" else {}
    metric = _KINDS[row.kind](row.full, row.help, row.labels, registry=registry, **extra)
    if row.initial:
        metric.set(row.initial)
    return metric


class Series:
    """All instruments of one gateway. `max_tenants` bounds the values of the `tenant` label."""

    def __init__(self, *, max_tenants: int = 100) -> None:
        self.registry = CollectorRegistry()
        self._metrics = {row.name: _build(row, self.registry) for row in CATALOGUE}
        self._bounds = Bounds(max_tenants)
        # labels() takes a lock and builds strings on each call: children are bound once and kept.
        self._children: dict[tuple[str, ...], Any] = {}
        for row in CATALOGUE:
            for values in known(row):
                self._child(row.name, *values)

    def _child(self, name: str, *labels: str) -> Any:
        """The series of these label values, or the one that they share with others."""
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            metric = self._metrics[name]
            names = self._bounds.names(name, labels)
            child = metric.labels(*names) if labels else metric
            # Only what has a series of its own is remembered: of other values there may be any number.
            if names == labels:
                self._children[key] = child
        return child


def known(row: Row) -> list[tuple[str, ...]]:
    """The label values of a row that are there from the start; none where some are not known."""
    found: list[tuple[str, ...]] = [()]
    for label in row.by:
        found = [(*values, value) for values in found for value in label.values]
    return found if row.by and len(found) <= _MOST_AT_FIRST else []
