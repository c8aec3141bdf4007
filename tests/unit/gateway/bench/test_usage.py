"""What the kernel tells of processes, read from a /proc of our own making and from the real one.

Invariant under test: a program's name may hold anything, and a process may end while it is looked at.
It must not know what processes do.
"""

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.bench.benches import BenchError
from gateway.bench.usage import (
    children,
    children_cpu,
    cpu_seconds,
    family,
    one_processor,
    open_files,
    others_cpu,
    processor_seconds,
    raise_file_limit,
    resident,
    split_processors,
    threads,
)

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A parent 1 with the child 2 and a stranger 3, and one that has ended since it was listed."""
    for pid, parent, user, system, count in [(1, 0, 100, 50, 3), (2, 1, 30, 20, 1), (3, 0, 700, 0, 1)]:
        folder = tmp_path / str(pid)
        folder.mkdir()
        words = ["S", parent, *[0] * 9, user, system, 7, 3, 20, 0, count, *[0] * 20]
        (folder / "stat").write_text(f"{pid} (a (very) odd) name) {' '.join(map(str, words))}\n")
        (folder / "status").write_text("Name:\ta\nVmRSS:\t    2048 kB\n")
    (tmp_path / "4").mkdir()
    (tmp_path / "stat").write_text("cpu 1000 10 200 9999 99 5 5 20 0 0\ncpu0 1 2 3\n")
    return tmp_path


def test_a_process_is_read(proc: Path) -> None:
    """Its time, memory, threads and children."""
    assert cpu_seconds(1, proc) == pytest.approx(150 / TICKS)
    assert resident(1, proc) == 2 << 20
    assert threads(1, proc) == 3
    assert children(1, proc) == 1


def test_a_family_is_known_by_its_commands(proc: Path) -> None:
    """Of those that still are."""
    (proc / "2/cmdline").write_bytes(b"python\0-m\0something\0")
    assert family(1, proc) == {2: "python -m something"}
    (proc / "2/cmdline").unlink()
    assert family(1, proc) == {}


def test_open_files_are_named(tmp_path: Path) -> None:
    """Sockets as the kernel calls them; of a process that is gone there are none to tell."""
    with socket.socket() as line:
        found = open_files(os.getpid())
        assert f"socket:[{os.fstat(line.fileno()).st_ino}]" in found
    with pytest.raises(BenchError, match="Linux only"):
        open_files(1, tmp_path)
    (tmp_path / "1/fd").mkdir(parents=True)
    (tmp_path / "1/fd/3").write_text("no link, as if it were closed")
    assert open_files(1, tmp_path) == []


def test_threads_are_added_up(tmp_path: Path) -> None:
    """Of all the processes, to the nanosecond."""
    for pid, thread, nanoseconds in [(1, 1, 1_500_000_001), (1, 5, 500_000_000), (2, 2, 1)]:
        folder = tmp_path / str(pid) / "task" / str(thread)
        folder.mkdir(parents=True)
        (folder / "schedstat").write_text(f"{nanoseconds} 77 8\n")
    assert processor_seconds([1, 2], tmp_path) == pytest.approx(2.000000002, abs=1e-12)
    with pytest.raises(BenchError, match="Linux only"):
        processor_seconds([3], tmp_path)


def test_this_process_has_taken_some() -> None:
    """By the real kernel."""
    before = processor_seconds([os.getpid()])
    sum(range(1_000_000))
    assert processor_seconds([os.getpid()]) > before


def test_processors_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for what is measured, the others for the rest; a single one is for both."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 4, 5})
    assert split_processors() == (2, frozenset({4, 5}))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert split_processors() == (3, frozenset({3}))
    monkeypatch.delattr(os, "sched_getaffinity")
    with pytest.raises(BenchError, match="Linux only"):
        split_processors()


def test_others_are_everybody_else(proc: Path) -> None:
    """All that was busy, without the process, its children, and those of them that have ended."""
    assert others_cpu(1, proc) == pytest.approx((1240 - 160 - 50) / TICKS)


def test_without_proc_it_is_said(tmp_path: Path) -> None:
    """As a sentence, or as nothing where it only accompanies the figures."""
    with pytest.raises(BenchError, match="Linux only"):
        cpu_seconds(1, tmp_path)
    assert others_cpu(1, tmp_path) is None


def test_a_kernel_thread_has_no_memory(proc: Path) -> None:
    """Its status has no such line."""
    (proc / "1/status").write_text("Name:\ta\n")
    assert resident(1, proc) == 0


def test_children_that_have_ended_are_counted() -> None:
    """Once they were waited for."""
    before = children_cpu()
    subprocess.run([sys.executable, "-S", "-c", "sum(range(1_000_000))"], check=True, timeout=30)
    assert children_cpu() > before


def test_one_processor_is_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards there are as many as before; where it cannot be chosen, nothing happens."""
    before = os.sched_getaffinity(0)
    with one_processor():
        assert os.sched_getaffinity(0) == {max(before)}
    assert os.sched_getaffinity(0) == before
    monkeypatch.delattr("os.sched_setaffinity")
    with one_processor():
        assert os.sched_getaffinity(0) == before


def test_files_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit is raised up to the hard one, and never lowered."""
    limits, chosen = (100, 5000), []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, both: chosen.append(both))
    raise_file_limit(50)
    assert chosen == []
    raise_file_limit(2000)
    assert chosen == [(2000, 5000)]
    with pytest.raises(BenchError, match="5000 files"):
        raise_file_limit(6000)
