"""Programs that a bench runs beside itself: started, heard until they are ready, and ended.

Invariant: none outlives its context, and every wait ends.
It must not know which programs there are.
"""

import asyncio
import ctypes
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

from gateway.bench.benches import BenchError
from gateway.server.secrecy import SHOWN

_READY_SECONDS = 60.0
_END_SECONDS = 10.0
_LINE_MOST = 16 << 20
_LAST = 19  # the lowest priority
_PARENT_DEATH_SIGNAL = 1  # of prctl(2)


class Program:
    """A Python module that runs; its standard input is open, and what it says is read line by line."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self._name = name
        self._ending = asyncio.ensure_future(process.wait())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def says(self, pattern: str, seconds: float = _READY_SECONDS) -> re.Match[str]:
        """The first line in which this is found. Raises BenchError when it ends, or is silent, before that."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                while line := await self._process.stdout.readline():
                    if found := re.search(pattern, line.decode()):
                        return found
        except TimeoutError:
            raise BenchError(f"{self._name} has not become ready in {seconds:g} s.") from None
        raise BenchError(f"{self._name} has ended too soon.")

    async def ask(self, line: bytes, seconds: float) -> bytes:
        """Says a line to it, and gives the line that it answers. Raises BenchError when none comes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                self._process.stdin.write(line + b"\n")
                await self._process.stdin.drain()
                answer = await self._process.stdout.readline()
        except TimeoutError:
            raise BenchError(f"{self._name} has not answered in {seconds:g} s.") from None
        except ConnectionError:
            answer = b""
        if not answer:
            raise BenchError(f"{self._name} has ended too soon.")
        return answer

    async def over(self) -> None:
        """Until it has ended by itself; one that takes too long for that is left to `end`."""
        await asyncio.wait({self._ending}, timeout=_END_SECONDS)

    async def end(self) -> None:
        """Politely first."""
        if self._process.returncode is None:
            self._process.terminate()
        await self.over()
        if self._process.returncode is None:
            self._process.kill()
        await self._ending


@asynccontextmanager
async def program(
    module: str,
    *arguments: str,
    aside: bool = False,
    processors: Collection[int] = (),
    environment: Mapping[str, str] | None = None,
    complaints: Path | None = None,
) -> AsyncIterator[Program]:
    """`python -m MODULE ARGUMENTS` for as long as it is needed; if this process is killed, so is it.

    What it complains about goes to the file `complaints`, usually to standard error. One that stands `aside` gets a
    processor when nobody else wants it: in life it would be on another machine. It runs on `processors` only, if any.
    """
    command: Sequence[str] = [sys.executable, "-P", "-m", module, *arguments]
    search = os.pathsep.join(path or "." for path in sys.path)
    with ExitStack() as opened:
        said = None if complaints is None else opened.enter_context(complaints.open("wb"))
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=said,
            env={**os.environ, SHOWN: "1", **(environment or {}), "PYTHONPATH": search},
            limit=_LINE_MOST,
            preexec_fn=leash(),
        )
    running = Program(process, module)
    try:
        with suppress(ProcessLookupError):  # it has ended already, which whoever listens to it finds out
            if aside:
                os.setpriority(os.PRIO_PROCESS, process.pid, _LAST)
            if processors:
                os.sched_setaffinity(process.pid, processors)
        yield running
    finally:
        await running.end()


def leash() -> Callable[[], object] | None:
    """What a new process does first, so that it is killed when this one is; None where that cannot be had."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        return None
    return lambda: prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
