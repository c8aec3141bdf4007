"""A bare loop in C, compiled when it starts: what a kernel and a processor can do with a write for each listener.

Invariant: it is compiled into a folder of its own, which goes with it.
It must not know what the loop does.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.bench.benches import BenchError
from gateway.bench.peers.launch import folder, pinned, ready
from gateway.bench.peers.peer import HOST, PATH, Peer, RunningPeer

SOURCE = Path(__file__).with_name("bare.c")
COMPILER = "cc"
_FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")
_COMPILE_SECONDS = 60.0


class Bare(Peer):
    """The bound that nobody who writes to each socket can pass."""

    name = "c"
    title = "bare epoll loop in C"

    def missing(self) -> str | None:
        if sys.platform != "linux":
            return "epoll is Linux's own"
        return None if shutil.which(COMPILER) is not None else f"no C compiler ({COMPILER})"

    @asynccontextmanager
    async def start(self, size: int, period: float, cpu: int | None) -> AsyncIterator[RunningPeer]:
        async with folder() as place:
            program = place / "bare"
            await asyncio.to_thread(_compile, program)
            async with pinned(cpu, str(program), str(size), str(round(period * 1e6))) as running:
                port = await ready(running, self.name)
                yield RunningPeer(f"ws://{HOST}:{port}{PATH}", [running.pid])


def _compile(program: Path) -> None:
    command = [COMPILER, *_FLAGS, str(SOURCE), "-o", str(program)]
    done = subprocess.run(  # noqa: S603 - our own source
        command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
    )
    if done.returncode:
        raise BenchError(f"{SOURCE.name} could not be compiled: {done.stderr.strip()}")
