"""The pace of starts: both limits of the account, in every window of time.

Invariant under test: no minute has more starts than allowed and no second more than its share, wherever the window
begins, and waiting as long as told is always enough. The times are the tests' own.
"""

from bisect import bisect_left
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.pace import Pace


def most_within(starts: list[float], seconds: float) -> int:
    """The most starts in any half-open window of that length."""
    return max((bisect_left(starts, start + seconds) - place for place, start in enumerate(starts)), default=0)


def test_the_first_may_start_at_once_and_the_next_after_its_share() -> None:
    """At 120 a minute there is half a second between two starts."""
    pace = Pace(120)
    assert pace.wait(1000.0) == 0
    pace.take(1000.0)
    assert 0.5 <= pace.wait(1000.0) < 0.51
    assert pace.wait(1001.0) == 0


@given(
    per_minute=st.integers(1, 600),
    begin=st.floats(0, 1e7),
    pauses=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.1, 1.0, 10.0]) | st.floats(0, 5), min_size=1, max_size=700),
)
def test_no_window_has_more_than_its_share(per_minute: int, begin: float, pauses: list[float]) -> None:
    """However starts are asked for, any 60 seconds have at most `per_minute`, any second at most its share of them."""
    pace, now, starts = Pace(per_minute), begin, []
    for pause in pauses:
        now += pause
        now += pace.wait(now)
        pace.take(now)
        starts.append(now)
    assert most_within(starts, 60.0) <= per_minute
    assert most_within(starts, 1.0) <= ceil(per_minute / 60)


def test_a_busy_gateway_uses_its_whole_rate() -> None:
    """Who waits exactly as long as told starts all but a thousandth of what is allowed."""
    pace, now = Pace(180), 0.0
    for _ in range(1800):
        now += pace.wait(now)
        pace.take(now)
    assert 599 < now < 600.5


def test_a_share_of_a_pace_may_be_less_than_one_a_minute() -> None:
    """A third of one a minute is one in three."""
    assert 180.0 < Pace(1 / 3).gap < 180.001
