"""Every taken-over connection of this process: one timer that pings, cuts the dead and the stalled, and says goodbye.

Invariant: no timer per connection; a connection that takes no byte for the stall time, or answers no ping for the ping
time, is cut. It must not know what is sent on them.
"""

import asyncio
import random
from collections.abc import Callable

from gateway.config.schema import Config
from gateway.errors import LimitError, ServiceError
from gateway.server.session import ClientSession
from gateway.server.transport import SocketTransport
from gateway.server.websocket import WebSocketConnection
from metrics.recorder import Recorder

TICK_SECONDS = 1.0


class Connections:
    """The registry. `run` is its one task."""

    def __init__(
        self,
        config: Config,
        recorder: Recorder,
        now: Callable[[], float],
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.draining = False
        self._config = config
        self._recorder = recorder
        self._now = now
        self._uniform = uniform
        self._all: dict[SocketTransport, ClientSession | None] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, connection: SocketTransport, session: ClientSession | None = None) -> None:
        """Looks after this connection from now on, until it closes."""
        self._all[connection] = session
        self._empty.clear()
        connection.on_lost = self._forget

    def _forget(self, connection: SocketTransport) -> None:
        self._all.pop(connection, None)
        if not self._all:
            self._empty.set()

    async def run(self) -> None:
        """Ticks for ever: pings, cuts, and measures how late the loop is."""
        next_ping = self._now() + self._config.server.ping_interval
        while True:
            due = self._now() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._recorder.loop_lag(max(0.0, self._now() - due))
            self.sweep()
            if self._now() >= next_ping:
                next_ping = self._now() + self._config.server.ping_interval
                self._ping()

    def sweep(self) -> None:
        """Cuts those that take nothing and those that say nothing."""
        now = self._now()
        stalled_before = now - self._config.relay.stall_timeout
        asked_before = now - self._config.server.ping_timeout
        for connection, session in list(self._all.items()):
            if connection.stalled_since is not None and connection.stalled_since < stalled_before:
                self._recorder.slow_listener("cut")
                if session is not None:
                    session.close(LimitError("too_slow", "This connection has taken nothing for too long."))
                connection.cut()
            elif isinstance(connection, WebSocketConnection) and (connection.asked_at or now) < asked_before:
                connection.cut()

    def _ping(self) -> None:
        for connection in self._all:
            if isinstance(connection, WebSocketConnection):
                connection.ping()

    # -- the end ---------------------------------------------------------------------------------------------------

    def go_away(self, time_left: float) -> None:
        """Tells every session that the gateway is stopping, each with its own moment to come back."""
        self.draining = True
        for session in self._all.values():
            if session is not None:
                session.go_away(time_left, self._uniform(0.1, 2.0))

    async def close(self, seconds: float) -> None:
        """Says goodbye to everybody and waits this long for the sockets to close; the rest is cut."""
        self.draining = True
        for session in list(self._all.values()):
            if session is not None:
                session.close(
                    ServiceError("going_away", "The gateway has stopped.", retry_after=self._uniform(0.1, 2.0))
                )
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self._all):
                connection.cut()
