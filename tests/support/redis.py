"""A real redis-server of a test's own: on a free port of loopback, to be killed at will, with or without a memory.

Invariant: it is gone when the context is left, whatever happened; a restart is the same port with nothing in it, unless
it was given a folder.
It must not know what is kept there, nor who connects.
"""

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

# Others may take the port between our look and its start.
TRIES = 5
SECONDS = 10.0


class RedisServer:
    """`url` is its address; `port` stays the same over a restart."""

    def __init__(self, program: str, port: int, folder: Path | None = None) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._program = program
        # Every answer is on the disk before it is given, or nothing ever is.
        self._keeps = (
            ("--appendonly", "no")
            if folder is None
            else ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder))
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Until it answers. Raises OSError when it does not."""
        self._process = await asyncio.create_subprocess_exec(
            self._program,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"),
            *self._keeps,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(SECONDS):
            while self._process.returncode is None:
                with suppress(OSError):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    try:
                        writer.write(b"PING\r\n")
                        if await reader.readline() == b"+PONG\r\n":
                            return
                    finally:
                        writer.close()
                        with suppress(OSError):
                            await writer.wait_closed()
                # It tells nobody when it is ready but by answering.
                await asyncio.sleep(0.01)
        raise OSError(f"redis-server has not started on port {self.port}")

    async def kill(self) -> None:
        """As kill -9 does it; what it held is gone."""
        await self._end(signal.SIGKILL)

    def stop_answering(self) -> None:
        """SIGSTOP: connections stand, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def answer_again(self) -> None:
        self._signal(signal.SIGCONT)

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self.answer_again()
        await self._end(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def _end(self, number: int) -> None:
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(SECONDS):
            await self._process.wait()
        self._process = None


@asynccontextmanager
async def redis_server(program: str, folder: Path | None = None) -> AsyncIterator[RedisServer]:
    """One that answers; `program` is what `need("redis-server")` gives. In a `folder` it keeps what it is told."""
    for attempt in range(1, TRIES + 1):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            server = RedisServer(program, probe.getsockname()[1], folder)
        try:
            await server.start()
            break
        except OSError:
            await server.close()
            if attempt == TRIES:
                raise
    try:
        yield server
    finally:
        await server.close()


@contextmanager
def standing_redis(program: str) -> Iterator[str]:
    """The address of one that stands for many tests, whatever their loops: a fixture of a module is made of it."""
    for _ in range(TRIES):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + SECONDS
            while process.poll() is None and time.monotonic() < deadline:
                if _answers(port) and process.poll() is None:
                    yield f"redis://127.0.0.1:{port}/0"
                    return
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait(SECONDS)
    raise OSError("redis-server has not started")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS) as line:
            line.sendall(b"PING\r\n")
            return line.recv(64) == b"+PONG\r\n"
    except OSError:
        return False
