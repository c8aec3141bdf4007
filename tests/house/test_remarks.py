"""Remarks: the house keeps the rule, and the rule sees each way of breaking it.

Invariant: samples are joined from halves, so that this file keeps the rule it tests.
It must not know real source files.
"""

from pathlib import Path

import pytest

from tests.house.remarks import complaints
from tests.house.tree import ROOT


def test_the_house_gives_reasons_and_leaves_nothing_for_later() -> None:
    """No unexplained switch, no unfinished business and no path of one machine stands in the house."""
    found = complaints(ROOT)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("x = 1  # no" + "qa: S310", "switches a check off without a reason"),
        ("x = 1  # no" + "qa", "switches a check off without a reason"),
        ("x = 1  # type" + ": ignore[misc]", "switches a check off without a reason"),
        ("x = 1  # pragma" + ": no cover", "switches a check off without a reason"),
        ("x = 1  # TO" + "DO tomorrow", "leaves a TO" + "DO"),
        ("x = '/ho" + "me/me/x'", "names a path of one machine"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    """A line that breaks the rule is named with its number and the way in which it does."""
    assert _complaints_about(tmp_path, f"\n{line}\n") == [f"gateway/room.py:2 {complaint}"]


@pytest.mark.parametrize(
    "line",
    [
        "x = 1  # no" + "qa: S310, S311 - the address is a literal",
        "x = 1  # type" + ": ignore[misc]  # the stubs lack it",
        "x = 1  # pragma" + ": no cover - only on Windows",
        "x = 'TO" + "DO'",
        "x = 'https://a.example/ho" + "me/page'",
    ],
)
def test_a_good_line_is_not_named(tmp_path: Path, line: str) -> None:
    """A switch with a reason, a word in a string and the path of an address keep the rule."""
    assert _complaints_about(tmp_path, f"{line}\n") == []


def _complaints_about(root: Path, text: str) -> list[str]:
    (root / "gateway").mkdir()
    (root / "gateway/room.py").write_text(text)
    return complaints(root)
