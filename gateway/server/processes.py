"""What processes take of the machine, as the system tells it: this one, and those that work for it.

Invariant: only what the system itself tells; where it tells nothing it is 0. It asks no disk, and counts 10,000 open
sockets without a look at each where the kernel does, so it may be called in the loop, now and then.
It must not know what the others do.
"""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.server.resources import resident_bytes

# Longer than any line of /proc/PID/stat.
_LINE_BYTES = 2048
# Of /proc/PID/stat, counted from behind the name, which may hold anything: user and system ticks, birth, pages.
_USER, _SYSTEM, _BORN, _PAGES = 11, 12, 19, 21


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds so far, resident bytes, open files and how many there may be, and the time of its start."""

    cpu_seconds: float
    resident: int
    open_files: int
    most_files: int
    started: float


def own_usage() -> Usage:
    """Of this process."""
    return Usage(time.process_time(), resident_bytes(), open_files(), most_files(), started())


def open_files() -> int:
    """Files and sockets of this process."""
    try:
        folder = os.open("/proc/self/fd", os.O_RDONLY)
    except OSError:
        return 0
    try:
        # The kernel's own count, since Linux 6.2; before that there is none. One of them is the folder, which is open
        # twice while it is listed.
        counted = os.fstat(folder).st_size
        return counted - 1 if counted else len(os.listdir(folder)) - 2
    finally:
        os.close(folder)


def most_files() -> int:
    """How many there may be; 0 for no limit, and where there is none to ask for."""
    if sys.platform == "win32":
        return 0
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(0, soft)


def started() -> float:
    """When this process was started, in seconds since the epoch."""
    told = _stat("self")
    if told is None:
        return 0.0
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(told[_BORN]) / _ticks()


class Others:
    """Processes that come and go."""

    def __init__(self) -> None:
        self._taken: dict[int, float] = {}

    def look(self, pids: Iterable[int]) -> tuple[float, int]:
        """Processor seconds that these have taken since the last look, and resident bytes; who is gone says nothing."""
        seconds, resident = 0.0, 0
        before, self._taken = self._taken, {}
        for pid in pids:
            if (told := _stat(str(pid))) is not None:
                self._taken[pid] = taken = (int(told[_USER]) + int(told[_SYSTEM])) / _ticks()
                seconds += max(0.0, taken - before.get(pid, 0.0))
                resident += int(told[_PAGES]) * os.sysconf("SC_PAGE_SIZE")
        return seconds, resident


def _ticks() -> int:
    return os.sysconf("SC_CLK_TCK")


def _stat(process: str) -> list[bytes] | None:
    try:
        file = os.open(f"/proc/{process}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.pread(file, _LINE_BYTES, 0).rpartition(b")")[2].split()
    except OSError:
        return None
    finally:
        os.close(file)
