"""A program that a test runs beside itself: started by exec, heard line by line, ended by its id.

Invariant: it never outlives its test, and every wait has a timeout that fails with what the program has said so far.
It must not know which programs there are.
"""

import asyncio
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

CHUNK = 65536
END_TIMEOUT = 10.0  # seconds from SIGTERM to SIGKILL, and from SIGKILL to giving up
MOST_OUTPUT = 64 * 1024 * 1024  # bytes kept of each stream; a program that says more is broken or wants a file


class Program:
    """A running program with its output so far: `stdout` in bytes, `stderr` in bytes, `said` both as text."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._heard = asyncio.Condition()
        self._open = 2
        self.stdout = bytearray()
        self.stderr = bytearray()
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            asyncio.create_task(self._listen(process.stdout, self.stdout)),
            asyncio.create_task(self._listen(process.stderr, self.stderr)),
        ]

    @classmethod
    async def start(
        cls, *arguments: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> "Program":
        """Starts the program in a session of its own; `environment` is added to the test's own."""
        process = await asyncio.create_subprocess_exec(
            *(os.fspath(argument) for argument in arguments),
            cwd=cwd,
            # Whoever is not root counts a gateway's files only where that lets him.
            env={**os.environ, "WAVEGATE_SHOW_MEMORY": "1", **(environment or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def said(self) -> str:
        """Everything on standard output and then on standard error, as text."""
        return (self.stdout + self.stderr).decode(errors="replace")

    async def says(self, pattern: str, timeout: float = 20.0) -> re.Match[str]:
        """Waits until the output matches `pattern`; fails when the program ends or `timeout` seconds pass first."""
        try:
            async with asyncio.timeout(timeout), self._heard:
                while not (match := re.search(pattern, self.said, re.MULTILINE)):
                    assert self._open, f"ended without saying {pattern!r}:\n{self.said}"
                    await self._heard.wait()
        except TimeoutError:
            raise AssertionError(f"did not say {pattern!r} within {timeout} s:\n{self.said}") from None
        return match

    async def ends(self, timeout: float = 20.0) -> int:
        """Waits for the program to end by itself; its exit code, negative for a signal."""
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wait(self._readers)  # unlike gather, leaves them running when the time is over
                await self._process.wait()
        except TimeoutError:
            raise AssertionError(f"did not end within {timeout} s:\n{self.said}") from None
        for reader in self._readers:
            reader.result()
        assert self._process.returncode is not None
        return self._process.returncode

    def send(self, number: signal.Signals) -> None:
        """Sends one signal to the program."""
        self._process.send_signal(number)

    async def stop(self) -> int:
        """Ends the program, politely first; its exit code. A program that has ended already is left in peace."""
        with suppress(ProcessLookupError):
            self.send(signal.SIGTERM)
        try:
            return await self.ends(END_TIMEOUT)
        except AssertionError:
            # The whole session, since a child may hold the pipes open after its parent has gone.
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            return await self.ends(END_TIMEOUT)

    async def _listen(self, stream: asyncio.StreamReader, kept: bytearray) -> None:
        while data := await stream.read(CHUNK):
            kept += data
            assert len(kept) <= MOST_OUTPUT, f"program {self.pid} said more than {MOST_OUTPUT} bytes"
            async with self._heard:
                self._heard.notify_all()
        self._open -= 1
        async with self._heard:
            self._heard.notify_all()
