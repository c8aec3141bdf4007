"""How long clients may be listened to in one turn of the event loop, before it is those who are played to.

A loop reads whoever has said something, and only then runs what is due. With 1,024 ready sockets or more libuv asks
the kernel again, up to 48 times, before anything else has its turn: seconds, if very many say very little very often.
Invariant: past its share of a turn, each connection is heard once more at most, and in the next turn all are heard
again; nothing that was said is dropped. It must not know what is said.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

# Of one turn; a chunk for everybody takes about as long.
SHARE_SECONDS = 0.02


class Reader(Protocol):
    """The protocol of a connection."""

    def read_on(self) -> None:
        """Its transport reads again, unless there are other reasons why it does not."""
        ...


class Turns:
    """Those of one loop. `now` is in seconds."""

    __slots__ = ("_began", "_held", "_now")

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began: float | None = None
        self._held: list[Reader] = []

    def heard(self, reader: Reader, transport: asyncio.Transport) -> None:
        """To be told of all that comes, once it was dealt with: late in a turn the connection is not read any more."""
        now = self._now()
        if self._began is None:
            self._began = now
            asyncio.get_running_loop().call_soon(self._next)
        elif now - self._began > SHARE_SECONDS and not transport.is_closing():
            transport.pause_reading()
            self._held.append(reader)

    def _next(self) -> None:
        self._began = None
        held, self._held = self._held, []
        for reader in held:
            reader.read_on()
