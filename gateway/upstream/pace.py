"""How fast generations may start: so many a minute, and never more in a second than that minute's share.

Invariant: two starts are at least a minute's share apart, which keeps both limits in every window of a minute and of a
second, wherever it begins, with one number of state; and it never ramps steeply, which the provider punishes, too.
It must not know a clock or who starts.
"""

# Times are floats: the gap is a hair wider than the share, so that their rounding cannot let one more into a minute.
_HAIR = 1e-6


class Pace:
    """The pace of one account, or of a share in it: `per_minute` starts.

    Times are seconds of one monotonic clock of the caller's.
    """

    def __init__(self, per_minute: float) -> None:
        self.gap = 60.0 / per_minute * (1 + _HAIR)
        self._next: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until one may start; 0 is now."""
        return max(0.0, self._next - now) if self._next is not None else 0.0

    def take(self, now: float) -> None:
        """One starts now. The caller has seen that `wait(now)` is 0."""
        self._next = now + self.gap
