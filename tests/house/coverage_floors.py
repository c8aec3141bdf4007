"""The rule about coverage: each room has a floor of lines and branches together; one below it is named with its gaps.

Invariant: a room is a folder; its share is taken over all its files, and a file that no test imported counts as nothing
covered. A run that failed, or that skipped tests for want of a program, is not judged.
It must not measure anything: pytest-cov has written the report when the tests are done.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.house.parts import Parts

FLOORS = {"gateway/protocol": 100.0, "gateway/relay": 100.0, "gateway/quota": 100.0}
OTHERS = 95.0  # per cent of statements and branches


def complaints(report: dict[str, Any]) -> list[str]:
    """One line for each room below its floor, then one for each of its files with gaps, from coverage's JSON report."""
    rooms: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for path, measured in report["files"].items():
        if PurePosixPath(path).is_absolute():
            continue  # a package that a test made elsewhere, and ran in a process of its own: no room of the house
        rooms[str(PurePosixPath(path).parent)][path] = measured
    found = []
    for room, files in sorted(rooms.items()):
        floor = FLOORS.get(room, OTHERS)
        share = _share([measured["summary"] for measured in files.values()])
        if share < floor:
            found.append(f"{room}: {share:.1f} % of lines and branches covered, the floor is {floor:.0f} %")
            gaps = {path: ", ".join(_gaps(measured)) for path, measured in files.items()}
            found += [f"  {path}: {where}" for path, where in gaps.items() if where]
    return found


def _share(summaries: list[dict[str, int]]) -> float:
    whole = sum(one["num_statements"] + one["num_branches"] for one in summaries)
    covered = sum(one["covered_lines"] + one["covered_branches"] for one in summaries)
    return 100.0 * covered / whole if whole else 100.0


def _gaps(measured: dict[str, Any]) -> Iterator[str]:
    """Missing lines as ranges, then missing branches `from->to` of lines that did run; `exit` leaves the function."""
    missing: list[int] = measured["missing_lines"]
    starts = [line for line in missing if line - 1 not in missing]
    ends = [line for line in missing if line + 1 not in missing]
    yield from (str(start) if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=True))
    for start, end in measured["missing_branches"]:
        if start not in missing:
            yield f"{start}->{end if end > 0 else 'exit'}"


class Judge:
    """A pytest plugin: reads the report when the tests are done, and fails the run that is below a floor."""

    def __init__(self, report: Path, parts: Parts) -> None:
        self._report = report
        self._parts = parts
        self._lines: list[str] = []

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus != pytest.ExitCode.OK:
            return
        if self._parts.missing:
            self._lines = [f"not judged: {', '.join(sorted(self._parts.missing))} not installed"]
            return
        self._lines = complaints(json.loads(self._report.read_text(encoding="utf-8")))
        if self._lines:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._lines:
            terminalreporter.section("coverage floors", red=True)
            terminalreporter.write_line("\n".join(self._lines))
