"""The public port: accepts connections, gives each to the HTTP server or, where there is no room, a 503 and an end.

Where it has TLS, or proxies that say on whose behalf they connect, each stands at a threshold before. Invariant:
whoever is turned away here has cost no parser and no task, gets a whole HTTP answer, and is gone within seconds
whatever it does; nobody stands at the threshold for longer than a first request may take.
It must not know what the HTTP server does with the rest.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from gateway.errors import LimitError, RequestError, WavegateError
from gateway.protocol.events import encode
from gateway.server.admission import Admission
from gateway.server.callers import Caller, Callers
from gateway.server.claim import Claim
from gateway.server.heads import head, refusal_headers
from gateway.server.prefixes import Prefixes
from gateway.server.proxyheader import Source
from gateway.server.threshold import Threshold

# Connections that may wait to be accepted. With aiohttp's 128, of 500 listeners who came at once a quarter had to knock
# again, which takes a second; the kernel holds it to its own limit, which is usually this one.
BACKLOG = 4096
# Connections that are accepted in one turn of the loop. libuv accepts one for each time that it finds the socket ready,
# so that a busy gateway would let in thirty a second: it is given the socket as often. asyncio accepts up to its
# backlog, which takes a second.
AT_ONCE = 8
# Sound that was handed to the kernel and has not been sent. Left alone, Linux lets it grow to megabytes for each client
# that does not read, and positions, lags and cuts follow seconds late; a fixed SO_SNDBUF would bound what is on its way
# as well, and with it the speed over long distances. 32 KiB are two seconds of mp3 at 128 kbit/s. It is set once on the
# socket that listens, from which Linux gives it to every accepted one: set on each it took 62 us a listener.
UNSENT_BYTES = 32 * 1024
# Of those who are turned away: how long each has to read the answer, and how many may be at it; then the oldest is cut.
FAREWELL_SECONDS = 2.0
MOST_FAREWELLS = 512
# Those at the threshold past which a full gateway shakes hands with nobody more only to say that it is full.
MOST_AT_THRESHOLD = 1024
_TICK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running gateway answers, as URLs without a trailing slash."""

    public: str
    internal: str


