"""A pace, with a clock of the test's own.

Invariant under test: nothing drifts, and nothing is left out.
It must not wait.
"""

import pytest

from gateway.bench.peers.pace import Pace


def test_who_is_late_catches_up() -> None:
    """The schedule is that of the beginning."""
    now = [100.0]
    pace = Pace(0.5, lambda: now[0])
    assert pace.left() == pytest.approx(0.5)
    now[0] = 100.7
    assert pace.left() == pytest.approx(0.3)
    now[0] = 102.2
    assert [pace.left() for _ in range(3)] == [pytest.approx(0), pytest.approx(0), pytest.approx(0.3)]
