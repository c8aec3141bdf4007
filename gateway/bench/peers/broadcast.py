"""The `websockets` library with its own `broadcast`: the usual way to send the same to many with it.

Invariant: nothing is set that its documentation does not advise for this: no compression, no pings.
It must not know when messages are due.
"""

import sys

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve

from gateway.bench.peers.peer import HOST
from gateway.bench.peers.serving import BACKLOG, main

_OPEN_SECONDS = 60.0  # very many come at once, and nobody is to be turned away for that


class Broadcast:
    """Everybody is in the server's own set of connections."""

    def __init__(self) -> None:
        self._server: Server | None = None

    async def open(self) -> int:
        self._server = await serve(
            _stay, HOST, 0, compression=None, ping_interval=None, open_timeout=_OPEN_SECONDS, backlog=BACKLOG
        )
        port: int = next(iter(self._server.sockets)).getsockname()[1]
        return port

    def send(self, message: bytes) -> None:
        assert self._server is not None, "it is open"
        broadcast(self._server.connections, message)

    async def close(self) -> None:
        assert self._server is not None, "it is open"
        self._server.close()


async def _stay(connection: ServerConnection) -> None:
    await connection.wait_closed()


if __name__ == "__main__":
    main(Broadcast(), sys.argv[1:])
