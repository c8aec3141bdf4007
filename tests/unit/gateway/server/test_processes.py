"""Tests of what processes take, on this very process and on one of our own.

Invariant under test: the figures are the system's, those of who is gone are none, and nothing is counted twice.
It must not know who asks.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from gateway.server.processes import Others, most_files, open_files, own_usage, started
from tests.house.tree import ROOT

BUSY = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\nsys.stdin.read()"


@pytest.fixture
def busy() -> Iterator[int]:
    """A process that has taken 0.3 s of processor time, and waits."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        yield process.pid
        process.kill()


@pytest.mark.blocking("it starts a process, and waits for it")
def test_when_it_was_started() -> None:
    """A process that is asked between two looks at the clock."""
    words = "from gateway.server.processes import started; print(started())"
    before = time.time()
    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, timeout=50, check=True)
    assert before - 0.1 <= float(done.stdout) <= time.time()


@pytest.mark.blocking("it starts a process, and waits for it")
def test_others_are_counted_as_they_work_and_not_when_they_are_gone(busy: int) -> None:
    """Time since the last look, memory of now; a second look finds nothing new."""
    others = Others()
    seconds, resident = others.look([busy, 2**22 + 1])
    assert 0.25 <= seconds < 5
    assert 1 << 20 < resident < 1 << 30
    assert others.look([busy])[0] == pytest.approx(0.0, abs=0.05)
    assert others.look([]) == (0.0, 0)


def test_this_process() -> None:
    """All figures at once: of the order that they have."""
    usage = own_usage()
    assert 0 < usage.cpu_seconds <= time.process_time()
    assert 1 << 20 < usage.resident < 1 << 34
    assert usage.most_files == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert time.time() - time.monotonic() - 1 < usage.started < time.time()


def test_files_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are open, and no other; also where the kernel does not count them itself."""
    before = open_files()
    assert before == len(os.listdir("/proc/self/fd")) - 1
    pair = os.pipe()
    assert open_files() == before + 2
    told = os.fstat

    class Older:
        def __init__(self, folder: int) -> None:
            assert told(folder)
            self.st_size = 0

    monkeypatch.setattr(os, "fstat", Older)
    assert open_files() == before + 2
    for end in pair:
        os.close(end)
    assert open_files() == before


def test_where_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc, and where there are no limits to ask for, everything is nothing."""

    def refuse(path: str, flags: int) -> int:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "open", refuse)
    assert (open_files(), started()) == (0, 0.0)
    assert Others().look([os.getpid()]) == (0.0, 0)
    monkeypatch.setattr(sys, "platform", "win32")
    assert most_files() == 0


def test_who_goes_while_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is open, and says nothing any more."""

    def gone(file: int, size: int, at: int) -> bytes:
        raise ProcessLookupError(file)

    monkeypatch.setattr(os, "pread", gone)
    assert Others().look([os.getpid()]) == (0.0, 0)
