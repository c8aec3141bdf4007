"""Whether anybody still wants a stream: what becomes of it when its last listener has left.

Invariant: a stream that nobody has come to hear yet is wanted; one that was left is given up once its grace is over,
and anybody who comes before that begins it anew. It must not know streams or listeners.
"""

import re
from collections.abc import Callable

from gateway.errors import RequestError

_GRACE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)s", re.ASCII)


def grace_of(policy: str) -> float | None:
    """`finish` is None, `cancel` no time, and a time such as `30s` that many seconds. Raises RequestError."""
    if policy == "finish":
        return None
    if policy == "cancel":
        return 0.0
    if (match := _GRACE.fullmatch(policy)) is not None:
        return float(match[1])
    raise RequestError("invalid_request", "abandon is `finish`, `cancel` or a time such as `30s`.", param="abandon")


class Attention:
    """Of one stream. `grace` is in seconds; None keeps it to its end whoever listens."""

    def __init__(self, grace: float | None, now: Callable[[], float]) -> None:
        self._grace = grace
        self._now = now
        self._heard = False
        self._left_at: float | None = None

    def came(self) -> None:
        """Somebody listens."""
        self._heard = True
        self._left_at = None

    def extend(self, grace: float | None) -> None:
        """Somebody else wants it, too: it is kept for the longer of both."""
        if self._grace is not None:
            self._grace = None if grace is None else max(self._grace, grace)

    def gone(self, listeners: int) -> bool:
        """Whether it is to be given up, with so many listeners now. To be asked about once a second."""
        if self._grace is None or not self._heard:
            return False
        if listeners:
            self._left_at = None
            return False
        if self._left_at is None:
            self._left_at = self._now()
        return self._now() - self._left_at >= self._grace
