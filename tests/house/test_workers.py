"""A run whose tests are shared by workers is judged once, on everything that all of them and their programs did.

Invariant: the runs are real ones of a second pytest, on a small house in a temporary folder, dealt out as `tests/run`
does it. The first two tests of `SAMPLES` wait for each other, so that each of the two workers has one.
It must not know the house's real coverage.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.house.parts import Parts
from tests.house.tree import ROOT
from tests.house.workers import Controller, Worker

SECONDS = 140  # a run starts three interpreters, and one more for each worker that dies
pytestmark = pytest.mark.timeout(SECONDS + 10)
SETTINGS = """
[tool.pytest.ini_options]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
timeout = 30
addopts = "-p no:schemathesis -p no:hypothesispytest"  # which take their time to load, three times a run
[tool.coverage.run]
branch = true
source_pkgs = ["room"]
patch = ["subprocess"]
"""
ROOM = "".join(f"def {name}():\n    return {name!r}\n" for name in ("here", "there", "elsewhere", "nowhere"))
SAMPLES = """
import os, pathlib, subprocess, sys, time
import room.a

def meet(mine, other):
    pathlib.Path(mine).touch()
    while not pathlib.Path(other).exists():
        time.sleep(0.01)

def test_one():
    meet("one", "two")
    room.a.here()

def test_two():
    meet("two", "one")
    room.a.there()
    subprocess.run([sys.executable, "-c", "import room.a; room.a.elsewhere()"], check=True)
"""
NEEDS = """
def test_three(need):
    need("no-such-program")
"""
DIES_AND_HANGS = """
import os, time

def test_dies():
    os._exit(0)

def test_passes():
    pass

def test_hangs():
    time.sleep(60)

def test_passes_too():
    pass
"""
DIES_AFTERWARDS = """
import os, pathlib

def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput") and not pathlib.Path("died").exists():
        pathlib.Path("died").touch()
        os._exit(0)
"""


def run(folder: Path, samples: str, *arguments: str) -> tuple[int, str]:
    """The exit code and the words of a run of `samples` by two workers."""
    (folder / "room").mkdir()
    (folder / "room/__init__.py").touch()
    (folder / "room/a.py").write_text(ROOM)
    (folder / "pyproject.toml").write_text(SETTINGS)
    (folder / "test_samples.py").write_text(samples)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-n", "2", "--dist", "worksteal", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": f"{ROOT}{os.pathsep}.", "CI": "false"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("more", "code", "judgement"),
    [
        ("", 1, "room: 87.5 % of lines and branches covered, the floor is 95 %\n  room/a.py: 8\n"),
        (NEEDS, 0, "not judged: no-such-program not installed\n"),
    ],
    ids=["a gap", "a missing part"],
)
def test_one_judgement_for_all_workers(tmp_path: Path, more: str, code: int, judgement: str) -> None:
    """Only the line that neither a worker nor a program came to is a gap; a part that one worker missed is missing."""
    judging = ["--cov", "--cov-report=", "--cov-report=json:report.json", "--coverage-floors=report.json"]
    found, said = run(tmp_path, SAMPLES + more, *judging)
    assert found == code, said
    assert said.count("coverage floors") == 1
    assert judgement in said
    assert "2 passed" in said


def test_a_worker_that_dies_or_hangs_fails_its_test(tmp_path: Path) -> None:
    """Even if it ends with code 0, and in the time that every test has; the other tests are run all the same."""
    found, said = run(tmp_path, DIES_AND_HANGS, "--timeout=2")
    assert found == 1, said
    assert "crashed while running 'test_samples.py::test_dies'" in said, said
    assert "FAILED test_samples.py::test_hangs - Failed: Timeout (>2.0s)" in said
    assert "2 failed, 2 passed" in said


def test_a_worker_that_dies_afterwards_fails_the_run(tmp_path: Path) -> None:
    """No test is left to blame, so the run itself says which worker was lost."""
    (tmp_path / "conftest.py").write_text(DIES_AFTERWARDS)
    found, said = run(tmp_path, SAMPLES)
    assert found == 1, said
    assert "2 passed" in said
    assert "gw" in said.partition("lost workers")[2].splitlines()[1]


def test_what_any_worker_missed_is_missing() -> None:
    """What a worker says last is what the controller adds to its own; a worker without a last word is lost."""
    ours = Parts({}, which=lambda _: None)
    controller = Controller(ours)
    for name in ("nginx", "redis-server"):
        theirs = Parts({}, which=lambda _: None)
        theirs.missing.add(name)
        said: dict[str, Any] = {}
        Worker(theirs, said).pytest_sessionfinish()
        controller.pytest_testnodedown(SimpleNamespace(workeroutput=said), None)
    assert ours.missing == {"nginx", "redis-server"}
    written: list[str] = []
    terminal: Any = SimpleNamespace(section=lambda *_, **__: None, write_line=written.append)
    controller.pytest_terminal_summary(terminal)
    assert written == []
    controller.pytest_testnodedown(SimpleNamespace(gateway=SimpleNamespace(id="gw7")), "Not properly terminated")
    controller.pytest_terminal_summary(terminal)
    assert written == ["gw7: Not properly terminated"]
