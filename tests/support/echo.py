"""A gateway's WebSocket connection that says back whatever it is told, on a real socket taken over from aiohttp.

What suites of conformance ask for: everything but the session is the product's own. Invariant: text is answered as
text and octets as octets, unchanged and in order. It must not know any case.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway.server.strict import StrictProtocol
from gateway.server.takeover import TakenOver, take_over
from gateway.server.websocket import WebSocketConnection
from metrics.recorder import Recorder
from tests.support.server import served

# More than the largest message of the suites, which is of 16 MiB.
MOST_MESSAGE = 20 << 20


class Echo:
    """A conversation that says it back."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    def received(self, text: bytes) -> None:
        self._connection.write(Frame(Opcode.TEXT, text).serialize(mask=False))

    def received_binary(self, data: bytes) -> None:
        self._connection.write(Frame(Opcode.BINARY, data).serialize(mask=False))

    def too_fast(self, wait: float) -> None:
        """No rate, so never."""

    def closed(self, code: int) -> None:
        """There is nobody to tell."""


async def _handle(request: web.Request) -> web.StreamResponse:
    headers = Headers(list(request.headers.items()))
    response = ServerProtocol().accept(Request(request.path, headers, request.method, "HTTP/1.1"))
    connection = WebSocketConnection(StrictProtocol(MOST_MESSAGE), Recorder(), asyncio.get_running_loop().time)
    taken = take_over(request, connection)
    assert taken is not None, "nobody leaves during the handshake"
    transport, early = taken
    transport.write(response.serialize())
    connection.conversation = Echo(connection)
    if early:
        connection.data_received(early)
    return TakenOver()


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """Its port, on this machine."""
    async with served(web.get("/", _handle)) as port:
        yield port
