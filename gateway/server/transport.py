"""A connection that listeners stand on: the socket's water marks, and who is pumped when there is room again.

Invariant: at most HIGH_WATER plus one batch waits in user space for a client that does not read; nothing is queued
beside it. It must not know what the bytes mean.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from gateway.relay.listener import Listener

# With a batch of 32 KiB on top, a client that reads nothing holds at most 64 KiB of ours.
HIGH_WATER = 32 * 1024
LOW_WATER = 8 * 1024


class SocketTransport(asyncio.Protocol):
    """Base of the connections that were taken over from the HTTP server."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.listeners: list[Listener] = []
        self.on_lost: Callable[[SocketTransport], None] | None = None
        self.stalled_since: float | None = None
        self._now = now
        self._transport: asyncio.Transport | None = None

    @property
    def writable(self) -> bool:
        """Whether a write now would be taken by the socket soon."""
        return self._transport is not None and self.stalled_since is None

    # -- asyncio's callbacks ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)

    def pause_writing(self) -> None:
        """The buffer stands at its high-water mark: listeners hold their positions."""
        self.stalled_since = self._now()

    def resume_writing(self) -> None:
        """Room again. Whoever was served first last time comes last now."""
        self.stalled_since = None
        if len(self.listeners) > 1:
            self.listeners.append(self.listeners.pop(0))
        for listener in tuple(self.listeners):
            listener.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._transport = None
        if self.on_lost is not None:
            self.on_lost(self)

    # -- for whoever owns the connection ---------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Writes, if there still is a socket."""
        if self._transport is not None:
            self._transport.write(data)

    def cut(self) -> None:
        """Closes at once, dropping what the client never took."""
        if self._transport is not None:
            self._transport.abort()
