"""The circuit breaker as a state machine: its states, its one probe, and what late verdicts do.

Invariant under test: it depends on nothing but the calls and times it is told, and it never stays shut for good.
The times are the tests' own; nothing here waits.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.breaker import Circuit, CircuitBreaker


def breaker() -> CircuitBreaker:
    """Opens after three failures for 10 seconds; a silent probe is given up on after 100."""
    return CircuitBreaker(failures=3, open_seconds=10.0, probe_seconds=100.0)


def opened(at: float = 0.0) -> CircuitBreaker:
    one = breaker()
    for _ in range(3):
        one.failed(at)
    return one


def test_it_opens_after_failures_in_a_row() -> None:
    """Two failures are borne, the third opens it; a success in between starts the count anew."""
    one = breaker()
    for _ in range(2):
        one.failed(0.0)
    assert (one.state(0.0), one.allow(0.0), one.wait(0.0)) == (Circuit.CLOSED, True, 0.0)
    one.succeeded(0.0)
    for _ in range(2):
        one.failed(0.0)
    assert one.state(0.0) is Circuit.CLOSED
    one.failed(0.0)
    assert (one.state(0.0), one.allow(0.0), one.wait(4.0)) == (Circuit.OPEN, False, 6.0)


def test_after_a_time_one_probe_is_allowed() -> None:
    """The first who asks then is the probe; the others wait for its verdict."""
    one = opened()
    assert one.state(9.99) is Circuit.OPEN
    assert (one.state(10.0), one.wait(10.0)) == (Circuit.HALF_OPEN, 0.0)
    assert [one.allow(10.0) for _ in range(3)] == [True, False, False]
    assert one.wait(10.0) == 100.0


def test_a_probe_that_succeeds_closes_it() -> None:
    """From then on everything is allowed, and it takes three failures again."""
    one = opened()
    assert one.allow(10.0)
    one.succeeded(11.0)
    assert [one.allow(11.0) for _ in range(3)] == [True, True, True]
    one.failed(11.0)
    assert one.state(11.0) is Circuit.CLOSED


def test_a_probe_that_fails_opens_it_again() -> None:
    """One failure is enough, and the whole time begins anew, with a probe at its end."""
    one = opened()
    assert one.allow(10.0)
    one.failed(12.0)
    assert (one.state(12.0), one.wait(12.0)) == (Circuit.OPEN, 10.0)
    assert one.allow(22.0)


def test_a_probe_whose_owner_has_vanished_does_not_block_for_ever() -> None:
    """After its time the next one may try."""
    one = opened()
    assert one.allow(10.0)
    assert not one.allow(109.9)
    assert [one.allow(110.0), one.allow(110.0)] == [True, False]


def test_a_probe_that_is_given_back_frees_its_place_at_once() -> None:
    """Whoever was cancelled before there was a verdict says so; while closed that changes nothing."""
    one = opened()
    assert one.allow(10.0)
    one.abandoned()
    assert one.wait(10.0) == 0.0
    assert one.allow(10.0)
    one.succeeded(10.0)
    one.abandoned()
    assert one.state(10.0) is Circuit.CLOSED


def test_late_failures_do_not_keep_it_open() -> None:
    """Calls that began before it opened may go on failing without putting the probe off."""
    one = opened(at=0.0)
    one.failed(9.0)
    assert one.state(10.0) is Circuit.HALF_OPEN


def test_a_late_success_closes_it() -> None:
    """An older call that goes well is a sign of life like any other."""
    one = opened()
    one.succeeded(1.0)
    assert one.allow(1.0)


STEPS = st.lists(st.tuples(st.sampled_from(["ask", "good", "bad", "gone"]), st.floats(0, 50)), max_size=60)


@pytest.mark.parametrize("failures", [1, 3])
@given(steps=STEPS)
def test_it_always_opens_up_again(failures: int, steps: list[tuple[str, float]]) -> None:
    """After any history, `wait` seconds later a call is allowed; and of two probes at one time, never both."""
    one = CircuitBreaker(failures=failures, open_seconds=10.0, probe_seconds=100.0)
    now = 0.0
    for step, seconds in steps:
        now += seconds
        if step == "ask":
            allowed, state = one.allow(now), one.state(now)
            if state is Circuit.HALF_OPEN and allowed:
                assert not one.allow(now)
            assert allowed == (state is Circuit.CLOSED) or state is Circuit.HALF_OPEN
        elif step == "gone":
            one.abandoned()
        else:
            (one.succeeded if step == "good" else one.failed)(now)
    wait = one.wait(now)
    assert 0 <= wait <= 100.001
    assert one.allow(now + wait + 1e-6)
