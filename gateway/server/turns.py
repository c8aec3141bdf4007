"""How long clients are listened to in one turn of the event loop, before it is those who are played to.

A loop reads whoever has said something, and only then runs what is due. Asked by 1,024 ready sockets or more, libuv
goes to the kernel again, up to 48 times, before anything else; and what was read of one client may take milliseconds.
Invariant: past its share of a turn nothing that comes is looked at; it is in one of the next, in order, and until then
its connection is not read, so that what is kept of one is bounded. Who says little is heard before who says much.
It must not know what is said.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

# Of one turn; a chunk for everybody takes about as long.
SHARE_SECONDS = 0.02
# Of one connection: what it may say at once, one large message and what goes before it.
MOST_KEPT = 128 * 1024


class Reader(Protocol):
    """The protocol of a connection."""

    def hear(self, data: bytes) -> int:
        """Looks at what came; gives how much of it, more than none: with its turn over, the rest can wait."""
        ...

    def read_on(self) -> None:
        """Its transport reads again, unless there are other reasons why it does not."""
        ...

    def cut(self) -> None:
        """Closes at once."""
        ...


class Turns:
    """Those of one loop. `most` is how many octets are kept of a connection, `too_much` is told of one who says more;
    `now` is in seconds.
    """

    __slots__ = ("_began", "_fresh", "_most", "_now", "_rest", "_too_much")

    def __init__(
        self,
        most: int = MOST_KEPT,
        too_much: Callable[[Reader], None] = lambda reader: reader.cut(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._too_much = too_much
        self._now = now
        self._began: float | None = None
        # What was not looked at yet, in the order in which it came; and of what was begun with, the rest.
        self._fresh: dict[Reader, bytes] = {}
        self._rest: dict[Reader, bytes] = {}

    @property
    def over(self) -> bool:
        """Whether the others are next."""
        return self._began is not None and self._now() - self._began > SHARE_SECONDS

    def said(self, reader: Reader, transport: asyncio.Transport, data: bytes) -> None:
        """It is heard, now or in its turn."""
        if self._began is None:
            self._begin()
        if reader not in self._rest and reader not in self._fresh:
            if not self.over:
                at = reader.hear(data)
                if at >= len(data):
                    return
                self._rest[reader] = data[at:]
            else:
                self._fresh[reader] = data
        else:
            # Somebody had it read on, for reasons of his own.
            kept = self._rest if reader in self._rest else self._fresh
            kept[reader] += data
            data = kept[reader]
        if len(data) > self._most:
            self.forget(reader)
            self._too_much(reader)
        elif not transport.is_closing():
            transport.pause_reading()

    def forget(self, reader: Reader) -> bytes:
        """It is gone, or somebody else hears what it said: what was not looked at yet."""
        return self._rest.pop(reader, b"") + self._fresh.pop(reader, b"")

    def _begin(self) -> None:
        self._began = self._now()
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._began = None
        while waiting := self._fresh or self._rest:
            if self._began is None:
                self._begin()
            reader = next(iter(waiting))
            data = waiting.pop(reader)
            try:
                at = reader.hear(data)
            except BaseException:
                # As a loop does with one whose protocol breaks; nobody else would read it on.
                reader.cut()
                raise
            if at < len(data):
                # Behind the others who have more to say; what it was told meanwhile it has read itself.
                self._rest[reader] = data[at:]
            else:
                reader.read_on()
            if self.over:
                return
