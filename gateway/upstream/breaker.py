"""A circuit breaker: after failures in a row it forbids further calls for a while, then lets a single one try.

    CLOSED ── failures in a row ──▶ OPEN ── time passes ──▶ HALF_OPEN ── probe succeeds ──▶ CLOSED
                                      ▲                          └────── probe fails ──▶ OPEN

Invariant: it is a function of the calls and the times it is told; while half-open at most one probe is out, and a
probe whose owner has vanished blocks the next one for a bounded time. It must not know a clock or what is called.
"""

from enum import StrEnum


class Circuit(StrEnum):
    """What a breaker allows: everything, nothing, or one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Opens after `failures` in a row for `open_seconds`; a probe that says nothing is given up on after
    `probe_seconds`. All times are seconds of one monotonic clock of the caller's.

    Verdicts have no owner: a late success of an older call closes the circuit as a probe's does, since it is as good a
    sign of life, and a late failure while half-open opens it again.
    """

    def __init__(self, *, failures: int, open_seconds: float, probe_seconds: float) -> None:
        self._threshold = failures
        self._open_seconds = open_seconds
        self._probe_seconds = probe_seconds
        self._failures = 0
        self._open_until: float | None = None
        self._probe_until: float | None = None

    def state(self, now: float) -> Circuit:
        """What holds at this time."""
        if self._open_until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self._open_until else Circuit.HALF_OPEN

    def allow(self, now: float) -> bool:
        """Whether a call may be made now. While half-open a True is the one probe: its caller owes a verdict."""
        state = self.state(now)
        if state is not Circuit.HALF_OPEN:
            return state is Circuit.CLOSED
        if self._probe_until is not None and now < self._probe_until:
            return False
        self._probe_until = now + self._probe_seconds
        return True

    def wait(self, now: float) -> float:
        """Seconds until asking `allow` again is of use, if no verdict comes before; 0 is now."""
        until = self._open_until if self.state(now) is Circuit.OPEN else self._probe_until
        return max(0.0, until - now) if until is not None else 0.0

    def succeeded(self, now: float) -> None:
        """A call went well: whatever was, the circuit is closed."""
        del now  # A success needs no time; it is taken so that both verdicts are told alike.
        self._failures = 0
        self._open_until = self._probe_until = None

    def failed(self, now: float) -> None:
        """A call failed. While open this changes nothing: calls that began earlier may still be failing."""
        state = self.state(now)
        if state is Circuit.OPEN:
            return
        self._failures += 1
        if state is Circuit.HALF_OPEN or self._failures >= self._threshold:
            self._failures = 0
            self._open_until = now + self._open_seconds
            self._probe_until = None

    def abandoned(self) -> None:
        """The probe ended without a verdict: the next one may be made at once."""
        self._probe_until = None
