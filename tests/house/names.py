"""The rule about names: no junk drawers, and nothing at the top level that a newcomer would not expect there.

Invariant: at the top level may lie what `TOP_LEVEL` or `.gitignore` names and what begins with a dot, nothing else.
It must not know what the files contain.
"""

from fnmatch import fnmatch
from pathlib import Path

from tests.house.tree import PACKAGES, files

JUNK_DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc"}
TOP_LEVEL = {*PACKAGES, "tests", "deploy", "pyproject.toml", "README.md", "LICENSE", "uv.lock"}


def complaints(root: Path) -> list[str]:
    """One sentence for each module or folder called after a drawer, and for each stranger at the top level."""
    drawers = {
        f"{path.relative_to(root)}: name the noun, not the drawer ({part})"
        for path in files(root, [*PACKAGES, "tests"], ".py", ".js")
        for part in path.relative_to(root).with_suffix("").parts
        if part in JUNK_DRAWERS
    }
    ignored = _ignored_names(root)
    strangers = [
        f"{path.name} does not belong at the top level"
        for path in root.iterdir()
        if path.name not in TOP_LEVEL
        and not path.name.startswith(".")
        and not any(fnmatch(path.name, name) for name in ignored)
    ]
    return sorted([*drawers, *strangers])


def _ignored_names(root: Path) -> list[str]:
    rules = root / ".gitignore"
    return [line.strip().strip("/") for line in rules.read_text().splitlines()] if rules.exists() else []
