"""picows, a WebSocket library written in Cython, where it is installed: one `send` for each client.

Invariant: nothing of it is imported before it opens, because it is no dependency of the gateway.
It must not know when messages are due.
"""

import asyncio
import sys
from importlib import import_module
from typing import Any

from gateway.bench.peers.peer import HOST
from gateway.bench.peers.serving import BACKLOG, main


class Picows:
    """Its transports are kept in a set by its own listener objects."""

    def __init__(self) -> None:
        self._transports: set[Any] = set()
        self._server: asyncio.Server | None = None
        self._binary: Any = None

    async def open(self) -> int:
        library: Any = import_module("picows")
        transports, self._binary = self._transports, library.WSMsgType.BINARY

        class Listener(library.WSListener):  # type: ignore[misc]  # it has no types where it is not installed
            def on_ws_connected(self, transport: Any) -> None:
                transports.add(transport)

            def on_ws_frame(self, transport: Any, frame: Any) -> None:
                if frame.msg_type == library.WSMsgType.CLOSE:
                    transport.disconnect()

            def on_ws_disconnected(self, transport: Any) -> None:
                transports.discard(transport)

        self._server = await library.ws_create_server(lambda _: Listener(), HOST, 0, backlog=BACKLOG)
        assert self._server is not None, "it gives one, or raises"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def send(self, message: bytes) -> None:
        # A copy, because one whose socket is found broken leaves the set.
        for transport in tuple(self._transports):
            transport.send(self._binary, message)

    async def close(self) -> None:
        assert self._server is not None, "it is open"
        self._server.close()


if __name__ == "__main__":
    main(Picows(), sys.argv[1:])