def url(host: str, port: int, *, tls: bool = False) -> str:
    """The address of a port, as a URL without a trailing slash."""
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


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
        self._port.turns.forget(self)
        self._port.gone(self)

    def data_received(self, data: bytes) -> None:
        self._port.turns.said(self, self._transport, data)

    def hear(self, data: bytes) -> int:
        """Drops it."""
        return len(data)

    def read_on(self) -> None:
        """Reads again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def cut(self) -> None:
        """Closes at once."""
        self._transport.abort()


class Port(asyncio.Protocol):
    """The first protocol of every connection, for as long as it takes to choose the next.

    `context` gives that of TLS for who connects now; `believed` tells which peers begin with a PROXY header.
    """

    def __init__(
        self,
        callers: Callers,
        admission: Admission,
        prefixes: Prefixes,
        now: Callable[[], float],
        context: Callable[[], ssl.SSLContext] | None = None,
        believed: Callable[[asyncio.BaseTransport], bool] | None = None,
    ) -> None:
        self._callers = callers
        self.turns = callers.turns
        self._admission = admission
        self._prefixes = prefixes
        self._now = now
        self._context = context
        self._believed = believed
        self._threshold: dict[Threshold, float] = {}
        self._farewells: dict[Farewell, float] = {}
        self._listening: list[asyncio.Server] = []
        self._server: web.Server

    @property
    def farewells(self) -> int:
        """How many that were turned away are not gone yet."""
        return len(self._farewells)

    @property
    def at_threshold(self) -> int:
        """How many are not in yet, nor turned away."""
        return len(self._threshold)

    @property
    def open(self) -> bool:
        """Whether anybody is accepted."""
        return bool(self._listening)

    async def listen(self, server: web.Server, host: str, port: int, handed: Sequence[socket.socket] = ()) -> int:
        """Accepts connections for this HTTP server from now on. Returns the port: a free one for 0. Raises OSError.

        Where bound sockets are `handed` over, they are listened at, in place of the address, and closed in the end.
        """
        self._server = server
        loop = asyncio.get_running_loop()
        addresses: list[dict[str, Any]] = [{"sock": one} for one in handed] or [{"host": host, "port": port}]
        for address in addresses:
            # asyncio accepts as many in one turn as this says; how many may wait is said behind its back.
            first = await loop.create_server(lambda: self, **address, backlog=AT_ONCE, start_serving=False)
            self._listening.append(first)
            try:
                for accepting in first.sockets:
                    bound_unsent(accepting)
                await first.start_serving()
                for accepting in first.sockets:
                    again = duplicate(accepting)
                    again.listen(BACKLOG)
                    if isinstance(loop, asyncio.BaseEventLoop):
                        again.close()
                        continue
                    for same in (again, *[duplicate(accepting) for _ in range(AT_ONCE - 2)]):
                        self._listening.append(await loop.create_server(lambda: self, sock=same, backlog=BACKLOG))
            except BaseException:
                self.stop()
                raise
        bound: int = self._listening[0].sockets[0].getsockname()[1]
        return bound

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Here is the count of those who are there, also when thousands come in one turn of the loop."""
        sink = cast("asyncio.Transport", transport)
        if self._context is None and self._believed is None:
            self._let_in(sink, None)
            return
        if len(self._threshold) >= MOST_AT_THRESHOLD and self._admission.crowded() is not None:
            sink.abort()
            return
        if self._context is not None and not (self._believed is not None and self._believed(sink)):
            # To shake hands costs a hundred times what it costs to be gone; there is no way to say why before.
            try:
                self.comes(address_at(sink))
            except LimitError:
                sink.abort()
                return
        context = self._context() if self._context is not None else None
        threshold = Threshold(self, context, self._believed or (lambda _: False), self.turns)
        self._threshold[threshold] = self._now()
        sink.set_protocol(threshold)
        threshold.connection_made(sink)

    def _let_in(self, transport: asyncio.Transport, source: Source | None) -> None:
        address = address_at(transport) if source is None else source.address
        claim: Claim | None = None
        try:
            # Under TLS it was counted before.
            if self._context is None:
                self.comes(address)
            if not self._prefixes.proxied(address):
                claim = self._prefixes.enter(address)
        except LimitError as error:
            self._turn_away(transport, error)
            return
        refusal = self._admission.crowded()
        if refusal is not None:
            if claim is not None:
                claim.leave()
            self._turn_away(transport, refusal)
            return
        caller = Caller(self._server, self._callers, source, claim)
        transport.set_protocol(caller)
        caller.connection_made(transport)

    def _turn_away(self, transport: asyncio.Transport, error: WavegateError) -> None:
        farewell = Farewell(self, http_answer(error))
        transport.set_protocol(farewell)
        farewell.connection_made(transport)

    # -- what a threshold tells ----------------------------------------------------------------------------------------

    def comes(self, address: str | None) -> None:
        """One more connection from there. Raises LimitError."""
        self._prefixes.arrive(address)

    def came_in(self, threshold: Threshold, transport: asyncio.Transport, source: Source | None) -> None:
        """It has come in."""
        self.lost(threshold)
        self._let_in(transport, source)

    def turned_away(self, threshold: Threshold, transport: asyncio.Transport, error: RequestError) -> None:
        """It is to hear this, and to go."""
        self.lost(threshold)
        self._turn_away(transport, error)

    def lost(self, threshold: Threshold) -> None:
        """It stands there no more."""
        self._threshold.pop(threshold, None)

    # -- time ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ticks for ever: cuts whose time is over."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Cuts who has not said what it wants, and who was turned away and does not go."""
        self._callers.sweep()
        late = self._now() - self._callers.seconds
        while self._threshold:
            threshold, since = next(iter(self._threshold.items()))
            if since > late:
                break
            del self._threshold[threshold]
            self._callers.late(threshold)
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
        """Stops, and cuts who is not in, and who was turned away."""
        self.stop()
        while self._threshold:
            self._threshold.popitem()[0].cut()
        while self._farewells:
            self._cut(next(iter(self._farewells)))

    def _cut(self, farewell: Farewell) -> None:
        del self._farewells[farewell]
        farewell.cut()


def duplicate(accepting: Any) -> socket.socket:
    """The same socket once more."""
    return socket.socket(fileno=os.dup(accepting.fileno()))


def bound_unsent(accepting: socket.socket) -> None:
    """Bounds what the kernel keeps for a client that does not read, where there is a way to."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            accepting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def address_at(transport: asyncio.BaseTransport) -> str | None:
    """The address at the other end; None where that is none of the internet."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else None
