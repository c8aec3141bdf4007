"""The verbs by which the gateway records what happened; each knows its metric and labels, the caller knows neither.

Invariant: recording never raises, never blocks, and never creates an unbounded series: tenants past the limit count
as `other`. Every Recorder has a registry of its own, so that two gateways in one process do not mix.
"""

import platform

from metrics.verbs.buying import Buying
from metrics.verbs.hearing import Hearing
from metrics.verbs.running import Running


class Recorder(Hearing, Buying, Running):
    """All instruments of one gateway. `max_tenants` bounds the values of the `tenant` label."""

    def __init__(self, *, version: str = "dev", max_tenants: int = 100) -> None:
        super().__init__(max_tenants=max_tenants)
        self._child("build_info", version, platform.python_version()).set(1)
