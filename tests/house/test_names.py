"""Names: the house keeps the rule, and the rule sees a drawer and a stranger.

Invariant: the samples are empty files, since the rule reads names alone.
It must not repeat the list of drawers.
"""

from pathlib import Path

import pytest

from tests.house.names import JUNK_DRAWERS, complaints
from tests.house.tree import ROOT


def test_the_house_has_no_drawers_and_no_strangers() -> None:
    """No module is a drawer, and the top level holds the agreed names only."""
    found = complaints(ROOT)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("drawer", sorted(JUNK_DRAWERS))
def test_a_drawer_is_named(tmp_path: Path, drawer: str) -> None:
    """A module called after a drawer is named, and so is a folder."""
    (tmp_path / "gateway" / drawer).mkdir(parents=True)
    (tmp_path / "gateway" / drawer / "room.py").touch()
    (tmp_path / f"gateway/{drawer}.js").touch()
    assert len(complaints(tmp_path)) == 2


def test_a_stranger_at_the_top_level_is_named(tmp_path: Path) -> None:
    """A file that nobody expects at the top level is named; hidden and ignored ones are not."""
    (tmp_path / ".gitignore").write_text("dist/\nusage.db*\n")
    for name in ("notes.txt", ".env", "dist", "usage.db-wal", "README.md"):
        (tmp_path / name).touch()
    assert complaints(tmp_path) == ["notes.txt does not belong at the top level"]
