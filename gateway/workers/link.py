"""A worker's end of the line to its supervisor, and what it was handed: its number, its sockets.

Invariant: the worker ends in good order when its supervisor has died, which it notices by the end of the line; a word
that cannot be said any more is no error. What it inherited it passes on to no process of its own.
It must not know what a gateway is.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import cast

from gateway.errors import StartError
from gateway.workers.messages import STOP, Last, Leaving, Message, Ready, line

_LAST_SECONDS = 2.0  # for a supervisor that does not read

VARIABLE = "WAVEGATE_WORKER"
"""In a worker's environment: what it was handed, as JSON. It opens nothing."""


def handed(number: int, control: int, sockets: Sequence[int]) -> dict[str, str]:
    """The variable for worker `number`, who inherits these files."""
    return {VARIABLE: json.dumps({"number": number, "control": control, "sockets": list(sockets)})}


class Link(asyncio.Protocol):
    """`sockets` are those of the public port, bound and perhaps listening already; the worker closes them."""

    def __init__(self, number: int, control: socket.socket, sockets: Sequence[socket.socket]) -> None:
        self.number = number
        self.sockets = sockets
        self._control = control
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()
        self._stop: Callable[[], None]
        self._stop_now: Callable[[], None]

    @classmethod
    def inherited(cls, environ: Mapping[str, str]) -> "Link | None":
        """What a supervisor has handed to this process; None where there is none. Raises StartError."""
        if VARIABLE not in environ:
            return None
        try:
            told = json.loads(environ[VARIABLE])
            number, files = int(told["number"]), [int(told["control"]), *map(int, told["sockets"])]
            for file in files:
                os.set_inheritable(file, False)
            control, *sockets = [socket.socket(fileno=file) for file in files]
        except (ValueError, TypeError, KeyError, OSError):
            raise StartError(f"{VARIABLE} is what a supervisor tells its workers; it must not be set here.") from None
        return cls(number, control, sockets)

    async def open(self, stop: Callable[[], None], stop_now: Callable[[], None]) -> None:
        """Listens to the supervisor from now on: `stop` is called when it has died, `stop_now` when it says so."""
        self._stop, self._stop_now = stop, stop_now
        self._control.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=self._control)

    def ready(self, public: str, internal: str) -> None:
        """The worker serves at these addresses."""
        self._say(Ready(public, internal))

    def leaving(self) -> None:
        """The worker accepts nothing more."""
        self._say(Leaving())

    async def close(self, page: str) -> None:
        """Says the last word, these metrics, and hangs up; the supervisor has heard it then."""
        self._say(Last(page))
        if self._transport is not None:
            self._transport.close()
        # What waits to be sent is sent before it closes; then this process may end.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._closed.wait()

    def _say(self, message: Message) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(line(message))

    # -- called by the loop --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        if STOP in data:
            self._stop_now()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._closed.set()
        self._stop()
