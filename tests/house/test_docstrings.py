"""Openings: the house keeps the rule, and the rule sees a module that does not introduce itself.

Invariant: each bad sample breaks the rule in one way.
It must not repeat the bounds' numbers.
"""

from pathlib import Path

import pytest

from tests.house.docstrings import LEAST, MOST, complaints
from tests.house.tree import ROOT


def test_every_module_introduces_itself() -> None:
    """Every module of the house opens with a docstring of the right length."""
    found = complaints(ROOT)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("lines", [0, LEAST - 1, MOST + 1])
def test_a_wrong_length_is_named(tmp_path: Path, lines: int) -> None:
    """No docstring, one too short and one too long are each named with their length."""
    _write(tmp_path / "gateway/room.py", lines)
    assert complaints(tmp_path) == [f"gateway/room.py opens with {lines} lines, not {LEAST} to {MOST}"]


@pytest.mark.parametrize(("name", "lines"), [("room.py", LEAST), ("room.py", MOST), ("__init__.py", 1)])
def test_a_right_length_is_not_named(tmp_path: Path, name: str, lines: int) -> None:
    """The bounds themselves are allowed, and one line is enough for a package."""
    _write(tmp_path / "gateway" / name, lines)
    assert complaints(tmp_path) == []


def test_an_empty_file_needs_no_docstring(tmp_path: Path) -> None:
    """A file without code has nothing to introduce."""
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway/__init__.py").touch()
    assert complaints(tmp_path) == []


def _write(path: Path, lines: int) -> None:
    path.parent.mkdir()
    opening = '"""' + "\n\n".join(["A line."] * lines) + '\n"""\n' if lines else ""
    path.write_text(f"{opening}ROOMS = 1\n")
