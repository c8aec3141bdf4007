"""Patience as arithmetic: which failures are tried again, how often, and after what time.

Invariant under test: money is never spent twice on what may have been heard or billed, and no wait outlasts the time
that was given. Times and random numbers are the tests' own.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import HANDLING, UpstreamError
from gateway.upstream.retry import RetryPolicy, backoff

POLICY = RetryPolicy(attempts=3, seconds=60.0, base=1.0, cap=20.0)
CODES = sorted(code for code in HANDLING if code.startswith("upstream_") or code == "content_rejected")


def error(code: str, after: float | None = None) -> UpstreamError:
    return UpstreamError(code, "A sentence.", retry_after=after)


def test_the_back_off_doubles_up_to_its_cap_and_uses_the_whole_range() -> None:
    """The longest wait is base, twice that, four times that, then the cap; a chance of 0 waits not at all."""
    assert [backoff(attempt, 1.0, base=1, cap=10) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert backoff(3, 0.25, base=1, cap=10) == 1
    assert backoff(5, 0.0, base=1, cap=10) == 0


def test_a_very_late_attempt_has_a_back_off_too() -> None:
    """Any number of tries is within what a float can hold."""
    assert backoff(100_000, 1.0, base=1, cap=10) == 10


@pytest.mark.parametrize("code", CODES)
def test_only_what_may_be_tried_again_is(code: str) -> None:
    """A first failure before any sound is tried again exactly when its code says so."""
    delay = POLICY.may_retry(error(code), 1, 0.0, False, chance=0.5)
    assert (delay is not None) == HANDLING[code].retryable


@pytest.mark.parametrize("code", CODES)
def test_nothing_is_tried_again_after_sound(code: str) -> None:
    """A song that was begun is never begun anew, whatever ended it."""
    assert POLICY.may_retry(error(code), 1, 0.0, True, chance=0.5) is None


@pytest.mark.parametrize("code", [code for code in CODES if HANDLING[code].retryable])
def test_what_may_have_been_billed_is_tried_again_once(code: str) -> None:
    """Only a provider that has not begun at all is asked for a third time."""
    unbegun = code in ("upstream_busy", "upstream_unavailable")
    assert (POLICY.may_retry(error(code), 2, 1.0, False, chance=0.5) is not None) == unbegun


def test_the_number_of_tries_is_bounded() -> None:
    """Three further tries are three, and none are none."""
    delays = [POLICY.may_retry(error("upstream_busy"), attempt, 0.0, False, chance=1.0) for attempt in range(1, 6)]
    assert delays == [1, 2, 4, None, None]
    assert RetryPolicy(0, 60.0).may_retry(error("upstream_busy"), 1, 0.0, False, chance=0.0) is None


def test_the_provider_s_pause_is_kept_in_full() -> None:
    """Retry-After is waited for, and the random part comes on top of it; one that makes no sense is nothing."""
    assert POLICY.may_retry(error("upstream_busy", 7.0), 1, 0.0, False, chance=0.5) == 7.5
    assert POLICY.may_retry(error("upstream_busy", -7.0), 1, 0.0, False, chance=0.5) == 0.5


def test_a_pause_beyond_our_patience_is_the_end() -> None:
    """Rather than come back too early, the gateway does not come back."""
    assert POLICY.may_retry(error("upstream_busy", 40.0), 1, 20.0, False, chance=0.0) == 40.0
    assert POLICY.may_retry(error("upstream_busy", 40.0), 1, 20.1, False, chance=0.0) is None
    assert POLICY.may_retry(error("upstream_busy", 9e9), 1, 0.0, False, chance=0.0) is None


@given(
    code=st.sampled_from(CODES),
    after=st.none() | st.floats(0, 1e6),
    attempt=st.integers(1, 10_000),
    elapsed=st.floats(0, 1e6),
    heard=st.booleans(),
    chance=st.floats(0, 1),
    attempts=st.integers(0, 10_000),
)
def test_any_delay_is_within_the_time(
    code: str, after: float | None, attempt: int, elapsed: float, heard: bool, chance: float, attempts: int
) -> None:
    """Whatever happens, a next try begins within the time given, not before the provider's pause, and not at once
    more often than allowed."""
    policy = RetryPolicy(attempts, 60.0)
    delay = policy.may_retry(error(code, after), attempt, elapsed, heard, chance=chance)
    if delay is not None:
        assert 0 <= elapsed + delay <= 60
        assert delay >= (after or 0)
        assert attempt <= attempts
