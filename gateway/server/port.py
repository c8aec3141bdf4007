"""The public port: accepts connections, gives each to the HTTP server or, where there is no room, a 503 and an end.

Invariant: whoever is turned away here has cost no parser and no task, gets a whole HTTP answer, and is gone within
seconds whatever it does. It must not know what the HTTP server does with the rest.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from aiohttp import web

from gateway.errors import WavegateError
from gateway.protocol.events import encode
from gateway.server.admission import Admission
from gateway.server.callers import Caller, Callers
from gateway.server.heads import head, refusal_headers

# Connections that may wait to be accepted. With aiohttp's 128, of 500 listeners who came at once a quarter had to knock
# again, which takes a second; the kernel holds it to its own limit, which is usually this one.
BACKLOG = 4096
# Sound that was handed to the kernel and has not been sent. Left alone, Linux lets it grow to megabytes for each client
# that does not read, and positions, lags and cuts follow seconds late; a fixed SO_SNDBUF would bound what is on its way
# as well, and with it the speed over long distances. 32 KiB are two seconds of mp3 at 128 kbit/s. It is set once on the
# socket that listens, from which Linux gives it to every accepted one: set on each it took 62 us a listener.
UNSENT_BYTES = 32 * 1024
# Of those who are turned away: how long each has to read the answer, and how many may be at it; then the oldest is cut.
FAREWELL_SECONDS = 2.0
MOST_FAREWELLS = 512
_TICK_SECONDS = 0.25


def http_answer(error: WavegateError, more: Mapping[str, str] | None = None) -> bytes:
    """The refusal as a whole answer over HTTP, after which the connection ends; `more` are headers beside its own."""
    body = encode({"error": error.body()})
    about = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(body))}
    return head(error.handling.status, about | refusal_headers(error) | dict(more or {})) + body


class Farewell(asyncio.Protocol):
    """A connection that is turned away.

    What it says is read and dropped until it closes: closing with octets unread would reset it, and the answer be lost.
    """

    __slots__ = ("_answer", "_port", "_transport")

    def __init__(self, port: "Port", answer: bytes) -> None:
        self._port = port
        self._answer = answer
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._answer)
        self._transport.write_eof()
        self._port.farewell(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.gone(self)

    def cut(self) -> None:
        """Closes at once."""
        self._transport.abort()


class Port(asyncio.Protocol):
    """The first protocol of every connection, for as long as it takes to choose the next."""

    def __init__(self, callers: Callers, admission: Admission, now: Callable[[], float]) -> None:
        self._callers = callers
        self._admission = admission
        self._now = now
        self._farewells: dict[Farewell, float] = {}
        self._listening: list[asyncio.Server] = []
        self._server: web.Server

    @property
    def farewells(self) -> int:
        """How many that were turned away are not gone yet."""
        return len(self._farewells)

    async def listen(self, server: web.Server, host: str, port: int, handed: Sequence[socket.socket] = ()) -> int:
        """Accepts connections for this HTTP server from now on. Returns the port: a free one for 0. Raises OSError.

        Where bound sockets are `handed` over, they are listened at, in place of the address, and closed in the end.
        """
        self._server = server
        loop = asyncio.get_running_loop()
        addresses: list[dict[str, Any]] = [{"sock": one} for one in handed] or [{"host": host, "port": port}]
        for address in addresses:
            listening = await loop.create_server(lambda: self, **address, backlog=BACKLOG, start_serving=False)
            self._listening.append(listening)
            try:
                for accepting in listening.sockets:
                    bound_unsent(accepting)
                await listening.start_serving()
            except BaseException:
                self.stop()
                raise
        bound: int = self._listening[0].sockets[0].getsockname()[1]
        return bound

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Here is the count of those who are there, also when thousands come in one turn of the loop."""
        refusal = self._admission.crowded()
        protocol = Caller(self._server, self._callers) if refusal is None else Farewell(self, http_answer(refusal))
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)

    async def run(self) -> None:
        """Ticks for ever: cuts whose time is over."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Cuts who has not said what it wants, and who was turned away and does not go."""
        self._callers.sweep()
        overdue = self._now() - FAREWELL_SECONDS
        while self._farewells:
            farewell, since = next(iter(self._farewells.items()))
            if since > overdue:
                break
            self._cut(farewell)

    def farewell(self, farewell: Farewell) -> None:
        """It has its answer, and some time to read it."""
        if len(self._farewells) >= MOST_FAREWELLS:
            self._cut(next(iter(self._farewells)))
        self._farewells[farewell] = self._now()

    def gone(self, farewell: Farewell) -> None:
        """Its socket is closed."""
        self._farewells.pop(farewell, None)

    def stop(self) -> None:
        """Accepts nothing more; who is there stays."""
        while self._listening:
            self._listening.pop().close()

    def close(self) -> None:
        """Stops, and cuts who was turned away."""
        self.stop()
        while self._farewells:
            self._cut(next(iter(self._farewells)))

    def _cut(self, farewell: Farewell) -> None:
        del self._farewells[farewell]
        farewell.cut()


def bound_unsent(accepting: socket.socket) -> None:
    """Bounds what the kernel keeps for a client that does not read, where there is a way to."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            accepting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
