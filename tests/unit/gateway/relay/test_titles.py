"""Tests of the timeline of titles: what is called how, at which second.

Invariant under test: every second has a title, and never more than the bound are kept.
It must not know doors.
"""

import pytest

from gateway.relay.titles import LONGEST_TITLE, MOST_TITLES, Titles, title_of


def test_a_title_holds_until_the_next_one() -> None:
    """From its very second on, and the first from ever."""
    titles = Titles("One")
    titles.begin(2.5, "Two")
    titles.begin(4.0, "Three")
    assert [titles.at(second) for second in (-1.0, 0.0, 2.49, 2.5, 3.99, 4.0, 1e9)] == [
        *("One",) * 3,
        *("Two",) * 2,
        *("Three",) * 2,
    ]
    assert titles.newest == "Three"


def test_the_same_title_again_changes_nothing_and_the_same_second_is_said_anew() -> None:
    """Nothing goes back before what was said already."""
    titles = Titles("One")
    titles.begin(1.0, "One")
    titles.begin(2.0, "Two")
    titles.begin(2.0, "Three")
    titles.begin(0.5, "Four")
    assert [titles.at(second) for second in (0.0, 1.9, 2.0, 3.0)] == ["One", "One", "Four", "Four"]


def test_what_the_whole_of_it_is_called_is_true_of_every_second() -> None:
    """Also of those before it became known."""
    titles = Titles("One")
    titles.begin(2.0, "Two")
    titles.settle("Whole")
    assert {titles.at(second) for second in (0.0, 2.0, 9.0)} == {"Whole"} == {titles.newest}
    titles.begin(9.5, "Next")
    assert titles.at(9.5) == "Next"


def test_of_very_many_the_newest_are_kept() -> None:
    """What sounds before the oldest that is kept is called like that one."""
    titles = Titles("0")
    for number in range(1, 3 * MOST_TITLES):
        titles.begin(float(number), str(number))
    assert titles.at(0.0) == str(2 * MOST_TITLES)
    assert titles.at(3 * MOST_TITLES - 1.5) == str(3 * MOST_TITLES - 2)


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("\n  [verse]\n The river runs \nalong", "The river runs"),
        ("[intro]\n[outro]", "Otherwise"),
        ("", "Otherwise"),
        ("夜" * 200, "夜" * (LONGEST_TITLE - 1) + "…"),
        ("x" * LONGEST_TITLE, "x" * LONGEST_TITLE),
    ],
)
def test_a_title_is_the_first_line_that_is_sung(words: str, title: str) -> None:
    """No tag, no blank line, and no longer than a line."""
    assert title_of(words, "Otherwise") == title
