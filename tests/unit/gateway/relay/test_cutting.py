"""Tests of cutting sound into chunks.

Invariant under test: every packet is in one chunk, none is longer than 250 ms where packets allow it, all are alike.
Golden truth is arithmetic.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.cutting import LONGEST_SECONDS, cuts


@pytest.mark.parametrize(
    ("durations", "sizes"),
    [
        ([], []),
        ([20], [1]),
        ([20] * 10, [10]),
        ([20] * 11, [11]),
        ([20] * 12, [6, 6]),
        ([20] * 50, [10] * 5),
        ([0, 20, 20], [3]),
        ([0], [1]),
        ([250], [1]),
        ([300, 300], [1, 1]),
        ([130, 130, 130], [1, 1, 1]),
    ],
)
def test_a_stretch_is_cut_into_equal_parts(durations: list[int], sizes: list[int]) -> None:
    """As few as can be; at 1 kHz a sample is a millisecond."""
    assert cuts(durations, 1000) == sizes


@given(st.lists(st.integers(0, 300), max_size=60))
def test_nothing_is_lost_and_nothing_is_too_long(durations: list[int]) -> None:
    """A chunk of more than one packet is within the bound."""
    sizes, at = cuts(durations, 1000), 0
    assert sum(sizes) == len(durations)
    for size in sizes:
        assert size > 0
        assert size == 1 or sum(durations[at : at + size]) <= LONGEST_SECONDS * 1000
        at += size
