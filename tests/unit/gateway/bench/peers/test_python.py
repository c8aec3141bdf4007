"""Peers that are a Python module each.

Invariant under test: what is missing is told without an import, and the process that counts is named and pinned.
It must not know how a module fans out.
"""

import os
import sys

from gateway.bench.peers.python import PythonPeer
from gateway.bench.peers.table import PEERS


def test_a_library_that_is_not_there_is_told() -> None:
    """By its name; one that is there is not imported for that."""
    assert PythonPeer("x", "X", "x", "no_such_library").missing() == "no_such_library is not installed"
    assert PythonPeer("x", "X", "x", "this").missing() is None
    assert "this" not in sys.modules


async def test_it_is_pinned_and_ends() -> None:
    """The process that counts is the server."""
    cpu = max(os.sched_getaffinity(0))
    async with PEERS["broadcast"].start(30, 1.0, cpu) as running:
        (pid,) = running.pids
        assert os.sched_getaffinity(pid) == {cpu}
        assert running.url.startswith("ws://127.0.0.1:")
    assert not os.path.exists(f"/proc/{pid}")
