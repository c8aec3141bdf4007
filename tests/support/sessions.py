"""Sessions and connections without clients, for the registry that looks after them.

Invariant: a guest only keeps what it is told, and a plain connection writes to nobody.
It must not test anything itself.
"""

from collections.abc import Callable
from typing import cast

from gateway.config.schema import Config, Relay
from gateway.config.server import Server
from gateway.errors import WavegateError
from gateway.server.connections import Connections
from gateway.server.session import ClientSession
from gateway.server.transport import SocketTransport
from metrics.recorder import Recorder
from tests.support.relay import Clock
from tests.support.server import Wire

CONFIG = Config(server=Server(ping_interval=20.0, ping_timeout=40.0), relay=Relay(stall_timeout=60.0))


class Guest:
    """A session, as far as its end goes: keeps what it is told, and does `then` when it is closed."""

    def __init__(self, then: Callable[[], None] = lambda: None, *, idle: bool = True) -> None:
        self.idle = idle
        self.told: list[tuple[float, float]] = []
        self.closed: list[WavegateError] = []
        self._then = then
        self.rested = 0

    def rest(self) -> None:
        self.rested += 1

    def go_away(self, time_left: float, reconnect_after: float) -> None:
        self.told.append((time_left, reconnect_after))

    def close(self, error: WavegateError) -> None:
        self.closed.append(error)
        self._then()


def session(guest: Guest) -> ClientSession:
    return cast("ClientSession", guest)


def registry(clock: Clock | None = None, *jitter: float) -> tuple[Connections, Recorder, Clock]:
    recorder, clock, moments = Recorder(), clock or Clock(), iter(jitter)
    return Connections(CONFIG, recorder, clock, lambda low, high: next(moments)), recorder, clock


def plain(clock: Clock) -> tuple[SocketTransport, Wire]:
    connection, wire = SocketTransport(clock), Wire()
    connection.connection_made(wire)
    return connection, wire
