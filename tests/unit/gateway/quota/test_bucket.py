"""Tests of the sliding window: exact to the microsecond, by arithmetic alone.

Invariant under test: never more than the limit in any window, and whoever waits as told may start.
It must not know a ledger.
"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.quota import bucket
from gateway.quota.bucket import SECOND, WINDOW


def test_room() -> None:
    """Fewer starts than the limit leave room."""
    assert bucket.wait(None, 5) == 0


def test_the_edge() -> None:
    """A start leaves the window when it is a whole window old, and not a microsecond before."""
    assert bucket.wait(1000, 1000) == WINDOW
    assert bucket.wait(1000, 999 + WINDOW) == 1
    assert bucket.wait(1000, 1000 + WINDOW) == 0
    assert bucket.wait(1000, 9000 + WINDOW) == 0


def test_what_counts() -> None:
    """Starts of the last window, and those a little ahead of a clock that was put back."""
    assert (bucket.earliest(WINDOW), bucket.latest(WINDOW)) == (0, 2 * WINDOW)


@given(
    limit=st.integers(1, 5),
    pauses=st.lists(st.integers(0, 40 * SECOND), min_size=1, max_size=60),
    patient=st.booleans(),
)
def test_any_window(limit: int, pauses: list[int], patient: bool) -> None:
    """Whoever asks at whatever moments gets no more than the limit in any window, and gets it after the wait told."""
    now, starts = 0, list[int]()
    for pause in pauses:
        now += pause
        counted = [at for at in starts if bucket.earliest(now) < at <= bucket.latest(now)]
        wait = bucket.wait(counted[-limit] if len(counted) >= limit else None, now)
        inside = sum(at > now - WINDOW for at in starts)
        assert (wait == 0) == (inside < limit)
        if wait and patient:
            assert sum(at > now + wait - 1 - WINDOW for at in starts) >= limit
            now += wait
            assert sum(at > now - WINDOW for at in starts) < limit
            wait = 0
        if not wait:
            starts.append(now)
    assert all(sum(first <= at < first + WINDOW for at in starts) <= limit for first in starts)
