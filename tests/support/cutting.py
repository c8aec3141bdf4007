"""A line that breaks: a proxy in front of a gateway, which cuts an answer short and lets what comes later through.

Invariant: what passes is passed unchanged; everything that is started here is stopped here. It must not know what is
sent, beyond the line that a request begins with.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PIECE = 4096


@dataclass
class Cutting:
    """`url` is where it listens; heads of requests for what is cut, and of their answers, are kept."""

    url: str
    requests: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    cuts: int = 0


@asynccontextmanager
async def cutting(target: str, word: str, after: int, times: int = 1) -> AsyncIterator[Cutting]:
    """Cuts the first `times` answers to requests with `word` in their first line, after so many bytes each."""
    address = urlsplit(target)
    line = Cutting("")
    open_ones: set[asyncio.Task[None]] = set()

    async def passing(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None, *, kept: bool = False
    ) -> None:
        sent = 0
        while data := await reader.read(PIECE):
            if kept and not sent:
                line.answers.append(data.split(b"\r\n\r\n", 1)[0].decode("latin-1"))
            if most is not None and sent + len(data) >= most:
                writer.write(data[: most - sent])
                await writer.drain()
                line.cuts += 1
                return
            sent += len(data)
            writer.write(data)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        there, here = await asyncio.open_connection(address.hostname, address.port)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                # One request a connection: what is asked afterwards comes on another.
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                wanted = word in head.split("\r\n", 1)[0]
                if wanted:
                    line.requests.append(head)
                lines = [one for one in head.split("\r\n") if not one.lower().startswith("connection:")]
                here.write("\r\n".join([*lines[:-2], "Connection: close", "", ""]).encode("latin-1"))
                rest = asyncio.create_task(passing(reader, here, None))
                try:
                    await passing(there, writer, after if wanted and line.cuts < times else None, kept=wanted)
                finally:
                    rest.cancel()
                    with suppress(asyncio.CancelledError, ConnectionError):
                        await rest
        finally:
            open_ones.discard(task)
            for one in (writer, here):
                one.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        line.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield line
    finally:
        server.close()
        for task in tuple(open_ones):
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
