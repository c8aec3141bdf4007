"""Tests of days and months: UTC, and exact at their edges.

Invariant under test: an instant is in one day and one month, and both end at a midnight of UTC.
It must not know what is counted.
"""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.quota import periods
from gateway.quota.bucket import SECOND


def instant(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * SECOND  # type: ignore[misc, arg-type] # year, month, day


@pytest.mark.parametrize(
    ("at", "day", "month", "day_ends", "month_ends"),
    [
        (instant(2026, 3, 3, 12), "2026-03-03", "2026-03", instant(2026, 3, 4), instant(2026, 4, 1)),
        (instant(2026, 3, 1), "2026-03-01", "2026-03", instant(2026, 3, 2), instant(2026, 4, 1)),
        (instant(2026, 3, 1) - 1, "2026-02-28", "2026-02", instant(2026, 3, 1), instant(2026, 3, 1)),
        (instant(2028, 2, 29), "2028-02-29", "2028-02", instant(2028, 3, 1), instant(2028, 3, 1)),
        (instant(2026, 12, 31, 23), "2026-12-31", "2026-12", instant(2027, 1, 1), instant(2027, 1, 1)),
        (instant(2026, 1, 31), "2026-01-31", "2026-01", instant(2026, 2, 1), instant(2026, 2, 1)),
    ],
)
def test_periods(at: int, day: str, month: str, day_ends: int, month_ends: int) -> None:
    """Short months, leap years and the turn of a year."""
    assert (periods.day(at), periods.month(at)) == (day, month)
    assert (periods.day_ends(at), periods.month_ends(at)) == (day_ends, month_ends)


@given(st.integers(0, 4_000_000_000 * SECOND))
def test_ends_are_edges(at: int) -> None:
    """The last microsecond belongs to the period, the next one does not."""
    assert periods.day(periods.day_ends(at) - 1) == periods.day(at) < periods.day(periods.day_ends(at))
    assert periods.month(periods.month_ends(at) - 1) == periods.month(at) < periods.month(periods.month_ends(at))
