"""Tests of what becomes of a stream that everybody has left.

Invariant under test: nothing that is heard, or that nobody has come to hear yet, is ever given up; what was left is,
when its grace is over and not before.
"""

import pytest

from gateway.errors import RequestError
from gateway.relay.attention import Attention, grace_of
from tests.support.relay import Clock


@pytest.mark.parametrize(("policy", "grace"), [("finish", None), ("cancel", 0.0), ("30s", 30.0), ("2.5s", 2.5)])
def test_a_policy_is_a_time(policy: str, grace: float | None) -> None:
    """None is for ever, nothing is at once."""
    assert grace_of(policy) == grace


@pytest.mark.parametrize("policy", ["", "never", "30", "s", "-1s", "1e3s", "30s\n", "٣s", "9" * 400 + "s"])
def test_nonsense_is_refused(policy: str) -> None:
    """By the name of the field."""
    with pytest.raises(RequestError) as refusal:
        grace_of(policy)
    assert (refusal.value.code, refusal.value.param) == ("invalid_request", "abandon")


def test_a_stream_that_nobody_has_heard_is_wanted() -> None:
    """Its buyer may be about to come."""
    clock = Clock()
    attention = Attention(0.0, clock)
    clock.at += 3600.0
    assert not attention.gone(0)


def test_a_stream_that_was_left_has_its_grace() -> None:
    """It counts from when nobody was there, and anew whenever somebody has been."""
    clock = Clock()
    attention = Attention(30.0, clock)
    attention.came()
    assert not attention.gone(1)
    assert not attention.gone(0)
    clock.at += 29.0
    assert not attention.gone(0)
    attention.came()
    assert not attention.gone(0)
    clock.at += 29.0
    assert not attention.gone(1)
    assert not attention.gone(0)
    clock.at += 30.0
    assert attention.gone(0)


def test_without_grace_it_goes_when_it_is_asked_about() -> None:
    """Not while somebody is there."""
    attention = Attention(0.0, Clock())
    attention.came()
    assert not attention.gone(1)
    assert attention.gone(0)


@pytest.mark.parametrize(
    ("first", "second", "at_ten"), [(5.0, 20.0, False), (20.0, 5.0, False), (5.0, 6.0, True), (5.0, None, False)]
)
def test_whoever_shares_it_has_a_word(first: float, second: float | None, at_ten: bool) -> None:
    """The more patient of them decides."""
    clock = Clock()
    attention = Attention(first, clock)
    attention.extend(second)
    attention.came()
    attention.gone(0)
    clock.at += 10.0
    assert attention.gone(0) is at_ten


def test_one_that_is_finished_in_any_case_stays_so() -> None:
    """Patience is not taken away by somebody who comes later."""
    attention = Attention(None, Clock())
    attention.extend(0.0)
    attention.came()
    assert not attention.gone(0)
