"""Coverage floors: a room below its floor is named with its gaps, and the verdict reaches the exit code.

Invariant: reports are built here in the shape of coverage's JSON, so nothing is measured.
It must not know the house's real coverage.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.house.coverage_floors import FLOORS, OTHERS, Judge, complaints
from tests.house.parts import Parts


def _measured(statements: int, missing: list[int], branches: int = 0, gone: list[list[int]] | None = None) -> Any:
    gone = gone or []
    return {
        "summary": {
            "num_statements": statements,
            "covered_lines": statements - len(missing),
            "num_branches": branches,
            "covered_branches": branches - len(gone),
        },
        "missing_lines": missing,
        "missing_branches": gone,
    }


def test_a_house_above_its_floors_has_no_complaints() -> None:
    """Whole coverage where it is asked for and a small gap elsewhere are good, and an empty file counts as covered."""
    files = {f"{room}/a.py": _measured(10, [], 4) for room in FLOORS}
    files |= {"gateway/server/b.py": _measured(100, [7]), "metrics/__init__.py": _measured(0, [])}
    assert complaints({"files": files}) == []


def test_what_a_test_made_elsewhere_is_no_room() -> None:
    """A package of the same name in a test's own folder, run in a process of its own, is measured too: not judged."""
    files = {"/somewhere/gateway/egg.py": _measured(10, list(range(9))), "gateway/relay/hub.py": _measured(10, [])}
    assert complaints({"files": files}) == []


def test_one_missing_branch_is_below_a_floor_of_all() -> None:
    """A line that ran but never went one of its ways breaks a floor of 100 per cent, and the way is named."""
    files = {"gateway/relay/hub.py": _measured(199, [], 1, [[12, -3]]), "gateway/relay/ports.py": _measured(10, [])}
    assert complaints({"files": files}) == [
        "gateway/relay: 99.5 % of lines and branches covered, the floor is 100 %",
        "  gateway/relay/hub.py: 12->exit",
    ]


def test_gaps_are_ranges_and_branches_of_lines_that_ran() -> None:
    """Missing lines are joined to ranges; a branch is named where its own line is not missing already."""
    files = {"transcode/framer.py": _measured(10, [3, 4, 5, 9], 4, [[4, 5], [6, 9]])}
    assert complaints({"files": files}) == [
        f"transcode: 57.1 % of lines and branches covered, the floor is {OTHERS:.0f} %",
        "  transcode/framer.py: 3-5, 9, 6->9",
    ]


@pytest.mark.parametrize(
    ("missing_lines", "exitstatus", "absent", "expected", "said"),
    [
        ([], 0, "", 0, ""),
        ([1], 0, "", 1, "metrics: 50.0 %"),
        ([1], 2, "", 2, ""),
        ([1], 0, "redis-server", 0, "not judged: redis-server"),
    ],
    ids=["good", "below", "failed anyway", "part missing"],
)
def test_the_judge_fails_only_a_whole_run(
    tmp_path: Path, missing_lines: list[int], exitstatus: int, absent: str, expected: int, said: str
) -> None:
    """The exit code changes when a run that passed is below a floor, not when tests failed or could not run here."""
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"files": {"metrics/a.py": _measured(2, missing_lines)}}))
    parts = Parts({}, which=lambda _: None)
    parts.missing |= {absent} - {""}
    session: Any = SimpleNamespace(exitstatus=exitstatus)
    written: list[str] = []
    terminal: Any = SimpleNamespace(section=lambda *_, **__: None, write_line=written.append)
    judge = Judge(report, parts)
    judge.pytest_sessionfinish(session, exitstatus)
    judge.pytest_terminal_summary(terminal)
    assert session.exitstatus == expected
    assert "".join(written).startswith(said)
    assert bool(written) == bool(said)
