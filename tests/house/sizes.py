"""The rule about sizes: no file is longer than a reader can hold, and the median is reported.

Invariant: every line counts, blank ones and comments too, for Python and for the browser's JavaScript alike.
It must not know what is in the lines.
"""

from pathlib import Path
from statistics import median

from tests.house.tree import PACKAGES, files

SOFT_CAP = 300
HARD_CAP = 400


def lines_of(root: Path) -> dict[str, int]:
    """Lines of every Python and JavaScript file of the house, tests included, by path."""
    return {
        str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files(root, [*PACKAGES, "tests"], ".py", ".js")
    }


def complaints(root: Path) -> list[str]:
    """One sentence for each file over the hard cap."""
    return [f"{path} has {n} lines, more than {HARD_CAP}" for path, n in lines_of(root).items() if n > HARD_CAP]


def report(root: Path) -> str:
    """One line for people: the median of the source files, and which stand between the two caps."""
    source = {path: n for path, n in lines_of(root).items() if not path.startswith("tests/") and n > 0}
    long = ", ".join(f"{path} {n}" for path, n in source.items() if n > SOFT_CAP)
    return f"{len(source)} source files, median {median(source.values()):.0f} lines, over {SOFT_CAP}: {long or 'none'}"
