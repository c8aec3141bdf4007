"""Sizes: the house keeps the rule, and the rule sees a file that is too long.

Invariant: the report goes to the test's own output and XML properties; it is never a reason to fail.
It must not repeat the cap's number.
"""

from collections.abc import Callable
from pathlib import Path

from tests.house.sizes import HARD_CAP, SOFT_CAP, complaints, report
from tests.house.tree import ROOT


def test_no_file_is_over_the_hard_cap(record_property: Callable[[str, object], None]) -> None:
    """Every Python and JavaScript file of the house is within the hard cap."""
    record_property("sizes", report(ROOT))
    found = complaints(ROOT)
    assert not found, "\n".join(found)


def test_a_long_file_is_named(tmp_path: Path) -> None:
    """A file of one line too many is named, one at the cap is not."""
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway/room.py").write_text("\n" * HARD_CAP)
    (tmp_path / "gateway/hall.js").write_text("\n" * (HARD_CAP + 1))
    [sentence] = complaints(tmp_path)
    assert sentence.startswith("gateway/hall.js has")


def test_the_report_names_files_over_the_soft_cap(tmp_path: Path) -> None:
    """The report gives the median and the files that are longer than they should be."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/short.py").write_text("\n")
    (tmp_path / "metrics/long.py").write_text("\n" * (SOFT_CAP + 1))
    assert report(tmp_path).startswith("2 source files, median 151 lines")
    assert f"metrics/long.py {SOFT_CAP + 1}" in report(tmp_path)
