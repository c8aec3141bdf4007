"""A wire that breaks where a test says: a proxy that cuts each of its first connections after so many bytes.

Invariant: what passes is passed unchanged and in order; a cut comes in the middle of whatever was on its way, and none
where no cut was ordered. Nothing is left running when its context ends. It must not know what the bytes mean.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class BrokenWire:
    """`url` is where to connect instead; `cuts` and `opened` count connections.

    `after` is the bytes from the server after which each connection breaks; those that come later are whole.
    """

    def __init__(self, server: str, after: Sequence[int]) -> None:
        self._target = urlsplit(server)
        self._after = list(after)
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""
        self.cuts = 0
        self.opened = 0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def close(self) -> None:
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self._after[self.opened] if self.opened < len(self._after) else None
        self.opened += 1
        there, out = await asyncio.open_connection(self._target.hostname, self._target.port)
        upwards = asyncio.create_task(self._pass(reader, out))
        try:
            if await self._pass(there, writer, left):
                self.cuts += 1
        finally:
            upwards.cancel()
            await asyncio.gather(upwards, return_exceptions=True)
            for one in (writer, out):
                one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None = None) -> bool:
        """Whether it was cut; otherwise the other side has ended it."""
        with suppress(ConnectionError):
            while left is None or left > 0:
                data = await reader.read(65536 if left is None else min(65536, left))
                if not data:
                    break
                left = None if left is None else left - len(data)
                writer.write(data)
                await writer.drain()
            if left is None:
                writer.write_eof()
        return left == 0


@asynccontextmanager
async def broken_wire(server: str, *after: int) -> AsyncIterator[BrokenWire]:
    """A `BrokenWire` before the server at this URL, on a free port of this machine."""
    wire = BrokenWire(server, after)
    listening = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        listening.close()
        await wire.close()
        await listening.wait_closed()
