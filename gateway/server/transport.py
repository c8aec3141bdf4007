"""A connection that listeners stand on: whether its socket takes more, and who is pumped when it does again.

Invariant: what the socket did not take of one batch is all that waits in user space for a client that does not read;
nothing is queued beside it. It must not know what the bytes mean.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol, cast

from gateway.model import Principal
from gateway.relay.departure import LEFT
from gateway.relay.listener import Listener
from gateway.server.claim import Claim
from gateway.server.turns import Turns


class Owner(Protocol):
    """Who looks after connections."""

    def stalled(self, connection: "SocketTransport") -> None:
        """Its socket takes no more."""
        ...

    def lost(self, connection: "SocketTransport") -> None:
        """Its socket is gone."""
        ...

    def hushed(self, connection: "SocketTransport") -> None:
        """Its client says nothing more, and may have gone."""
        ...


class Nowhere(asyncio.Transport):
    """Where a connection writes that has no socket: nothing arrives."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Drops it."""

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Drops them."""

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        """There is nothing to close."""

    def abort(self) -> None:
        """There is nothing to cut."""

    def pause_reading(self) -> None:
        """Nobody says anything."""

    def resume_reading(self) -> None:
        """Nobody says anything."""

    def can_write_eof(self) -> bool:
        return False


NOWHERE = Nowhere()


class SocketTransport(asyncio.Protocol):
    """Base of the connections that were taken over from the HTTP server.

    `writable` tells whether a write now would be taken by the socket: it is read for every chunk and every listener,
    so it is kept and not worked out.
    """

    __slots__ = (
        "_now",
        "claim",
        "hushed",
        "listeners",
        "owner",
        "parting",
        "sink",
        "stalled_since",
        "turns",
        "writable",
    )

    def __init__(self, now: Callable[[], float]) -> None:
        self.listeners: list[Listener] = []
        self.owner: Owner | None = None
        self.claim: Claim | None = None
        # Those in which its client is heard; without them, at once.
        self.turns: Turns | None = None
        self.sink: asyncio.Transport = NOWHERE
        self.stalled_since: float | None = None
        self.writable = False
        self.parting = LEFT  # what becomes of its listeners when it goes
        self.hushed = False  # the client says nothing more, and we still do
        self._now = now

    # -- asyncio's callbacks ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        self.sink = cast("asyncio.Transport", transport)
        self.writable = True
        # The kernel has its two seconds: as soon as it takes no more, listeners hold their positions.
        self.sink.set_write_buffer_limits(0, 0)

    def data_received(self, data: bytes) -> None:
        """What the client says is heard in its turn."""
        if self.turns is None:
            self.hear(data)
        else:
            self.turns.said(self, self.sink, data)

    def hear(self, data: bytes) -> int:
        """Looks at what the client has said; gives how much of it."""
        raise NotImplementedError

    def read_on(self) -> None:
        """Reads again."""
        if not self.sink.is_closing():
            self.sink.resume_reading()

    def pause_writing(self) -> None:
        """The socket takes no more: listeners hold their positions."""
        self.writable = False
        self.stall()

    def resume_writing(self) -> None:
        """Room again. Whoever was served first last time comes last now."""
        self.stalled_since = None
        self.writable = True
        if len(self.listeners) > 1:
            self.listeners.append(self.listeners.pop(0))
        for listener in tuple(self.listeners):
            listener.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self.sink = NOWHERE
        self.writable = False
        if self.turns is not None:
            self.turns.forget(self)
        if self.claim is not None:
            self.claim.leave()
        if self.owner is not None:
            self.owner.lost(self)

    # -- for whoever owns the connection ---------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether somebody hears here, or has not taken what was sent."""
        return bool(self.listeners) or self.sink.get_write_buffer_size() > 0

    def ask(self, patience: float) -> None:
        """About once a second, of one whose client says nothing more: looks whether that is still there."""

    def recheck(self, holds: Callable[[Principal], bool]) -> None:
        """The tenants have changed. Where a session says who somebody is, it looks by itself."""

    def stall(self) -> None:
        """From now on it is waited for."""
        self.stalled_since = self._now()
        if self.owner is not None:
            self.owner.stalled(self)

    def write(self, data: bytes) -> None:
        """Writes, if there still is a socket."""
        self.sink.write(data)

    def cut(self) -> None:
        """Closes at once, dropping what the client never took."""
        self.sink.abort()
