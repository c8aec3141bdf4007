"""Days and months of the ledger: calendar days and months in UTC, named so that names sort as time does.

Invariant: an instant is in exactly one day and one month, and what a generation costs belongs to those of its
creation, however long it runs. It must not know a clock or what is counted in a period.
"""

from datetime import UTC, datetime, timedelta

from gateway.quota.bucket import SECOND


def day(instant: int) -> str:
    """The UTC day of an instant in microseconds, such as 2026-03-01."""
    return f"{_moment(instant):%Y-%m-%d}"


def month(instant: int) -> str:
    """The UTC month of an instant, such as 2026-03."""
    return f"{_moment(instant):%Y-%m}"


def day_ends(instant: int) -> int:
    """When the day of this instant is over."""
    start = _moment(instant).replace(hour=0, minute=0, second=0, microsecond=0)
    return _instant(start + timedelta(days=1))


def month_ends(instant: int) -> int:
    """When the month of this instant is over."""
    start = _moment(instant).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return _instant((start + timedelta(days=31)).replace(day=1))


def _moment(instant: int) -> datetime:
    return datetime.fromtimestamp(instant // SECOND, UTC)


def _instant(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND
