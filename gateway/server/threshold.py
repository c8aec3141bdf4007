"""A connection before the HTTP server sees it: what its proxy says of it is read, then TLS begins.

Invariant: it is over within a bounded time, of which the port takes care; a proxy's word is read only where it is to be
believed, and then it has to be there; no octet is lost between the two, nor behind them.
It must not know what becomes of a connection that has come in.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from gateway.errors import LimitError, RequestError
from gateway.log import event as log_event
from gateway.server.proxyheader import ProxyHeaderError, Source, read_header
from gateway.server.tls import TlsConnection
from gateway.server.turns import Turns

logger = logging.getLogger("wavegate.port")

NO_TLS = RequestError("bad_protocol", "This port speaks TLS: use https:// or wss://.")


class Host(Protocol):
    """Who is told what becomes of it: in the end one of the last three, but for `lost`, which may follow the others."""

    def comes(self, address: str) -> None:
        """Its proxy says who it is, and TLS would begin, which is dear. Raises LimitError."""
        ...

    def came_in(self, threshold: "Threshold", transport: asyncio.Transport, source: Source | None) -> None:
        """It has come in by this transport, on behalf of `source` if a proxy has said so."""
        ...

    def turned_away(self, threshold: "Threshold", transport: asyncio.Transport, error: RequestError) -> None:
        """It is to hear this, and to go."""
        ...

    def lost(self, threshold: "Threshold") -> None:
        """It is gone."""
        ...


class Threshold(asyncio.Protocol):
    """`believed` tells whether the peer of a connection is a proxy whose header has to be read; None without TLS.

    What is said here is heard in its `turns`, as everywhere.
    """

    __slots__ = ("_believed", "_context", "_host", "_said", "_socket", "_source", "_turns")

    def __init__(
        self,
        host: Host,
        context: ssl.SSLContext | None,
        believed: Callable[[asyncio.BaseTransport], bool],
        turns: Turns,
    ) -> None:
        self._host = host
        self._context = context
        self._believed = believed
        self._turns = turns
        self._said = b""
        self._source: Source | None = None
        self._socket: asyncio.Transport

    def cut(self) -> None:
        """Closes at once."""
        self._socket.abort()

    # -- asyncio's callbacks -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.Transport", transport)
        if not self._believed(transport):
            self._go_on(b"")

    def data_received(self, data: bytes) -> None:
        self._turns.said(self, self._socket, data)

    def hear(self, data: bytes) -> int:
        """All of it, which is not much."""
        self._said += data
        try:
            header = read_header(self._said)
        except ProxyHeaderError as error:
            log_event(logger, "proxy.no_header", reason=str(error))
            self.cut()
            return len(data)
        if header is not None:
            self._source = header.source
            rest, self._said = self._said[header.size :], b""
            self._go_on(rest)
        return len(data)

    def read_on(self) -> None:
        """Reads again."""
        if not self._socket.is_closing():
            self._socket.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._turns.forget(self)
        self._host.lost(self)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _go_on(self, rest: bytes) -> None:
        """What its proxy had to say has been heard; `rest` came behind it."""
        if self._context is None:
            self._host.came_in(self, self._socket, self._source)
            below = self._socket.get_protocol()
        else:
            if self._source is not None:
                try:
                    self._host.comes(self._source.address)
                except LimitError:
                    self.cut()
                    return
            below = TlsConnection(self._context, self._established, self._failed, self._turns)
            self._socket.set_protocol(below)
            below.connection_made(self._socket)
        if rest:
            cast("asyncio.Protocol", below).data_received(rest)

    def _established(self, tls: TlsConnection) -> None:
        self._host.came_in(self, tls, self._source)

    def _failed(self, tls: TlsConnection, error: ssl.SSLError | None) -> None:
        if error is None:
            self._host.lost(self)
        elif error.reason == "HTTP_REQUEST":
            self._host.turned_away(self, self._socket, NO_TLS)
        else:
            log_event(logger, "handshake.failed", reason=error.reason)
            # Behind the alert that says so.
            tls.close()
