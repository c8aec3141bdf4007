"""aiohttp with a queue and a task for each client: what people usually write.

Invariant: whoever takes too little loses messages, and costs nobody else anything.
It must not know when messages are due.
"""

import asyncio
import sys

from aiohttp import web

from gateway.bench.peers.peer import HOST, PATH
from gateway.bench.peers.serving import BACKLOG, main

_MOST = 256  # messages that wait for one client
_SHUTDOWN_SECONDS = 0.1


class Queues:
    """The handler of each connection reads, a task beside it sends what is in the client's queue."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()
        self._runner: web.AppRunner | None = None

    async def open(self) -> int:
        application = web.Application()
        application.router.add_get(PATH, self._client)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0, backlog=BACKLOG).start()
        port: int = self._runner.addresses[0][1]
        return port

    def send(self, message: bytes) -> None:
        for queue in self._queues:
            if not queue.full():
                queue.put_nowait(message)

    async def close(self) -> None:
        assert self._runner is not None, "it is open"
        await self._runner.cleanup()

    async def _client(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue(_MOST)
        self._queues.add(queue)
        sender = asyncio.create_task(_send(socket, queue))
        try:
            async for _ in socket:
                pass  # clients have nothing to say
        finally:
            self._queues.discard(queue)
            sender.cancel()
            await asyncio.wait([sender])
        return socket


async def _send(socket: web.WebSocketResponse, queue: asyncio.Queue[bytes]) -> None:
    while True:
        await socket.send_bytes(await queue.get())


if __name__ == "__main__":
    main(Queues(), sys.argv[1:])
