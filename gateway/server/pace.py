"""How fast something may come: so many a minute, some of them at once, and when the next one may.

The generic cell rate algorithm: one number says until when what has come is paid for, so that nothing has to tick.
Invariant: whoever is refused has spent nothing, so that waiting always helps; over any time no more than the rate's
share and one burst are let through. It must not know what comes, nor read a clock.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_minute`, of which `burst` (1 or more) may come at once. A rate of 0 is no limit."""

    per_minute: int
    burst: int

    @classmethod
    def over(cls, per_minute: int, seconds: float) -> "Rate":
        """One that lets what is due in so many seconds come at once."""
        return cls(per_minute, max(1, round(per_minute * seconds / 60.0)))


class Pace:
    """What one party has had of a rate. All times are of one clock, in seconds."""

    __slots__ = ("_paid_until",)

    def __init__(self) -> None:
        self._paid_until = 0.0

    def take(self, rate: Rate, now: float) -> float:
        """Takes one if it may come now, and gives 0; otherwise the seconds until it may."""
        if not rate.per_minute:
            return 0.0
        step = 60.0 / rate.per_minute
        begins = max(self._paid_until, now)
        # A hair of rounding is not to refuse the last of a burst.
        early = begins - now - (rate.burst - 1) * step
        if early > step * 1e-6:
            return early
        self._paid_until = begins + step
        return 0.0
