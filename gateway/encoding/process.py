"""A worker process and the socket to it, as the loop sees them.

Invariant: a process that was started is waited for, and killed when it does not end by itself; its socket closes with
it, and the other way round. Of our environment it gets what an interpreter needs, and no key.
It must not know encodes.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from gateway.encoding.environment import of_interpreter
from transcode.messages import REPLIES, Answer, MessageError, Ready, Request, Unpacker, pack


def command(cpu: int | None) -> list[str]:
    """The command line of a worker, pinned to a processor. The working directory is no place to import from."""
    return [sys.executable, "-P", "-m", "transcode.worker", *([] if cpu is None else [str(cpu)])]


class WorkerProcess:
    """One process. `answered` is called for every answer, `lost` once when a started one is of no more use.

    Both are called from the loop's reading of the socket.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        answered: Callable[[Answer], None],
        lost: Callable[[], None],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._arguments = arguments
        self._environ = environ
        self._answered = answered
        self._lost = lost
        self._process: asyncio.subprocess.Process | None = None
        self._wire = _Wire(self._answered)

    @property
    def name(self) -> str:
        """For the log."""
        return f"pid {self._process.pid}" if self._process is not None else "no process"

    async def start(self) -> bool:
        """Until it is ready, True, or has ended. Raises OSError when there can be no process."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                # A session of its own, so that Ctrl-C in a terminal is for the gateway alone, which drains first.
                self._process = await asyncio.create_subprocess_exec(
                    *self._arguments,
                    stdin=theirs.fileno(),
                    stdout=asyncio.subprocess.DEVNULL,
                    env=of_interpreter(self._environ),
                    start_new_session=True,
                )
            ours.setblocking(False)
            await asyncio.get_running_loop().create_unix_connection(lambda: self._wire, sock=ours)
        except BaseException:
            ours.close()
            self.kill()
            raise
        await asyncio.wait({self._wire.ready, self._wire.closed}, return_when=asyncio.FIRST_COMPLETED)
        if self._wire.closed.done():
            return False
        self._wire.lost = self._lost
        return True

    def send(self, request: Request) -> None:
        """Writes to the socket; to one that is closed nothing is written."""
        self._wire.send(pack(request))

    def kill(self) -> None:
        """At once, whatever it is doing."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def ended(self, seconds: float) -> bool:
        """Whether it is of no more use; False after `seconds`."""
        await asyncio.wait({self._wire.closed}, timeout=seconds)
        return self._wire.closed.done()

    async def stop(self, seconds: float) -> str:
        """Ends it: the socket closes, and what is still there after `seconds` is killed. How it ended."""
        self._wire.close()
        if self._process is None:
            return "not started"
        try:
            async with asyncio.timeout(seconds):
                code = await self._process.wait()
        except TimeoutError:
            self.kill()
            code = await self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit {code}"


class _Wire(asyncio.Protocol):
    """Our end of the socket. `ready` and `closed` are done when it is."""

    def __init__(self, answered: Callable[[Answer], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.lost: Callable[[], None] | None = None
        self._answered = answered
        self._unpacker = Unpacker(REPLIES)
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        try:
            for reply in self._unpacker.feed(data):
                if isinstance(reply, Ready):
                    if not self.ready.done():
                        self.ready.set_result(None)
                else:
                    self._answered(reply)
        except MessageError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)
        if self.lost is not None:
            self.lost()

    def send(self, data: bytearray) -> None:
        # At most two steps and some closes are on their way, so there is nothing to pause.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
