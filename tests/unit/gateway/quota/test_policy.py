"""Tests of the decisions: what is granted, what is refused, by which limit, and until when.

Invariant under test: nobody gets more than is left, a refusal names its limit, and of several the longest is told.
It must not know a store.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema import Limits
from gateway.errors import LimitError
from gateway.quota import policy
from gateway.quota.bucket import SECOND, WINDOW
from gateway.quota.policy import Rules, Standing, Used
from tests.support.ledger import DAY, NOON

NOW = int(NOON) * SECOND
MONTH_LEFT = 28.5 * DAY


def limits(*, slots: int = 0, rate: int = 0, day: int = 0, month: int = 0, egress: int = 0) -> Limits:
    return Limits(
        concurrent_streams=slots,
        streams_per_minute=rate,
        audio_seconds_per_day=day,
        audio_seconds_per_month=month,
        egress_bytes_per_day=egress,
    )


def standing(held: int = 0, nth_start: int | None = None, day: int = 0, month: int = 0, egress: int = 0) -> Standing:
    return Standing(held, nth_start, Used(day * 1000, egress), Used(month * 1000))


def refused(allowed: Limits, at: Standing) -> tuple[str, float | None, str]:
    with pytest.raises(LimitError) as refusal:
        policy.admit(allowed, at, 100_000, 10_000, NOW)
    return refusal.value.code, refusal.value.retry_after, refusal.value.message


@pytest.mark.parametrize(
    ("durations", "expected"),
    [([], 7), ([5], 5), ([1, 9], 9), (list(range(1, 11)), 9), (list(range(20, 0, -1)), 18)],
)
def test_estimates(durations: list[int], expected: int) -> None:
    """The 90th percentile by nearest rank; without a history the default."""
    assert policy.estimate(durations, 7) == expected


def test_no_limits() -> None:
    """Everything is granted."""
    at = standing(99, None, 10**6, 10**6, 10**12)
    assert policy.admit(limits(), at, 100_000, 10_000, NOW) == 100_000
    assert policy.readmit(limits(), at, 10**9)


@pytest.mark.parametrize(
    ("allowed", "at", "granted"),
    [
        (limits(day=1000), standing(day=900), 100_000),
        (limits(day=1000), standing(day=901), 99_000),
        (limits(day=1000), standing(day=990), 10_000),
        (limits(month=1000, day=1000), standing(day=10, month=980), 20_000),
        (limits(month=1000, day=500), standing(day=480, month=490), 20_000),
        (limits(day=4), standing(), 4_000),
        (limits(slots=2, rate=1, egress=5), standing(held=1, nth_start=NOW - WINDOW, egress=4), 100_000),
    ],
)
def test_what_is_granted(allowed: Limits, at: Standing, granted: int) -> None:
    """The estimate, or what the tighter budget has left down to the minimum."""
    assert policy.admit(allowed, at, 100_000, 10_000, NOW) == granted


@pytest.mark.parametrize(
    ("allowed", "at", "code", "after", "word"),
    [
        (limits(day=1000), standing(day=991), "quota_exceeded", DAY / 2, "a day"),
        (limits(day=1000), standing(day=1500), "quota_exceeded", DAY / 2, "a day"),
        (limits(day=9, month=9), standing(day=9, month=9), "quota_exceeded", MONTH_LEFT, "a month"),
        (limits(egress=5, slots=1), standing(1, egress=5), "quota_exceeded", DAY / 2, "5 bytes"),
        (limits(slots=1, rate=1), standing(1, NOW), "concurrency_exceeded", 5.0, "All 1 streams"),
        (limits(rate=3), standing(nth_start=NOW - 1), "rate_exceeded", 60.0, "3 streams a minute"),
    ],
)
def test_what_is_refused(allowed: Limits, at: Standing, code: str, after: float, word: str) -> None:
    """With the limit in the sentence, and the time rounded up to the millisecond."""
    assert refused(allowed, at)[:2] == (code, after)
    assert word in refused(allowed, at)[2]


@given(st.integers(0, 3), st.integers(0, 200), st.integers(0, 200), st.integers(0, 250), st.integers(1, 250))
def test_never_more_than_is_left(slots: int, day: int, month: int, used: int, wanted: int) -> None:
    """Whatever is granted fits every limit, and taking a lease up again is all or nothing."""
    allowed, at = limits(slots=slots, day=day, month=month), standing(1, day=used, month=used)
    rooms = [limit - used for limit in (day, month) if limit]
    free = slots != 1
    assert policy.readmit(allowed, at, wanted * 1000) == (free and all(wanted <= room for room in rooms))
    try:
        granted = policy.grant(allowed, at.day, at.month, wanted * 1000, 10_000, NOW, NOW)
    except LimitError:
        assert min(rooms) < min(10, wanted)
    else:
        assert 0 < granted <= min([wanted, *rooms]) * 1000


def test_rows_are_kept_for_a_month() -> None:
    """Less would forget what a month's budget rests on."""
    assert Rules(keep_days=32).keep_days == 32
    with pytest.raises(ValueError, match="32 days"):
        Rules(keep_days=31)
