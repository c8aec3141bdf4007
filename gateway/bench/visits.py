"""Orders with something wrong on one side or the other: what real clients and a real provider do, by chance.

A visit is one order over REST or a WebSocket: some hear their song to the end, others cancel it, leave in the middle,
or are gone before the answer; and of the songs some are whole and others are what a provider does on a bad day.
Invariant: the same chance gives the same visits, and every wait ends. It must not judge what comes of them.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

# Scenarios of the simulator: whole songs, and each way in which one goes wrong.
SONGS = (
    "scale", "scale", "scale cut after=0.5 how=reset", "scale cut after=0.5 how=end torn=1", "scale garbage after=0.5",
    "scale bad_base64 after=0.3", "noise", "empty", "error", "error after=0.5", "moderation", "scale bad_json",
    "scale stall after=0.5 silence=60", "scale hold=0.05", "scale usage=0",
)  # fmt: skip
WAYS = ("aborted", "left", "cancelled", "heard", "disconnected", "cancelled there")
# How long the provider may be silent in the middle of a song before that counts as its end.
IDLE_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0
_LONGEST_PAUSE = 0.1


class Guest:
    """A client of the gateway at `url` with this key; `tally` counts what it did, and what the gateway answered."""

    def __init__(self, url: str, key: str, http: aiohttp.ClientSession, chance: random.Random) -> None:
        self._url = url
        self._key = key
        self._http = http
        self._chance = chance
        self.tally: dict[str, int] = {}

    async def visit(self) -> None:
        """One order, whatever befalls it."""
        chance = self._chance
        # Whole seconds: a provider that does not tell its bill has charged what was received.
        seconds, speed = chance.choice((1, 2)), chance.choice((0, 10, 20))
        song = chance.choice(SONGS)
        order = {
            "input": {"prompt": f"[[{song} seconds={seconds} speed={speed}]] a scale that something befalls"},
            "abandon": chance.choice(("finish", "cancel")),
        }
        way = chance.choice(WAYS)
        self._count(way)
        pause = chance.uniform(0.0, _LONGEST_PAUSE)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                if way == "aborted":
                    await self._abort(order, whole=chance.random() < 0.5)
                elif way in ("disconnected", "cancelled there"):
                    await self._over_websocket(order, pause, cancels=way == "cancelled there")
                else:
                    await self._over_http(order, pause, way, stalls="stall" in song)
        except (TimeoutError, OSError, aiohttp.ClientError, ConnectionClosed):
            self._count("unanswered")

    def _count(self, what: str) -> None:
        self.tally[what] = self.tally.get(what, 0) + 1

    async def _abort(self, order: dict[str, Any], *, whole: bool) -> None:
        """Gone before the answer, in the middle of its body or behind it."""
        body, place = json.dumps(order).encode(), urlsplit(self._url)
        head = (
            f"POST /v1/streams HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        _, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(head.encode() + (body if whole else body[: len(body) // 2]))
        await writer.drain()
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()

    async def _over_websocket(self, order: dict[str, Any], pause: float, *, cancels: bool) -> None:
        async with self._session() as socket:
            await socket.send(json.dumps({"type": "stream.create", **order}))
            created = await _message(socket, "stream.created", "error")
            if created["type"] == "error":
                self._count(created["error"]["code"])
                return
            await asyncio.sleep(pause)
            if cancels:
                await socket.send(json.dumps({"type": "stream.cancel", "stream_id": created["stream"]["id"]}))
                await _message(socket, "stream.failed", "stream.completed")
            else:
                socket.transport.abort()

    async def _over_http(self, order: dict[str, Any], pause: float, way: str, *, stalls: bool) -> None:
        async with self._http.post(f"{self._url}/v1/streams", json=order) as answer:
            stream = await answer.json()
        if answer.status != 201:
            self._count(stream["error"]["code"])
            return
        url = f"{self._url}/v1/streams/{stream['id']}"
        if way == "cancelled":
            await asyncio.sleep(pause)
            async with self._http.delete(url):
                return
        with suppress(aiohttp.ClientError):  # a broken song breaks off
            async with self._http.get(stream["urls"]["audio"]) as answer:
                await (answer.read() if way == "heard" and not stalls else answer.content.readany())

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[ClientConnection]:
        async with connect(
            f"ws{self._url.removeprefix('http')}/v1/ws",
            additional_headers={"Authorization": f"Bearer {self._key}"},
            subprotocols=["wavegate.v1"],  # type: ignore[list-item] # a Subprotocol is a str
            compression=None,
            max_size=None,
            open_timeout=_PATIENCE_SECONDS,
        ) as socket:
            yield socket


async def _message(socket: ClientConnection, *kinds: str) -> dict[str, Any]:
    """The next control message of these kinds; everything else is left out."""
    while True:
        data = await socket.recv()
        if isinstance(data, str) and (message := json.loads(data))["type"] in kinds:
            found: dict[str, Any] = message
            return found
