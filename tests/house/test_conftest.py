"""What `tests/conftest.py` promises, tried on small test files by a second pytest.

Invariant: the second run uses the house's own configuration, and its files stand in a temporary folder.
It must not test pytest or its plugins beyond that.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

SAMPLES = """
import asyncio, threading, time, warnings
import pytest
from tests.house.leaks import leaked_sockets, leaked_tasks, leaked_threads
from tests.house.tree import ROOT

for leaked in (leaked_tasks, leaked_sockets, leaked_threads):
    leaked.__defaults__ = (0.01,)  # this run knows that they will not end
names = {"time": time}
exec(compile("def block():\\n    time.sleep(0)\\n", str(ROOT / "gateway/room.py"), "exec"), names)
block = names["block"]
release = threading.Event()
held = []

async def test_blocks():
    block()

@pytest.mark.blocking("it is excused")
async def test_is_excused():
    block()

@pytest.mark.blocking
async def test_gives_no_reason():
    pass

async def test_leaves_a_task():
    held.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))

async def test_leaves_a_connection():
    held.append(await asyncio.start_server(lambda *_: None, "127.0.0.1", 0))
    held.append(await asyncio.open_connection(*held[-1].sockets[0].getsockname()))

async def test_uses_an_executor():
    await asyncio.to_thread(threading.get_ident)

def test_leaves_a_thread():
    held.append(threading.Thread(target=release.wait, args=(30,), name="lost"))
    held[-1].start()

def test_ends_the_thread():
    release.set()
    held[-1].join(30)

def test_warns():
    warnings.warn("old", DeprecationWarning)

@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_runs_on():
    print("runs on", type(asyncio.get_running_loop()).__module__)

async def test_starts_a_program(process):
    program = await process("sleep", "30")
    print("pid", program.pid)

def test_needs(need):
    need("no-such-program")
"""


@pytest.mark.parametrize("workers", ["0", "1"], ids=["alone", "in a worker"])
def test_the_promises_are_kept(tmp_path: Path, workers: str) -> None:
    """Each sample ends as promised, for the reason promised, and the program that a test forgot has ended."""
    sample = tmp_path / "test_samples.py"
    sample.write_text(SAMPLES)
    said = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            "pyproject.toml",
            "-p",
            "tests.conftest",
            "-rA",
            "-q",
            "--no-cov",
            "-n",
            workers,
            sample,
        ],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", "CI": "false"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    ).stdout
    for promise in (
        r"FAILED \S*::test_blocks - .*Blocking call to time\.sleep",
        r"PASSED \S*::test_is_excused",
        r"ERROR \S*::test_gives_no_reason - .*takes the reason",
        r"ERROR \S*::test_leaves_a_task - .*left behind: task forgotten in Event\.wait",
        r"ERROR \S*::test_leaves_a_connection - .*left behind: socket .* to ",
        r"PASSED \S*::test_uses_an_executor",
        r"ERROR \S*::test_leaves_a_thread - .*left behind: thread lost",
        r"FAILED \S*::test_warns - DeprecationWarning: old",
        r"PASSED \S*::test_runs_on\[asyncio\]",
        r"PASSED \S*::test_runs_on\[uvloop\]",
        r"PASSED \S*::test_starts_a_program",
        r"SKIPPED .*needs no-such-program",
    ):
        assert re.search(promise, said), f"{promise} is not in\n{said}"
    assert not re.search(r"ERROR \S*::(test_uses_an_executor|test_runs_on)", said)
    assert set(re.findall(r"^runs on (\w+)", said, re.MULTILINE)) == {"asyncio", "uvloop"}
    [pid] = re.findall(r"^pid (\d+)", said, re.MULTILINE)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
