"""How long a client waits, and when it gives up.

Invariant under test: every outage is bounded, and nobody comes back sooner than the gateway asked.
Time and chance are the test's own: nothing waits here.
"""

from typing import Any

import pytest

from gateway.client.backoff import BackOff, Patience
from gateway.client.ending import ABNORMAL, Ending
from gateway.client.errors import ClientError


class Clock:
    """Stands still until it is told otherwise."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def backoff(jitter: float = 1.0, clock: Clock | None = None, **patience: Any) -> BackOff:
    return BackOff(Patience(**patience), lambda: jitter, clock or Clock())


def test_a_lost_connection_is_tried_again_with_growing_jitter() -> None:
    """Each attempt waits at most twice as long as the one before, up to the cap."""
    tries = backoff(base=0.5, cap=3.0)
    assert [tries.delay(Ending(ABNORMAL)) for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_the_jitter_is_full() -> None:
    """A delay may be as short as nothing: otherwise a thousand clients come back together."""
    tries = backoff(jitter=0.0)
    assert [tries.delay(Ending(ABNORMAL)) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_the_gateways_time_comes_on_top() -> None:
    """Nobody comes back before the time the gateway named."""
    assert backoff(base=0.5).delay(Ending(4101, retry_after=2.0)) == 2.5
    assert backoff(jitter=0.0).delay(Ending(1013, retry_after=2.0)) == 2.0


def test_a_moved_stream_is_followed_at_once_but_not_in_a_spin() -> None:
    """42xx waits for nothing the first time, and backs off when it happens again without sound in between."""
    tries = backoff(base=0.5)
    assert [tries.delay(Ending(4200)) for _ in range(3)] == [0.0, 1.0, 2.0]


def test_going_away_is_followed_after_exactly_the_given_time() -> None:
    """The gateway has spread its clients already, so the first attempt adds nothing; without a time, jitter does."""
    tries = backoff(base=0.5)
    assert tries.delay(Ending(1012, retry_after=3.0)) == 3.0
    assert tries.delay(Ending(1012, retry_after=3.0)) == 4.0
    assert backoff(base=0.5).delay(Ending(1001)) == 0.5


def test_a_terminal_ending_is_raised() -> None:
    """What cannot be helped by waiting is not waited for."""
    with pytest.raises(ClientError) as caught:
        backoff().delay(Ending(4001))
    assert caught.value.code == "bad_credentials"


def test_attempts_are_bounded_and_counted_from_the_last_success() -> None:
    """After so many attempts in a row the song is given up; success in between starts the count again."""
    tries = backoff(attempts=2, base=0.0)
    for _ in range(3):
        tries.delay(Ending(ABNORMAL))
        tries.delay(Ending(ABNORMAL))
        tries.recovered()
    tries.delay(Ending(ABNORMAL))
    tries.delay(Ending(ABNORMAL))
    with pytest.raises(ClientError) as caught:
        tries.delay(Ending(ABNORMAL, "unreachable", "Nobody there."))
    assert (caught.value.code, caught.value.retryable) == ("unreachable", True)
    assert "Tried 2 times" in caught.value.message


def test_an_outage_is_bounded_in_time() -> None:
    """The delay that would go past the limit is not begun."""
    clock = Clock()
    tries = backoff(clock=clock, base=1.0, cap=1.0, seconds=10.0)
    tries.delay(Ending(ABNORMAL))
    clock.now += 9.5
    with pytest.raises(ClientError) as caught:
        tries.delay(Ending(ABNORMAL))
    assert "in 10 s" in caught.value.message


def test_a_gateway_that_wants_hours_is_not_waited_for() -> None:
    """A retry_after beyond all patience is handed to the caller at once, with the time in it."""
    with pytest.raises(ClientError) as caught:
        backoff().delay(Ending(4103, retry_after=3600.0))
    assert (caught.value.retry_after, caught.value.retryable) == (3600.0, True)
    assert "Tried" not in caught.value.message
