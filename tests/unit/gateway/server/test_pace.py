"""Paces: what may come at once, what may come after, and how long to wait.

Invariant under test: over any time no more than the rate's share and one burst comes, and waiting helps.
It must not know what comes.
"""

from random import Random

import pytest

from gateway.server.pace import Pace, Rate


def test_a_burst_and_then_one_at_a_time() -> None:
    """Who is refused is told when, and is right to come then."""
    pace, rate = Pace(), Rate(60, 3)
    assert [pace.take(rate, 1000.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert pace.take(rate, 1000.0) == pytest.approx(1.0)
    assert pace.take(rate, 1000.4) == pytest.approx(0.6)
    assert pace.take(rate, 1001.0) == 0.0
    assert pace.take(rate, 1001.0) > 0.0


def test_who_waits_has_its_burst_again() -> None:
    """And no more than that."""
    pace, rate = Pace(), Rate(60, 3)
    for _ in range(3):
        pace.take(rate, 0.0)
    assert [pace.take(rate, 1e6) for _ in range(4)][:3] == [0.0, 0.0, 0.0]
    assert pace.take(rate, 1e6) > 0.0


def test_no_rate_is_no_limit() -> None:
    pace = Pace()
    assert not any(pace.take(Rate(0, 1), 0.0) for _ in range(10_000))


@pytest.mark.parametrize("seed", range(5))
def test_never_more_than_its_share(seed: int) -> None:
    """Whoever comes whenever it likes gets at most the rate's share and a burst, in any window."""
    random, pace, rate, now = Random(seed), Pace(), Rate(600, 7), 0.0
    taken = []
    for _ in range(3000):
        now += random.choice((0.0, 0.0, 0.01, 0.3))
        if not pace.take(rate, now):
            taken.append(now)
    for first in range(0, len(taken), 97):
        for last in range(first, len(taken), 31):
            assert last - first + 1 <= (taken[last] - taken[first]) * 10.0 + 7 + 1e-6


def test_a_burst_of_some_seconds() -> None:
    """At least one may come."""
    assert Rate.over(6000, 10.0) == Rate(6000, 1000)
    assert Rate.over(1, 10.0) == Rate(1, 1)
    assert Rate.over(0, 10.0) == Rate(0, 1)
