"""Tests of the values of accounting: what a budget says of itself, and that states are the statuses of streams.

Invariant under test: a limit of 0 has nothing left to tell of.
It must not know an implementation.
"""

import pytest

from gateway.accounting import Budget, State, Traffic
from gateway.model import Status, StreamId


@pytest.mark.parametrize(
    ("limit", "used", "remaining", "low"),
    [
        (100, 0.0, 100.0, False),
        (100, 79.9, 20.1, False),
        (100, 80.0, 20.0, True),
        (100, 130.0, 0.0, True),
        (0, 5.0, None, False),
    ],
)
def test_a_budget(limit: int, used: float, remaining: float | None, low: bool) -> None:
    """What is left is never less than nothing, and the warning comes at 80 %."""
    budget = Budget(limit, used)
    assert budget.remaining == (None if remaining is None else pytest.approx(remaining))
    assert budget.low is low


def test_states() -> None:
    """Every status of a stream is a state of its row, and one more."""
    assert {state.value for state in State} == {status.value for status in Status} | {"expired"}


def test_what_was_heard_adds_up() -> None:
    """Of one stream: to what was heard before, or to nothing."""
    first, second = Traffic(StreamId("st_1"), 1.5, 10), Traffic(StreamId("st_1"), 0.5, 1)
    assert first + None == first
    assert first + second == Traffic(StreamId("st_1"), 2.0, 11)
