"""Counts by id.

Invariant tested: ids do not disturb each other, and there are only so many.
It must not know what is counted.
"""

import pytest

from gateway.upstream.simulator import tally
from gateway.upstream.simulator.tally import Tally


def test_each_id_has_its_own_count() -> None:
    """The first so many are due, those after are not, whatever other ids do."""
    counts = Tally()
    assert [counts.due("a", 2), counts.due("b", 1), counts.due("a", 2), counts.due("b", 1), counts.due("a", 2)] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_the_oldest_id_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for two, a third pushes out the one that was longest unused."""
    monkeypatch.setattr(tally, "MOST", 2)
    counts = Tally()
    for name in ("a", "b", "a", "c"):
        counts.due(name, 1)
    assert [counts.due("a", 1), counts.due("b", 1)] == [False, True]
