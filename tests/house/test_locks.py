"""Locks: the house keeps the rule, and the rule sees a lock that has fallen behind.

Invariant: the samples ask for one runtime and one development requirement.
It must not know the real pins.
"""

from pathlib import Path

import pytest

from tests.house.locks import complaints
from tests.house.tree import ROOT

GOOD = "tune==1.2 ; python_full_version < '3.13' \\\n    --hash=sha256:aa\n    # via wavegate\n"
NEWER = "tune==2.0 ; python_full_version >= '3.13' \\\n    --hash=sha256:ab\n"
LINTER = "linter==3.0 \\\n    --hash=sha256:ac\n"


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """Every requirement is pinned with hashes for every supported Python, and no address stands in a lock."""
    found = complaints(ROOT)
    assert not found, "\n".join(found)


def test_a_lock_that_holds_everything_is_good(tmp_path: Path) -> None:
    """Pins that cover every Python between them satisfy the rule."""
    assert _complaints_about(tmp_path, GOOD + NEWER) == []


@pytest.mark.parametrize(
    ("lock", "complaint"),
    [
        (GOOD, "tune>=1.0 is not pinned for Python 3.13"),
        (GOOD.replace("1.2", "0.9") + NEWER, "tune>=1.0 is not pinned for Python 3.11"),
        (GOOD + NEWER + "drum==1.0\n", "drum==1.0 has no hash"),
        ("--index-url https://mirror.example/simple\n" + GOOD + NEWER, "1 holds an address"),
    ],
)
def test_a_bad_lock_is_named(tmp_path: Path, lock: str, complaint: str) -> None:
    """A pin that is missing, too old or without a hash, and an address, are each named."""
    assert any(complaint in sentence for sentence in _complaints_about(tmp_path, lock))


def _complaints_about(root: Path, lock: str) -> list[str]:
    (root / "pyproject.toml").write_text(
        '[project]\ndependencies = ["tune>=1.0"]\n[dependency-groups]\ndev = ["linter"]\n'
    )
    for name, text in (("deploy", lock), ("tests", lock + LINTER)):
        (root / name).mkdir()
        (root / name / "requirements.txt").write_text(text)
    return complaints(root)
