"""A program that becomes another one, on one processor and with as many files as it may have.

    python -m gateway.bench.peers.pinned CPU|any PROGRAM ARGUMENTS

Invariant: the processor is set before the other program begins, so that whatever threads and children it makes are held
to it as well, and the process keeps its number, its ears and its leash. It must not know which programs there are.
"""

import os
import resource
import sys
from collections.abc import Sequence

ANYWHERE = "any"


def confine(cpu: str) -> None:
    """Does to this process what the other program is to find."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if cpu != ANYWHERE:
        os.sched_setaffinity(0, {int(cpu)})


def main(arguments: Sequence[str]) -> None:
    """The process, until it is another program."""
    cpu, *command = arguments
    confine(cpu)
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
