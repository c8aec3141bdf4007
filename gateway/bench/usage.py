"""What the kernel says of processes: their processor time, memory, threads and children.

Invariant: figures are of this moment, and of the process asked about alone. Where there is no /proc, a BenchError says
that this cannot be measured here. It must not know what the processes do.
"""

import os
import re
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.bench.benches import BenchError

PROC = Path("/proc")


def children_cpu() -> float:
    """Seconds that all children of this process have taken that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_seconds(pid: int, proc: Path = PROC) -> float:
    """What a process has taken so far, to 10 ms."""
    user, system = _stat(proc / str(pid))[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def processor_seconds(pids: Iterable[int], proc: Path = PROC) -> float:
    """What these processes have taken so far, to the nanosecond: of the threads that they have now, all together."""
    total = 0
    for pid in pids:
        folder = proc / str(pid) / "task"
        try:
            threads_of = [thread.name for thread in folder.iterdir()]
        except OSError:
            raise BenchError(f"this can be measured on Linux only, of processes that live: no {folder}.") from None
        total += sum(int(_read(folder / name / "schedstat").split()[0]) for name in threads_of)
    return total / 1e9


def resident(pid: int, proc: Path = PROC) -> int:
    """Bytes of a process's memory that are in use."""
    found = re.search(r"VmRSS:\s+(\d+) kB", _read(proc / str(pid) / "status"))
    return int(found[1]) * 1024 if found is not None else 0


def threads(pid: int, proc: Path = PROC) -> int:
    """How many a process has."""
    return int(_stat(proc / str(pid))[17])


def children(pid: int, proc: Path = PROC) -> int:
    """How many processes it has started that still are."""
    return sum(_parent(folder) == pid for folder in proc.iterdir() if folder.name.isdigit())


def family(pid: int, proc: Path = PROC) -> dict[int, str]:
    """The processes that it has started and that still are, each with its command."""
    found = {}
    for folder in proc.iterdir():
        if folder.name.isdigit() and _parent(folder) == pid:
            with suppress(BenchError):  # it has ended since it was listed
                found[int(folder.name)] = _read(folder / "cmdline").replace("\0", " ").strip()
    return found


def open_files(pid: int, proc: Path = PROC) -> list[str]:
    """What a process has open, each as the kernel names it: `socket:[4711]`, a path, or a kind of its own."""
    try:
        files = list((proc / str(pid) / "fd").iterdir())
    except OSError:
        raise BenchError(f"this can be measured on Linux only, of processes that live: no {proc / str(pid)}.") from None
    found = []
    for file in files:
        with suppress(OSError):  # closed since it was listed
            found.append(str(file.readlink()))
    return found


def others_cpu(pid: int, proc: Path = PROC) -> float | None:
    """Seconds that all processors were taken, since they began, by others than a process and its children.

    Of use as a difference only, and only while all children are such as are waited for; None where there is no /proc.
    """
    try:
        words = _read(proc / "stat").split()[1:9]
        user, nice, system, _, _, interrupts, soft, stolen = map(int, words)
        ours = sum(map(int, _stat(proc / str(pid))[11:15]))  # with those of children that have ended
        for folder in proc.iterdir():
            if folder.name.isdigit() and _parent(folder) == pid:
                ours += sum(map(int, _stat(folder)[11:13]))
    except BenchError:
        return None
    return (user + nice + system + interrupts + soft + stolen - ours) / os.sysconf("SC_CLK_TCK")


@contextmanager
def one_processor() -> Iterator[None]:
    """Within, this process and those that it starts run on one processor, as a worker does; where that can be had."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def split_processors() -> tuple[int, frozenset[int]]:
    """The processor for what is measured, and those for the rest: others, where there is more than one.

    Raises BenchError where processes cannot be bound to processors.
    """
    if not hasattr(os, "sched_getaffinity"):
        raise BenchError("this can be measured on Linux only, where processes can be bound to processors.")
    ours = os.sched_getaffinity(0)
    first = min(ours)
    return first, frozenset(ours - {first}) or frozenset({first})


def raise_file_limit(wanted: int) -> None:
    """Lets this process open so many files. Raises BenchError where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchError(f"a process may open {hard} files here, and {wanted} are needed: see `ulimit -Hn`.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _parent(folder: Path) -> int | None:
    try:
        return int(_stat(folder)[1])
    except BenchError:  # it has ended since it was listed
        return None


def _stat(folder: Path) -> list[str]:
    """The words behind the program's name, which may hold anything: its state comes first."""
    return _read(folder / "stat").rpartition(")")[2].split()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise BenchError(f"this can be measured on Linux only, of processes that live: no {file}.") from None
