"""What it takes to start a peer: a folder of its own, a free port, the program on its processor, and the wait for it.

Invariant: every program is a `Program` of the bench, so that none outlives its context; nothing here blocks the loop.
It must not know which peers there are.
"""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from gateway.bench.benches import BenchError
from gateway.bench.peers.peer import HOST
from gateway.bench.peers.pinned import ANYWHERE
from gateway.bench.programs import Program, program

_OPEN_SECONDS = 20.0
_LOOK_SECONDS = 0.02
_READABLE = 0o755  # some servers give up their rights before they read


def pinned(cpu: int | None, *command: str) -> AbstractAsyncContextManager[Program]:
    """A program of any language, on this processor."""
    return program("gateway.bench.peers.pinned", ANYWHERE if cpu is None else str(cpu), *command)


async def ready(running: Program, name: str) -> int:
    """The port on which a program of ours says that it is ready. Raises BenchError."""
    try:
        return int((await running.says(r"^ready (\d+)$"))[1])
    except BenchError as error:
        raise BenchError(f"the peer {name} did not start: {error}") from None


async def opened(port: int, name: str, seconds: float = _OPEN_SECONDS) -> None:
    """Until somebody listens there. Raises BenchError when that takes too long."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    _, writer = await asyncio.open_connection(HOST, port)
                except OSError:
                    await asyncio.sleep(_LOOK_SECONDS)
                else:
                    writer.close()
                    return
    except TimeoutError:
        raise BenchError(f"the peer {name} did not start: it has not listened within {seconds:g} s.") from None


def free_port() -> int:
    """One on which nobody listens now; whoever gets it should hurry."""
    with socket.create_server((HOST, 0)) as door:
        port: int = door.getsockname()[1]
        return port


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """A temporary one that everybody may read, for as long as it is needed."""
    path = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="wavegate-"))
    try:
        await asyncio.to_thread(path.chmod, _READABLE)
        yield path
    finally:
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
