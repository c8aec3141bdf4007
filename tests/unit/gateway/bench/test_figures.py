"""Percentiles, and pairs of what we and others took for the same work.

Invariant under test: starts are taken off before anything is compared.
It must not know units.
"""

import math

import pytest

from gateway.bench.figures import Pairs, percentile


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1.0), (0.5, 2.0), (0.75, 3.0), (0.76, 4.0), (0.99, 4.0), (1.0, 4.0)]
)
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    """The smallest that this share of all does not exceed."""
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == value


def test_starts_are_taken_off() -> None:
    """The least from the least, and the median from each round."""
    pairs = Pairs(
        ours=[3.0, 4.0, 5.0], theirs=[2.0, 3.0, 4.0], our_starts=[1.0, 9.0, 0.0], their_starts=[0.5, 0.0, 1.0]
    )
    assert pairs.best() == (3.0, 2.0)
    assert pairs.ratio() == 1.5
    assert pairs.ratios() == pytest.approx([2 / 1.5, 3 / 2.5, 4 / 3.5])


def test_against_nothing_there_is_no_ratio() -> None:
    """Where theirs is lost in the noise of starting."""
    nothing = Pairs([2.0], [1.0], [1.0], [1.0])
    assert nothing.ratios() == [nothing.ratio()] == [math.inf]
