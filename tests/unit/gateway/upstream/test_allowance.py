"""The learned limit: it grows slowly, shrinks at once, and stays within its bounds.

Invariant under test: from 1 to what the operator allows, whatever the provider says; and a provider with a hard wall is
found and kept near to. No clock is needed.
"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.allowance import Allowance


def test_it_begins_with_what_the_operator_allows() -> None:
    """Nothing is learned yet, so nothing is held back."""
    assert Allowance(20).limit == 20


def test_a_refusal_shrinks_it_below_what_was_out() -> None:
    """The wall is below the number that was out, not below a limit that was never reached."""
    one = Allowance(20)
    one.throttled(10, one.era)
    assert one.limit == 7


def test_refusals_of_one_time_are_one_piece_of_news() -> None:
    """Calls of an era that is over shrink nothing; one that began since then does."""
    one = Allowance(20)
    era = one.era
    for used in range(20, 10, -1):
        one.throttled(used, era)
    assert one.limit == 14
    one.throttled(14, one.era)
    assert one.limit == 9


def test_it_grows_by_one_for_a_full_round() -> None:
    """As many successes at the limit as the limit is add one; below the limit they teach nothing."""
    one = Allowance(20)
    one.throttled(10, one.era)
    for _ in range(20):
        one.succeeded(6)
    assert one.limit == 7
    for _ in range(8):
        one.succeeded(7)
    assert one.limit == 8


@given(most=st.integers(1, 50), steps=st.lists(st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 2))))
def test_it_stays_within_its_bounds(most: int, steps: list[tuple[bool, int, int]]) -> None:
    """After any news the limit is from 1 to the operator's, and moves by less than 2 upwards at a time."""
    one = Allowance(most)
    for good, used, ago in steps:
        before = one.limit
        if good:
            one.succeeded(used)
            assert before <= one.limit <= before + 1
        else:
            one.throttled(used, one.era - ago)
            assert one.limit <= before
        assert 1 <= one.limit <= most


@given(wall=st.integers(1, 19))
def test_a_wall_is_found_and_kept_near_to(wall: int) -> None:
    """With a provider that takes `wall` calls, full rounds settle between half the wall and one above it."""
    one = Allowance(20)
    seen = []
    for _ in range(200):
        for used in range(1, one.limit + 1):
            if used <= wall:
                one.succeeded(used)
            else:
                one.throttled(used, one.era)
                break
        seen.append(one.limit)
    assert all(wall // 2 <= limit <= wall + 1 for limit in seen[20:])
    assert sum(seen[20:]) / len(seen[20:]) > 0.7 * wall
