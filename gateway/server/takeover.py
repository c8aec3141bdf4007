"""Taking a connection over from aiohttp: it routes the request, then the socket is ours.

aiohttp's handler, its task and its parser are let go (4.5 KiB a connection remain), and a small protocol of our own
gets `pause_writing` and `resume_writing`, which a fan-out needs and a response object hides.
Invariant: after `take_over` nothing of aiohttp touches the socket any more. It must not know what the socket is for.
"""

import asyncio

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.typedefs import LooseHeaders

from gateway.server.callers import Caller
from gateway.server.transport import SocketTransport


class TakenOver(web.StreamResponse):
    """What the handler returns so that aiohttp writes nothing."""

    def __init__(self, headers: LooseHeaders | None = None) -> None:
        super().__init__(headers=headers)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Nothing to send: the head is written by the new owner."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing to end."""


def take_over(request: web.Request, protocol: asyncio.Protocol) -> tuple[asyncio.Transport, bytes] | None:
    """Hands the socket to `protocol`; returns it with what the client had already sent past its request.

    None when the client has gone. `protocol.connection_made` is called; what was already read is the caller's to feed.
    """
    handler = request.protocol
    transport = handler.transport
    if transport is None or transport.is_closing():
        return None
    early = handler._message_tail
    handler._message_tail = b""
    if isinstance(handler, Caller):
        early += handler.turns.forget(handler)
    handler.transport = None
    if isinstance(handler, Caller) and isinstance(protocol, SocketTransport):
        protocol.claim, handler.claim = handler.claim, None
        protocol.turns = handler.turns
    handler.connection_lost(None)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    # aiohttp stops reading behind an upgrade request.
    transport.resume_reading()
    # What it says no more it said before: nobody is told of that again.
    if isinstance(handler, Caller) and handler.hushed and not protocol.eof_received():
        transport.close()
    return transport, early
