"""Every taken-over connection of this process: one timer that pings, cuts the dead and the stalled, and says goodbye.

Invariant: no timer per connection, and no look at all of them: those that wait for something stand in the order in
which their time will be over. A connection whose socket takes nothing for the stall time, or that answers no ping for
the ping time, is cut. It must not know what is sent on them.
"""

import asyncio
import random
from collections.abc import Callable, Iterator

from gateway.config.schema import Config
from gateway.errors import AccessError, LimitError, ServiceError
from gateway.model import Principal
from gateway.relay.departure import MOVED, SLOW
from gateway.server.session import ClientSession
from gateway.server.transport import SocketTransport
from gateway.server.websocket import WebSocketConnection
from metrics.recorder import Recorder

TICK_SECONDS = 1.0
# A node takes 2,000 joins a second with a core of its own, and has others to serve meanwhile.
RETURNS_A_SECOND = 500
# Pings written before others have their turn: a millisecond.
PINGS_AT_ONCE = 128


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
        # The moment each was last asked, or came; since when each has been waited for. Oldest first.
        self._quiet: dict[WebSocketConnection, float] = {}
        self._came: dict[SocketTransport, float] = {}
        self._asked: dict[WebSocketConnection, float] = {}
        # When each that may be idle is looked at next; soonest first.
        self._dozing: dict[WebSocketConnection, float] = {}
        self._stalled: dict[SocketTransport, float] = {}
        self._hushed: dict[SocketTransport, None] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def websockets(self) -> int:
        """How many of them are WebSockets."""
        return len(self._quiet)

    def __iter__(self) -> Iterator[SocketTransport]:
        return iter(tuple(self._all))

    def add(self, connection: SocketTransport, session: ClientSession | None = None) -> None:
        """Looks after this connection from now on, until it closes."""
        self._all[connection] = session
        self._came[connection] = self._now()
        self._empty.clear()
        connection.owner = self
        if isinstance(connection, WebSocketConnection):
            self._quiet[connection] = self._now()
            self._dozing[connection] = self._now()
        if connection.stalled_since is not None:
            self.stalled(connection)
        if connection.hushed:
            self.hushed(connection)

    def lost(self, connection: SocketTransport) -> None:
        """Its socket is gone."""
        self._all.pop(connection, None)
        self._came.pop(connection, None)
        self._stalled.pop(connection, None)
        self._hushed.pop(connection, None)
        if isinstance(connection, WebSocketConnection):
            self._quiet.pop(connection, None)
            self._asked.pop(connection, None)
            self._dozing.pop(connection, None)
        if not self._all:
            self._empty.set()

    def stalled(self, connection: SocketTransport) -> None:
        """Its socket takes no more since this moment."""
        self._stalled.pop(connection, None)
        self._stalled[connection] = self._now()

    def hushed(self, connection: SocketTransport) -> None:
        """Its client says nothing more: from now on it is asked whether it is there."""
        self._hushed[connection] = None

    def recheck(self, holds: Callable[[Principal], bool]) -> None:
        """The tenants have changed: whoever hears a song without a session is looked at again."""
        for connection in self:
            connection.recheck(holds)

    async def run(self) -> None:
        """Ticks for ever: pings, cuts, and measures how late the loop is."""
        while True:
            due = self._now() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            late = max(0.0, self._now() - due)
            self._recorder.loop_lag(late)
            if late > TICK_SECONDS:
                # A machine that was asleep, or moved: what they have said and taken meanwhile is looked at first.
                await asyncio.sleep(TICK_SECONDS)
            self.sweep()
            while self.ping(PINGS_AT_ONCE):  # noqa: ASYNC110 - others have their turn between, and nothing is awaited
                await asyncio.sleep(0)

    def sweep(self) -> None:
        """Cuts those that take nothing and those that say nothing, and ends sessions that are too old or idle."""
        now = self._now()
        while self._came:
            oldest, since = next(iter(self._came.items()))
            if since >= now - self._config.server.session_lifetime:
                break
            del self._came[oldest]
            if (session := self._all[oldest]) is not None:
                session.close(AccessError("credentials_expired", "This session has reached its age: connect again."))
        while self._stalled:
            connection, since = next(iter(self._stalled.items()))
            if connection.stalled_since is not None:
                if since >= now - self._config.relay.stall_timeout:
                    break
                self._cut_stalled(connection)
            self._stalled.pop(connection, None)
        for connection in tuple(self._hushed):
            connection.ask(self._config.relay.stall_timeout)
        while self._asked:
            silent, since = next(iter(self._asked.items()))
            if silent.asked_at is not None:
                if since >= now - self._config.server.ping_timeout:
                    break
                silent.cut()
            self._asked.pop(silent, None)
        self._end_idle(now)

    def _end_idle(self, now: float) -> None:
        """Each is looked at once in an idle time, so that nothing has to be noted when somebody speaks or hears."""
        patience = self._config.server.idle_timeout
        while patience and self._dozing:
            connection, since = next(iter(self._dozing.items()))
            if since > now - patience:
                break
            del self._dozing[connection]
            session = self._all[connection]
            if session is not None and session.idle and connection.spoke_at <= now - patience:
                session.rest()
            else:
                self._dozing[connection] = now

    def _cut_stalled(self, connection: SocketTransport) -> None:
        """One that begins to read again right then still hears why."""
        self._recorder.slow_listener("cut")
        session = self._all[connection]
        if session is None:
            connection.parting = SLOW
            connection.cut()
        else:
            session.close(LimitError("too_slow", "This connection has taken nothing for too long."))

    def ping(self, most: int) -> bool:
        """Asks up to so many of those whose time it is; gives whether there may be more."""
        now = self._now()
        for _ in range(most):
            connection, since = next(iter(self._quiet.items()), (None, 0.0))
            if connection is None or since > now - self._config.server.ping_interval:
                return False
            del self._quiet[connection]
            self._quiet[connection] = now
            connection.ping()
            if connection.asked_at == now:
                # Not if an older question is still open: its time runs on.
                self._asked.pop(connection, None)
                self._asked[connection] = now
        return True

    # -- the end ---------------------------------------------------------------------------------------------------

    def sessions(self) -> list[SocketTransport]:
        """The connections of all that there are now."""
        return [connection for connection, session in self._all.items() if session is not None]

    def go_away(self, connection: SocketTransport, time_left: float) -> None:
        """Tells its session that the gateway is stopping, and a moment of its own to come back."""
        if (session := self._all.get(connection)) is not None:
            session.go_away(time_left, self._return())

    def release(self, connection: SocketTransport) -> None:
        """Closes its session, if that has nothing to hear: what it may want it gets elsewhere only."""
        session = self._all.get(connection)
        if session is not None and session.idle:
            self.send_away(connection)

    def send_away(self, connection: SocketTransport) -> None:
        """Ends it, as what it hears goes on elsewhere: a session hears so, a player can only be cut."""
        session = self._all.get(connection)
        if session is None:
            connection.parting = MOVED
            connection.cut()
        else:
            session.close(ServiceError("going_away", "This gateway is stopping.", retry_after=self._return()))

    def _return(self) -> float:
        """When one may come back, to here or to another node: so late that no more come at once than one can take."""
        return self._uniform(0.1, max(2.0, len(self._all) / RETURNS_A_SECOND))

    async def close(self, seconds: float) -> None:
        """Says goodbye to everybody and waits this long for the sockets to close; the rest is cut."""
        self.draining = True
        for session in list(self._all.values()):
            if session is not None:
                session.close(ServiceError("going_away", "The gateway has stopped.", retry_after=self._return()))
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self._all):
                connection.parting = MOVED
                connection.cut()
