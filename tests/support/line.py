"""A bad line to a gateway: a proxy that holds up what comes, cuts what is open, lets some through and others not.

Invariant: what passes is passed unchanged and in order; everything that is started here is stopped here. It must not
know what is sent, beyond the line that a request begins with.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PIECE = 65_536


@dataclass
class Line:
    """`url` is where it listens. All but `url` may be changed at any time.

    `delay` gives the seconds for which the next piece from the gateway is held up; who begins a connection with a
    request that has the word `refused` in its first line is hung up on.
    """

    url: str
    target: str
    delay: Callable[[], float] = lambda: 0.0
    refused: str | None = None
    cuts: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Resets every connection that is open."""
        self.cuts += 1
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        self._open.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._join(reader, writer)
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = (await reader.readuntil(b"\r\n")).decode("latin-1")
        if self.refused is not None and self.refused in first:
            return
        address = urlsplit(self.target)
        there, back = await asyncio.open_connection(address.hostname, address.port)
        self._open.add(back)
        try:
            back.write(first.encode("latin-1"))
            going = asyncio.create_task(self._pass(reader, back, lambda: 0.0))
            try:
                await self._pass(there, writer, self._late)
            finally:
                going.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await going
        finally:
            self._open.discard(back)
            back.transport.abort()

    def _late(self) -> float:
        return self.delay()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: Callable[[], float]
    ) -> None:
        while data := await reader.read(PIECE):
            if (seconds := delay()) > 0:
                await asyncio.sleep(seconds)
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def bad_line(target: str) -> AsyncIterator[Line]:
    """A line to this address that is good so far."""
    tasks: set[asyncio.Task[None]] = set()
    line = Line("", target)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(asyncio.CancelledError):  # it ends here, and streams would log it
                await line.serve(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        line.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield line
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
