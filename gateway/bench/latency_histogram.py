"""A histogram of the gateway's /metrics: how many of its observations were within what, in Prometheus' text format.

Invariant: counts are whole and cumulative; what was before is taken off by `since`, so only what was measured counts.
It must not know what was observed.
"""

import math
import re
from dataclasses import dataclass

from gateway.bench.benches import BenchError
from metrics.catalogue import PREFIX


@dataclass(frozen=True, slots=True)
class Histogram:
    """`counts` by bound, in ascending order of bounds: how many observations were no more than it. The last is all."""

    counts: dict[float, int]

    @property
    def count(self) -> int:
        """All observations."""
        return self.counts[math.inf]

    def since(self, before: "Histogram") -> "Histogram":
        """What came after `before`."""
        return Histogram({bound: count - before.counts[bound] for bound, count in self.counts.items()})

    def within(self, seconds: float) -> float:
        """The share, 0 to 1, of those that took no longer than one of the bounds. Needs an observation."""
        return self.counts[seconds] / self.count

    def quantile(self, share: float) -> float:
        """As Prometheus would estimate it: on a straight line between the two bounds. Needs an observation."""
        wanted = share * self.count
        lower, below = 0.0, 0
        for bound, count in self.counts.items():
            if count >= wanted:
                if math.isinf(bound):
                    return math.inf
                return lower + (bound - lower) * (wanted - below) / (count - below)
            lower, below = bound, count
        raise AssertionError("the last bound holds all")


def histogram(exposition: str, name: str) -> Histogram:
    """The one of this name, without the prefix. Raises BenchError where there is none."""
    found = re.findall(rf'^{PREFIX}_{name}_bucket{{le="([^"]+)"}} (\S+)$', exposition, re.MULTILINE)
    if not found:
        raise BenchError(f"the gateway has no metric {PREFIX}_{name}.")
    return Histogram({float(bound): int(float(count)) for bound, count in found})
