"""A gateway played by heart, which puts a client of `wavegate.v1` through everything at once that can happen to it.

Its song is PCM of two channels at 48 kHz that never repeats. One connection after another: refused with 503;
overloaded, with a time to wait; a frame that is missing on the way; a frame that comes again, and expired credentials;
a place that is lost; another log of the same song whose frames are cut elsewhere, a gap, and the end.
Invariant: a client that says what it should not fails the test that reads `mistakes`.
It must not know who plays.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gateway.protocol.frames import HEADER

RATE, WIDTH = 48000, 4
FIRST, SECOND = 4800, 7000  # samples a frame in either log
OLD, NEW = 7, 8  # their epochs
SAMPLES = 21 * SECOND
LOST = range(15 * SECOND, 17 * SECOND)
RETRY_SECONDS = 0.3
SONG = random.Random(11).randbytes(SAMPLES * WIDTH)
# What is heard of it: all but the gap.
HEARD = SONG[: LOST.start * WIDTH] + SONG[LOST.stop * WIDTH :]
# By who cannot cut a frame in two: the frame of the second log that reaches past what was heard comes whole.
WHOLE_FRAMES = SONG[: 15 * FIRST * WIDTH] + HEARD[15 * FIRST // SECOND * SECOND * WIDTH :]
CONNECTIONS = 6


class Ordeal:
    """`url` is where it listens."""

    def __init__(self) -> None:
        self.url = ""
        self.mistakes: list[str] = []
        self.opened = 0
        self.tickets: list[str] = []
        self._closed_at = 0.0

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        self.opened += 1
        if self.opened == 1:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Later.\n")
        return None

    async def handle(self, socket: ServerConnection) -> None:
        """One connection, and the next part of the ordeal."""
        number = self.opened
        try:
            async with asyncio.timeout(20):
                await self._part(number, socket)
        except (ConnectionClosed, TimeoutError) as error:
            if number != 3:  # there it is the client that hangs up
                self.mistakes.append(f"connection {number}: {error!r}")

    async def _part(self, number: int, socket: ServerConnection) -> None:
        said = json.loads(await socket.recv())
        self._expect(number, "type", said["type"], "session.authenticate")
        self.tickets.append(said.get("ticket", ""))
        if number == 2:
            self._closed_at = time.monotonic()
            await self._refuse(socket, "overloaded", 1013, f";retry_after_ms={RETRY_SECONDS * 1000:.0f}")
            return
        if number == 3 and time.monotonic() - self._closed_at < RETRY_SECONDS:
            self.mistakes.append("came back before the time it was told")
        await self._say(socket, "session.created", session_id="s", tenant="t", limits={}, server_time=0.0)
        await self._say(socket, "news.of.a.newer.gateway", anything=[1, {"a": None}])
        since = json.loads(await socket.recv())["since"]
        if number == 3:
            self._expect(number, "since", since, "start")
            await self._started(socket, OLD, 0)
            for seq in [*range(10), 11]:
                await self._frame(socket, OLD, FIRST, seq)
            await socket.recv()  # the client is to hang up
        elif number == 4:
            self._expect(number, "since", since, {"epoch": OLD, "seq": 10})
            await self._started(socket, OLD, 10)
            for seq in range(9, 15):
                await self._frame(socket, OLD, FIRST, seq)
            await socket.close(4201, "credentials_expired")
        elif number == 5:
            self._expect(number, "since", since, {"epoch": OLD, "seq": 15})
            await self._refuse(socket, "position_lost", 4203)
        elif number == 6:
            self._expect(number, "since", since, "start")
            await self._started(socket, NEW, 0)
            for seq in range(21):
                if seq == 15:
                    await self._say(socket, "stream.gap", stream_id="s", from_seq=15, to_seq=17, reason="retention")
                if seq not in (15, 16):
                    await self._frame(socket, NEW, SECOND, seq)
            await self._say(socket, "stream.completed", stream_id="s", duration_seconds=SAMPLES / RATE, frames=21,
                            bytes=len(SONG), sha256="0" * 64, usage={})  # fmt: skip
            await socket.wait_closed()
        else:
            self.mistakes.append(f"came {number} times")

    def _expect(self, number: int, what: str, said: Any, wanted: Any) -> None:
        if said != wanted:
            self.mistakes.append(f"connection {number}: {what} was {said!r} and not {wanted!r}")

    async def _say(self, socket: ServerConnection, kind: str, **fields: Any) -> None:
        await socket.send(json.dumps({"type": kind, **fields}))

    async def _refuse(self, socket: ServerConnection, code: str, close: int, rest: str = "") -> None:
        retryable = code == "overloaded"
        await self._say(socket, "error", error={"code": code, "message": "No.", "retryable": retryable,
                                                "retry_after_ms": RETRY_SECONDS * 1000 if rest else None})  # fmt: skip
        await socket.close(close, code + rest)

    async def _started(self, socket: ServerConnection, epoch: int, seq: int) -> None:
        form = {"codec": "pcm", "mime": "audio/L16", "sample_rate": RATE, "channels": 2, "bitrate": None}
        await self._say(socket, "stream.started", stream_id="s", rendition=epoch, epoch=epoch, seq=seq, format=form)

    async def _frame(self, socket: ServerConnection, epoch: int, samples: int, seq: int) -> None:
        pts = seq * samples
        payload = SONG[pts * WIDTH : (pts + samples) * WIDTH]
        await socket.send(HEADER.pack(1, 1, 0, epoch, pts, seq, samples) + payload)


@asynccontextmanager
async def ordeal() -> AsyncIterator[Ordeal]:
    """An `Ordeal` on a free port."""
    played = Ordeal()
    async with serve(
        played.handle, "127.0.0.1", 0, process_request=played.refuse, subprotocols=["wavegate.v1"], compression=None
    ) as server:
        host, port = server.sockets[0].getsockname()[:2]
        played.url = f"http://{host}:{port}"
        yield played
