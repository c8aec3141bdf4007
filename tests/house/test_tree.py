"""What the rules walk: if this finds nothing, every rule would hold.

Invariant: the trees are small and stand in a temporary folder.
It must not know any rule.
"""

from pathlib import Path

from tests.house.tree import PACKAGES, ROOT, files


def test_every_package_is_found() -> None:
    """Each package of the house has Python files, so no rule holds for want of files."""
    for package in PACKAGES:
        assert files(ROOT, [package], ".py")


def test_generated_and_hidden_folders_are_left_out(tmp_path: Path) -> None:
    """Only files with the suffix, outside generated and hidden folders, are found."""
    for name in ("pkg/a.py", "pkg/a.js", "pkg/__pycache__/a.py", "pkg/.cache/a.py", "other/a.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert files(tmp_path, ["pkg"], ".py") == [tmp_path / "pkg/a.py"]
