"""A worker as its supervisor sees it: a `wavegate serve` of its own process, its line, and its end.

Invariant: it has a session of its own, so that a Ctrl-C at the terminal reaches the supervisor alone; secrets go along
in the environment and never in the arguments. Once it is started, `ended` is done some day, and nothing is left.
It must not know why it is started, nor who comes after it.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from gateway.server.systemd import without_ours
from gateway.workers.link import handed
from gateway.workers.messages import STOP, Last, Leaving, Ready, decoder

_LINE_SECONDS = 1.0  # for the rest of what one has said that has ended
_MOST_SAID = 8 << 20  # a page of metrics is the longest thing a worker says


class Worker(asyncio.Protocol):
    """`ready` is set when it serves, `leaving` when it accepts nothing more, `ended` gives its exit code.

    `internal` is the address of its own internal port; `page` is its last word, None where it died without one.
    """

    def __init__(self, number: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.number = number
        self.pid = 0
        self.public = ""
        self.internal = ""
        self.page: str | None = None
        self.ready = asyncio.Event()
        self.ready_at = 0.0
        self.leaving = asyncio.Event()
        self.ended: asyncio.Task[int]
        self._clock = clock
        self._process: asyncio.subprocess.Process
        self._transport: asyncio.WriteTransport | None = None
        self._hung_up = asyncio.Event()
        self._heard = b""
        self._reload_owed = False

    async def start(self, command: Sequence[str], environ: Mapping[str, str], sockets: Sequence[socket.socket]) -> None:
        """Starts it; raises OSError where that cannot be done."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                files = [one.fileno() for one in sockets]
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    env={**environ, **handed(self.number, theirs.fileno(), files)},
                    pass_fds=[theirs.fileno(), *files],
                    start_new_session=True,
                )
            self.pid = self._process.pid
            self.ended = asyncio.create_task(self._end(), name=f"worker {self.number}")
            ours.setblocking(False)
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
        except BaseException:
            ours.close()
            self._hung_up.set()
            if self.pid:
                self.kill()
                await asyncio.wait({self.ended})
            raise

    async def settled(self, seconds: float) -> bool:
        """Whether it serves; False when it ends or leaves before that, or is not ready in so many seconds."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.ready, self.leaving)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self.ready.is_set() and not self.leaving.is_set()

    def drain(self) -> None:
        """Tells it to end in good order, once: at the very end of its life a signal would find nobody to take it."""
        if not self.leaving.is_set():
            self._signal(signal.SIGTERM)
            self.leaving.set()

    def stop(self) -> None:
        """Tells it to end at once, but to settle what it owes."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(STOP)
        self.drain()

    def reload(self) -> None:
        """Has it take up what has changed: now, or as soon as it can be told."""
        self._reload_owed = not self.ready.is_set()
        if self.ready.is_set():
            self._signal(signal.SIGHUP)

    def kill(self) -> None:
        """Ends it as a fault would; what it owed is settled when its leases are over."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def _end(self) -> int:
        code = await self._process.wait()
        # Its end of the line is closed with it; what it said last may still be on its way.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINE_SECONDS):
                await self._hung_up.wait()
        if self._transport is not None:
            self._transport.abort()
        self.leaving.set()
        return code

    def _said(self, word: bytes) -> None:
        match decoder.decode(word):
            case Ready(public, internal):
                self.public, self.internal = public, internal
                self.ready_at = self._clock()
                self.ready.set()
                if self._reload_owed:
                    self.reload()
            case Leaving():
                self.leaving.set()
            case Last(page):
                self.page = page

    # -- called by the loop --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        *words, self._heard = (self._heard + data).split(b"\n")
        try:
            for word in words:
                self._said(word)
        except msgspec.DecodeError:
            self._heard = b""
            self.kill()
        if len(self._heard) > _MOST_SAID:
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._hung_up.set()


def command(flags: Sequence[str]) -> list[str]:
    """A worker's command line; -P: it finds our packages where we have found them, and not where it happens to be."""
    return [sys.executable, "-P", "-m", "gateway", "serve", *flags]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """All of the supervisor's but for what its service manager told it, and where our packages are."""
    return {**without_ours(environ), "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
