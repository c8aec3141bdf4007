"""The rate of starts: a sliding window over instants, as pure arithmetic on time.

Invariant: never more than `limit` starts in any window, to the microsecond, and whoever waits as long as it is told
may start. Nothing is counted: what decides is when the `limit`-th latest start was, so that a store needs one look-up
and no timer. It must not know a clock, a tenant or a store.
"""

# Instants are whole microseconds since the epoch: with floats the sum of a start and a window is not exact.
SECOND = 1_000_000
WINDOW = 60 * SECOND


def earliest(now: int) -> int:
    """Starts at or before this instant have left the window."""
    return now - WINDOW


def latest(now: int) -> int:
    """Starts after this instant are not believed: the clock has been put back since, and they would refuse for hours.

    Those less than a window ahead still count: clocks are put back a little all the time, and no start is forgotten
    for that.
    """
    return now + WINDOW


def wait(nth_latest_start: int | None, now: int) -> int:
    """Microseconds until one more may start; 0 is now. Without an `nth_latest_start` there is room."""
    if nth_latest_start is None:
        return 0
    return max(0, nth_latest_start + WINDOW - now)
