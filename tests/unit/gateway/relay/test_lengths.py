"""How long chunks are: what lies between any two, at once, also past either end.

Invariant: compared with a sum over the chunks themselves.
They must not know who asks.
"""

import pytest

from gateway.relay.lengths import Lengths

CHUNKS = [(10, 100), (20, 200), (5, 50)]


@pytest.mark.parametrize("first", [0, 7])
def test_between_any_two(first: int) -> None:
    """Numbers before the first and behind the last count as those; nothing lies between a later and an earlier one."""
    lengths = Lengths()
    lengths.begin(first)
    assert lengths.between(first, first + 5) == (0, 0)
    for chunk in CHUNKS:
        lengths.add(*chunk)
    for begin in range(-1, 5):
        for end in range(begin, 6):
            between = CHUNKS[max(0, begin) : max(0, end)]
            wanted = (sum(octets for octets, _ in between), sum(samples for _, samples in between))
            assert lengths.between(first + begin, first + end) == wanted
