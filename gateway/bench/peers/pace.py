"""A pace: something is due each `period` seconds, counted from the beginning.

Invariant: absolute, so that whoever is late once is not late for ever; what is overdue is due at once, and none is left
out. It must not know what is due, nor how one waits.
"""

from collections.abc import Callable


class Pace:
    """Begins when it is made; the first is due one period later. `now` gives seconds that only grow."""

    def __init__(self, period: float, now: Callable[[], float]) -> None:
        self._period = period
        self._now = now
        self._begin = now()
        self._count = 0

    def left(self) -> float:
        """Seconds until the next is due, 0 if it is overdue. Each call is about one more."""
        self._count += 1
        return max(0.0, self._begin + self._count * self._period - self._now())
