"""A program that becomes another one.

Invariant under test: the processor and the files are set before the other program begins, which has the same number.
It must not know any peer.
"""

import os
import resource
import sys

import pytest

from gateway.bench.peers import pinned
from gateway.bench.programs import program

SAY = (
    "import os, resource; limits = resource.getrlimit(resource.RLIMIT_NOFILE); "
    "print(os.getpid(), sorted(os.sched_getaffinity(0)), *limits, flush=True)"
)


async def test_the_other_program_finds_it_done() -> None:
    """On one processor, with all the files that it may have."""
    cpu = max(os.sched_getaffinity(0))
    async with program("gateway.bench.peers.pinned", str(cpu), sys.executable, "-c", SAY) as running:
        found = await running.says(r"^(\d+) \[(\d+)\] (-?\d+) (-?\d+)$")
    assert int(found[1]) == running.pid
    assert int(found[2]) == cpu
    assert found[3] == found[4]


@pytest.mark.parametrize(("word", "bound"), [("any", []), ("3", [{3}])])
def test_what_is_done(word: str, bound: list[set[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """In this order; a processor only if one was said."""
    did: list[object] = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: did.append(limits[0] == limits[1]))
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, processors: did.append(processors))
    monkeypatch.setattr(os, "execvp", lambda file, arguments: did.append((file, arguments)))
    pinned.main([word, "ls", "-l"])
    assert did == [True, *bound, ("ls", ["ls", "-l"])]
