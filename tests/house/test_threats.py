"""Tests of the rule about documents that name tests, and the rule itself.

Invariant under test: a name that leads nowhere is told, whether its file or its function is missing.
It must not know what a test shows.
"""

from pathlib import Path

from tests.house.threats import NAMED, missing
from tests.house.tree import ROOT

DOCUMENT = ROOT / "gateway/THREATS.md"


def test_every_threat_has_tests_that_are_there() -> None:
    """Each row of a table names one at least, in its last cell."""
    assert not list(missing(DOCUMENT, ROOT / "tests"))
    tables = DOCUMENT.read_text(encoding="utf-8").split("\n## ")
    for table in tables:
        if "| shown by |" in table:
            rows = [line for line in table.splitlines() if line.startswith("| ") and "shown by" not in line]
            assert rows
            assert all(NAMED.search(row.rsplit("|", 2)[1]) for row in rows)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """By its name."""
    (tmp_path / "test_a.py").write_text("def test_one() -> None: ...\nasync def test_two() -> None: ...\n")
    document = tmp_path / "page.md"
    document.write_text(
        "`test_a.py::test_one`, `test_a.py::test_two`, `test_a.py::test_three`, `b/test_b.py::test_one`"
    )
    assert list(missing(document, tmp_path)) == [
        "page.md: there is no test_a.py::test_three",
        "page.md: there is no b/test_b.py::test_one",
    ]
