"""Tests dealt out: slow ones first in each share, files whole, shares of a size.

Invariant under test: none is lost or doubled, whatever there is to deal.
It must not know the house's real tests.
"""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.house.dealing import dealt

SLOW = (Path("/tests/slow"),)
Named = tuple[str, int]


def file(test: Named) -> Path:
    return Path("/tests") / test[0]


def test_slow_files_come_first_in_each_share() -> None:
    """Where the files are of a size, so are the shares."""
    tests = [(name, at) for name in ("a", "b", "slow/c", "slow/d", "e", "f") for at in range(2)]
    assert dealt(tests, 2, file, SLOW) == [
        *[(name, at) for name in ("slow/c", "a", "e") for at in range(2)],
        *[(name, at) for name in ("slow/d", "b", "f") for at in range(2)],
    ]


@given(st.lists(st.tuples(st.sampled_from(["a", "slow/b", "c", "slow/d"]), st.integers(1, 9))), st.integers(1, 4))
def test_nothing_is_lost(files: list[tuple[str, int]], shares: int) -> None:
    """A file stays together as far as it was before, in its order."""
    tests = [(f"{name}{number}", at) for number, (name, size) in enumerate(files) for at in range(size)]
    order = dealt(tests, shares, file, SLOW)
    assert sorted(order) == sorted(tests)
    for name in {name for name, _ in tests}:
        places = [order.index(test) for test in tests if test[0] == name]
        assert places == list(range(places[0], places[0] + len(places)))
