"""What the machine grants: memory of this process, of its container and of the machine, and how many files may be open.

Invariant under test: what the system does not tell is nothing, never a guess, and never an error.
It must not know what is made of the numbers.
"""

import mmap
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.server.resources import allow_files, memory_limit, resident_bytes

MACHINE = {"proc/meminfo": "MemTotal:       4096 kB\nMemFree:        1 kB\n"}
V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/memory"


def system(root: Path, files: dict[str, str]) -> Path:
    """These files below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system has no /proc")
async def test_memory_that_is_held_is_seen() -> None:
    """Pages that were written to are resident, in bytes; asking does not block the loop."""
    before = resident_bytes()
    size = 32 << 20
    with mmap.mmap(-1, size) as memory:
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = 1
        assert resident_bytes() - before >= size * 0.9
    assert before > 4 << 20


def test_without_proc_nothing_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without /proc is never over any mark."""

    def missing(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(os, "open", missing)
    assert resident_bytes() == 0


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"proc/meminfo": "nothing of that kind\nMemTotal: x kB\n"}, None),
        (MACHINE, 4 << 20),
        (MACHINE | {"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "max\n"}, 4 << 20),
        (MACHINE | {"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "1000\n"}, 1000),
        (MACHINE | {"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/memory.max": "20\n", f"{V2}/a/b/memory.max": "max"}, 20),
        (MACHINE | {"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/memory.max": "9\n", f"{V2}/a/b/memory.max": "30\n"}, 9),
        ({"proc/self/cgroup": "0::/a\n", f"{V2}/a/memory.max": "5000\n"}, 5000),
        (MACHINE | {"proc/self/cgroup": "5:cpu:/\n4:memory:/x\n0::/\n", f"{V1}/memory.limit_in_bytes": "700\n"}, 700),
        (MACHINE | {"proc/self/cgroup": "4:hugetlb,memory:/x\n", f"{V1}/x/memory.limit_in_bytes": "600\n"}, 600),
        (MACHINE | {"proc/self/cgroup": "4:memory:/\n", f"{V1}/memory.limit_in_bytes": "9223372036854771712"}, 4 << 20),
        (MACHINE | {"proc/self/cgroup": "4:cpu:/\n", f"{V1}/memory.limit_in_bytes": "500\n"}, 4 << 20),
    ],
)  # fmt: skip
def test_the_smallest_limit_counts(tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
    """The group's own, that of one above it, or of the root, in the second version of control groups and the first."""
    assert memory_limit(system(tmp_path, files)) == limit


def test_this_machine_can_be_asked() -> None:
    """Whatever system the tests run on, its answer is no error, and more than nothing."""
    limit = memory_limit()
    assert limit is None or limit > 1 << 20


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "allowed"), [(64, 256, 100, 100), (64, 256, 1000, 256), (128, 256, 100, 128)]
)
def test_files_are_allowed_as_far_as_they_may(soft: int, hard: int, wanted: int, allowed: int) -> None:
    """Raised to what is wanted, at most to the system's own limit, and never lowered."""
    program = (
        "import resource\nfrom gateway.server.resources import allow_files\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        f"print(allow_files({wanted}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert answer.stdout.split() == [str(allowed)] * 2


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [((100, -1), 5000), ((-1, -1), None), ((100, 200), 100)],
)
def test_a_system_with_its_own_mind(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], allowed: int | None
) -> None:
    """Without a limit there is none; what the system refuses in spite of its limit stays as it was."""
    asked: list[tuple[int, int]] = []

    def setrlimit(_: int, wanted: tuple[int, int]) -> None:
        asked.append(wanted)
        if limits[1] == 200:
            raise ValueError

    monkeypatch.setattr(resource, "RLIM_INFINITY", -1)
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert allow_files(5000) == allowed
    assert asked == {100: [(min(5000, limits[1] if limits[1] > 0 else 5000), limits[1])], -1: []}[limits[0]]


def test_a_system_without_limits_on_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has none of this kind."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert allow_files(10) is None
