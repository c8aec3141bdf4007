"""Where the house's files are: the one place that walks the tree for the rules.

Invariant: generated and hidden folders are never walked, and the answer is sorted, so that complaints have an order.
It must not know any rule.
"""

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "transcode", "metrics")
GENERATED = {"__pycache__", "build", "dist", "node_modules"}


def files(root: Path, folders: Iterable[str], *suffixes: str) -> list[Path]:
    """The files below `root/folder` for each folder that end in one of `suffixes`, sorted."""
    found = (path for folder in folders for path in (root / folder).rglob("*") if path.suffix in suffixes)
    return sorted(path for path in found if path.is_file() and not _hidden(path.relative_to(root)))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part in GENERATED for part in path.parts)
