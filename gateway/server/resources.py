"""What the machine grants this process and what it holds of it: resident memory, the most it may have, open files.

Invariant: only what the system itself tells; where it tells nothing, memory is 0, a limit None, and nobody is refused.
It must not know what is refused when something runs out.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

# Longer than any line of the file.
_LINE_BYTES = 256


def resident_bytes() -> int:
    """Resident memory of this process; 0 where there is no /proc.

    It asks no disk, so it may be called in the loop: 9 us, which is why nobody calls it for every request.
    """
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return int(os.pread(statm, _LINE_BYTES, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    finally:
        os.close(statm)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes of memory that the container or else the machine has; None where neither is told. Reads files."""
    limits = [*_of_machine(root), *_of_container(root)]
    return min(limits) if limits else None


def _of_machine(root: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            name, _, size = line.partition(":")
            if name == "MemTotal":
                yield int(size.split()[0]) * 1024


def _of_container(root: Path) -> Iterator[int]:
    """A limit may stand at the group of this process or at any above it; in a container its own is often the root."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            group = PurePosixPath(path.lstrip("/"))
            if number == "0":
                files = root / "sys/fs/cgroup", "memory.max"
            elif "memory" in controllers.split(","):
                files = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
            else:
                continue
            for place in dict.fromkeys((group, *group.parents, PurePosixPath())):
                # "max" is no number, and no limit.
                with suppress(OSError, ValueError):
                    yield int((files[0] / place / files[1]).read_text())


def allow_files(wanted: int) -> int | None:
    """Raises what this process may open towards `wanted` as far as the system allows; the limit, or None for none."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        # A system may have bounds of its own below the hard limit.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return None if soft == resource.RLIM_INFINITY else soft
