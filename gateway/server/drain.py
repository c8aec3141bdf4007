"""The end of a gateway in good order: nothing new is taken, whoever hears may finish, and all is over by a deadline.

First the balancer is given its time: /readyz says no, and all is still taken. Then the port closes, and sessions are
told one after another over the first half of the window, so that those who leave at the word do not come back
elsewhere at once. Where there is an elsewhere, who has nothing to hear goes at that word, players that fetch are sent
there as their moments come, and who hears what lives on there goes in the last moments of the window, in turns.
Invariant: nobody who may finish is cut before the deadline, and nobody is waited for behind it.
It must not know what is heard, nor what a signal is.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Set

from aiohttp import web

from gateway.model import StreamId
from gateway.relay.hub import Hub
from gateway.relay.neighbours import owned
from gateway.server.callers import Caller, Callers
from gateway.server.connections import RETURNS_A_SECOND, Connections
from gateway.server.hls.sessions import Playbacks
from gateway.server.port import Port
from gateway.server.transport import SocketTransport

TICK_SECONDS = 0.05
# Of the window, for telling sessions, and at most for sending away those who hear what lives on elsewhere.
TELLING, PARTING = 0.5, 0.25
# How often those who were told are looked at again: whether they hear nothing any more.
_LOOK_SECONDS = 1.0


class Drain:
    """`await run()` once. `elsewhere` tells whether there are other nodes, who have what is kept here or can get it.

    It `began` with the first signal; it is `under_way` since nothing new is taken. Times are in seconds.
    """

    def __init__(
        self,
        port: Port,
        callers: Callers,
        connections: Connections,
        playbacks: Playbacks,
        hub: Hub,
        *,
        delay: float,
        window: float,
        elsewhere: Callable[[], bool],
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        shuffle: Callable[[list[SocketTransport]], None] = random.shuffle,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.began = self.under_way = False
        self._port = port
        self._callers = callers
        self._connections = connections
        self._playbacks = playbacks
        self._hub = hub
        self._delay = delay
        self._window = window
        self._elsewhere = elsewhere
        self._now = now
        self._sleep = sleep
        self._shuffle = shuffle
        self._uniform = uniform
        self._since = 0.0
        self._until = 0.0
        self._to_tell: list[SocketTransport] = []
        self._sessions = 0
        self._looked = 0.0
        # Who is sent away at last, how many they were and since when.
        self._leaving: list[SocketTransport] | None = None
        self._leavers = 0
        self._parting = 0.0

    @property
    def seconds_left(self) -> float:
        """Until the deadline; before nothing new is refused, all of the window."""
        return max(0.0, self._until - self._now()) if self.under_way else self._window

    async def run(self) -> None:
        """Until everybody has finished, or the deadline."""
        self.began = True
        if self._delay:
            await self._sleep(self._delay)
        self._begin()
        ending = asyncio.ensure_future(self._hub.drain(self._window))
        try:
            # Who waits to be accepted is, and gets an answer; a socket that closes would reset them.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            while self._now() < self._until and not (ending.done() and self._nobody_hears()):
                self._look()
                await self._sleep(TICK_SECONDS)
            if ending.done():
                ending.result()
        finally:
            self._port.stop()
            ending.cancel()
            await asyncio.wait([ending])

    async def part(self, request: web.Request, response: web.StreamResponse) -> None:
        """For `on_response_prepare`: answers end their connections now, so that the next requests go elsewhere.

        Where there is an elsewhere, each connection does at its own moment.
        """
        if not self.under_way:
            return
        caller = request.protocol
        if isinstance(caller, Caller) and self._elsewhere():
            if caller.leaves is None:
                caller.leaves = self._now() + self._uniform(0.0, max(0.0, self._told_by - self._now()))
            if self._now() < caller.leaves:
                return
        response.force_close()
        # What it says of itself was made up before this was called.
        response.headers["Connection"] = "close"

    @property
    def _told_by(self) -> float:
        return self._since + TELLING * self._window

    def _begin(self) -> None:
        self.under_way = self._connections.draining = True
        self._since = self._looked = self._now()
        self._until = self._since + self._window
        self._to_tell = self._connections.sessions()
        self._shuffle(self._to_tell)
        self._sessions = len(self._to_tell)

    def _nobody_hears(self) -> bool:
        if self._callers.busy or any(connection.busy for connection in self._connections):
            return False
        return self._elsewhere() or not self._playbacks.playing

    def _look(self) -> None:
        now = self._now()
        # A player that fetches needs a port to come back to, unless others have the song as well.
        if self._port.open and (self._elsewhere() or not self._playbacks.playing):
            self._port.stop()
        told = self._sessions - len(self._to_tell)
        due = 1 + int(self._sessions * (now - self._since) / (self._told_by - self._since))
        for _ in range(min(due - told, len(self._to_tell))):
            connection = self._to_tell.pop()
            self._connections.go_away(connection, self._until - now)
            if self._elsewhere():
                self._connections.release(connection)
        if not self._elsewhere():
            return
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            waiting = set(self._to_tell)
            for connection in self._connections:
                if connection not in waiting:
                    self._connections.release(connection)
        self._send_away(now)

    def _send_away(self, now: float) -> None:
        """In the last moments: those who hear what lives on elsewhere, evenly."""
        # The last turn is before the deadline.
        end = self._until - 2 * TICK_SECONDS
        if self._leaving is None:
            if now < end - min(PARTING * self._window, len(self._connections) / RETURNS_A_SECOND):
                return
            ending = {stream.id for stream in self._hub.streams if owned(stream) and not stream.status.final}
            self._leaving = [one for one in self._connections if _goes_on(one, ending)]
            self._leavers, self._parting = len(self._leaving), now
        stay = self._leavers * (end - now) / (end - self._parting) if now < end else 0.0
        while len(self._leaving) > stay:
            self._connections.send_away(self._leaving.pop())


def _goes_on(connection: SocketTransport, ending: Set[StreamId]) -> bool:
    """Whether it hears something, and all of it somewhere else as well."""
    heard = {listener.channel.rendition.stream_id for listener in connection.listeners}
    return bool(heard) and not heard & ending
