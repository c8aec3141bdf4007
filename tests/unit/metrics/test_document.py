"""Tests of the table for people: it is the catalogue's, and the one in the handbook is of now.

Invariant under test: every metric and every label value stands in it, and what stands in it is true.
It must not know any metric by name.
"""

import subprocess
import sys

from metrics.catalogue import CATALOGUE, most_series
from metrics.document import document
from tests.house.tree import ROOT

FILE = ROOT / "deploy" / "observability" / "METRICS.md"


def test_the_handbook_s_table_is_of_now() -> None:
    """After a change of the catalogue: python -m metrics > deploy/observability/METRICS.md."""
    done = subprocess.run(
        [sys.executable, "-m", "metrics"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    assert FILE.read_text(encoding="utf-8") == done.stdout == document()


def test_everything_is_in_it() -> None:
    """Each metric in a line of its own with its sentence, each label value, and how many series there can be."""
    page = document()
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    for row in CATALOGUE:
        name = row.full + ("_total" if row.kind == "counter" else "")
        (line,) = [line for line in lines if line.startswith(f"| `{name}` |")]
        assert row.help in line
        assert all(label in line for label in row.labels)
        assert all(f"{bucket:g}" in line for bucket in row.buckets)
    for label in {label for row in CATALOGUE for label in row.by}:
        assert all(f"`{value}`" in page for value in label.values)
    assert f"{most_series(100):,} series" in page
