"""The peers that are a Python module each, in a process of its own.

Invariant: the module is started as a program and says its port; the library it needs is looked for, not imported.
It must not know how a module fans out.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec

from gateway.bench.peers.launch import pinned, ready
from gateway.bench.peers.peer import HOST, PATH, Peer, RunningPeer


class PythonPeer(Peer):
    """A module that needs a library."""

    def __init__(self, name: str, title: str, module: str, library: str) -> None:
        self.name = name
        self.title = title
        self._module = module
        self._library = library

    def missing(self) -> str | None:
        return None if find_spec(self._library) is not None else f"{self._library} is not installed"

    @asynccontextmanager
    async def start(self, size: int, period: float, cpu: int | None) -> AsyncIterator[RunningPeer]:
        command = (sys.executable, "-P", "-m", self._module, str(size), f"{period:g}")
        async with pinned(cpu, *command) as running:
            port = await ready(running, self.name)
            yield RunningPeer(f"ws://{HOST}:{port}{PATH}", [running.pid])
