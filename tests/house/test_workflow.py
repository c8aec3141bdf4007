"""The build on GitHub: the house keeps the rule, and the rule sees what a build should not do.

Invariant: the samples differ from a good workflow by one word each.
It must not know the real workflow's triggers.
"""

from pathlib import Path

import pytest

from tests.house.locks import PYTHONS
from tests.house.tree import ROOT
from tests.house.workflow import WORKFLOW, complaints

GOOD = f"""
on: [push]
permissions: {{contents: read}}
jobs:
  tests:
    strategy: {{matrix: {{python: {list(PYTHONS)}}}}}
    steps:
      - uses: actions/checkout@{"0" * 40}
      - run: tests/run ${{{{ inputs.nightly && '--nightly' || '' }}}}
"""


def test_github_runs_what_people_run() -> None:
    """The workflow is the one test command on every Python of the project, with pinned actions and no rights."""
    found = complaints(ROOT)
    assert not found, "\n".join(found)


def test_a_good_workflow_has_nothing_to_complain_of(tmp_path: Path) -> None:
    """One command, all Pythons, pinned actions, reading only."""
    assert _complaints_about(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("good", "bad", "complaint"),
    [
        ("'3.12', ", "", "tests: it is not run on Python"),
        ("tests/run ${{", "pytest ${{", "is not the one test command"),
        ("run: tests/run", "name: tests/run", "tests: it runs nothing"),
        ("0" * 40, "v5", "tests: actions/checkout@v5 is not pinned to a commit"),
        ("contents: read", "contents: write", "the workflow may do more than read"),
        ("    steps:", "    permissions: {packages: write}\n    steps:", "tests: it has rights of its own"),
    ],
)
def test_a_bad_workflow_is_named(tmp_path: Path, good: str, bad: str, complaint: str) -> None:
    """A missing Python, another command, none, a loose action, and rights are each named, and nothing else is."""
    [sentence] = _complaints_about(tmp_path, GOOD.replace(good, bad))
    assert complaint in sentence


def test_pythons_that_differ_between_the_project_and_the_locks_are_named(tmp_path: Path) -> None:
    """A Python that the project names and the locks do not hold, or requires and does not name, is named."""
    found = _complaints_about(tmp_path, GOOD, pythons=("3.10", *PYTHONS), requires=">=3.9")
    assert any("pyproject.toml names Python 3.10" in sentence for sentence in found)
    assert any("pyproject.toml requires Python >=3.9" in sentence for sentence in found)


def _complaints_about(
    root: Path, workflow: str, pythons: tuple[str, ...] = PYTHONS, requires: str = f">={PYTHONS[0]}"
) -> list[str]:
    path = root / WORKFLOW
    path.parent.mkdir(parents=True)
    path.write_text(workflow)
    classifiers = [f"Programming Language :: Python :: {python}" for python in pythons]
    (root / "pyproject.toml").write_text(
        f'[project]\nrequires-python = "{requires}"\nclassifiers = {[*classifiers, "Typing :: Typed"]}\n'
    )
    return complaints(root)
