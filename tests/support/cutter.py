"""A bad network: a TCP proxy that ends every connection at a random point, in one of a handful of ways.

    reset   both sides get an RST, somewhere within a frame
    close   both sides get a FIN without a word of WebSocket
    stall   nothing comes any more, and nobody says so, until the client gives up
    asking  an RST while the client's own bytes are on their way: in the handshake, in an order, in a wish to resume

Invariant: what it lets through it changes in nothing but the sizes of the pieces; the same seed draws the same plans.
It must not know WebSocket, nor test anything itself.
"""

import asyncio
import math
import random
import socket
import struct
from collections import Counter
from typing import Self

_RESET = struct.pack("ii", 1, 0)
# The handshake's answer and session.created are about as long as this.
GREETED = 1500
_WAYS = ("reset", "close", "stall", "asking")


class Cutter:
    """Listens on a free port in front of `port`; `cuts` counts what it did to connections that were in use.

    A connection ends after up to `longest` bytes to the client, a fifth of them before anybody has been greeted, or
    after up to `asked` bytes from it. Of a hundred `stalls` stall, and `askings` end while the client speaks.
    """

    def __init__(
        self, port: int, seed: int, *, longest: int = 40_000, asked: int = 900, stalls: int = 3, askings: int = 15
    ) -> None:
        self.cuts: Counter[str] = Counter()
        self._upstream = port
        self._random = random.Random(seed)
        self._longest = longest
        self._asked = asked
        self._weights = (100 - stalls - askings) / 2, (100 - stalls - askings) / 2, stalls, askings
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._carrying):
            task.cancel()
        if self._carrying:
            await asyncio.wait(tuple(self._carrying), timeout=5.0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
        task.add_done_callback(lambda _: writer.transport.abort())  # one that was cancelled before its first step, too

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above: asyncio.StreamWriter | None = None
        way = None
        try:
            answers, above = await asyncio.open_connection("127.0.0.1", self._upstream)
            way = await self._carry(reader, writer, answers, above)
        except OSError:
            pass  # one of them left by itself
        finally:
            for side in (writer, above):
                if side is not None:
                    _end(side, politely=way == "close")

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        above: asyncio.StreamWriter,
    ) -> str | None:
        """Carries until it is over; the way in which it was cut, None when one side left by itself."""
        (way,) = self._random.choices(_WAYS, self._weights)
        early = way != "stall" and self._random.random() < 0.2
        least, most = (1, GREETED) if early else (GREETED, self._longest)
        downward = round(math.exp(self._random.uniform(math.log(least), math.log(most))))
        upward = self._random.randrange(1, self._asked) if way == "asking" else None
        asking = asyncio.ensure_future(self._pass(reader, above, upward))
        hearing = asyncio.ensure_future(self._pass(answers, writer, downward))
        try:
            done, _ = await asyncio.wait({asking, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if not any(task.result() for task in done):
                return None
            if way == "asking" and asking not in done:
                way = "reset"
            self.cuts[way] += 1
            if way == "stall":
                await asyncio.wait({asking})
            return way
        finally:
            for task in (asking, hearing):
                task.cancel()
            await asyncio.wait({asking, hearing})

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, most: int | None) -> bool:
        """Passes on up to `most` bytes, in pieces of its own; whether it came that far."""
        while data := await source.read(8192 if most is None else min(8192, most)):
            half = self._random.randrange(len(data) + 1)
            for piece in (data[:half], data[half:]):
                sink.write(piece)
                await asyncio.sleep(0)
            await sink.drain()
            if most is not None:
                most -= len(data)
                if most == 0:
                    return True
        return False


def _end(side: asyncio.StreamWriter, *, politely: bool) -> None:
    if politely:
        side.close()
        return
    taken = side.get_extra_info("socket")
    if taken is not None and not side.is_closing():
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    side.transport.abort()
