"""A guest of the soak: orders a song in any of the ways there are, and has it heard in several at once.

Some order under a key and order again, some share a song with others, some come with a ticket, some cancel, and some
are the guests of the bench of the books, who break their orders off.
Invariant: the same chance gives the same visits, and every visit ends. It must not judge the books.
"""

import asyncio
import json
from random import Random
from typing import Any

import aiohttp
from websockets.exceptions import WebSocketException

from gateway.bench.soak.count import Count
from gateway.bench.soak.hearing import EXTENSIONS, FRAMINGS, Hearing
from gateway.bench.soak.songs import Songs
from gateway.bench.visits import Guest

_PATIENCE_SECONDS = 120.0
_BREAKING = 0.25  # of visits are those of the bench of the books
_SHARED = tuple(
    f"[[scale seconds=4 speed=2 wait=0]] a scale that several share, and it is the {word} one"
    for word in ("first", "second", "third")
)


class SoakGuest:
    """At a gateway `url` with this key. `breaking` makes those of its visits that break off; `name` tells its orders
    from those of others.
    """

    def __init__(
        self, url: str, key: str, http: aiohttp.ClientSession, breaking: Guest, chance: Random, count: Count, name: str
    ) -> None:
        self._url = url
        self._key = {"Authorization": f"Bearer {key}"}
        self._http = http
        self._chance = chance
        self._count = count
        self._name = name
        self._songs = Songs(chance)
        self._orders = 0
        self._breaking = breaking

    async def visit(self) -> None:
        """One order and everybody who hears it, whatever befalls them."""
        if self._chance.random() < _BREAKING:
            self._count.did("broke off")
            await self._breaking.visit()
            return
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._order()
        except TimeoutError:
            self._count.wrong("late", f"a visit has not ended in {_PATIENCE_SECONDS:g} s")
        except (OSError, aiohttp.ClientError, WebSocketException) as error:
            self._count.did(f"unanswered: {type(error).__name__}")

    async def every_way(self) -> None:
        """Every way to hear a song, once each, on one that is whole: so what a gateway keeps for each is there."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            stream = await self._bought({"input": {"prompt": self._songs.sound(2, 0).prompt}}, {})
            if stream is None:
                return
            hearing = self._hearing()
            for framing in FRAMINGS:
                await hearing.websocket(stream, "mp3", framing)
            for extension in EXTENSIONS:
                await hearing.whole(stream, extension)
            await hearing.hls(stream, "mp3")
            await hearing.clip(stream, "mp3")

    # -- ordering ------------------------------------------------------------------------------------------------------

    async def _order(self) -> None:
        chance = self._chance
        self._orders += 1
        form = "wav" if chance.random() < 0.2 else "mp3"
        streamed = chance.random() < 0.9
        song = self._songs.any(form, streamed=streamed)
        order: dict[str, Any] = {
            "model": song.model,
            "input": {"prompt": song.prompt, "format": form},
            "mode": "stream" if streamed else "file",
            "abandon": chance.choice(("finish", "cancel", "1s")),
        }
        headers: dict[str, str] = {}
        if chance.random() < 0.15:
            order, form = {"share": True, "input": {"prompt": chance.choice(_SHARED)}}, "mp3"
            self._count.did("shared")
        elif chance.random() < 0.4:
            headers["Idempotency-Key"] = f"{self._name}-{self._orders}"
        stream = await self._bought(order, headers)
        if stream is None:
            return
        if headers:
            await self._repeat(order, headers, stream)
        hearing = await self._hearing_of(stream)
        heard = [hearing.any(stream, form) for _ in range(chance.randrange(1, 4))]
        if "share" not in order and chance.random() < 0.15:
            heard.append(self._cancel(stream, chance.uniform(0.0, 1.0)))
        for failure in await asyncio.gather(*heard, return_exceptions=True):
            if isinstance(failure, BaseException):
                raise failure

    async def _bought(self, order: dict[str, Any], headers: dict[str, str]) -> str | None:
        """The stream's id, or None where it was refused."""
        self._count.did("ordered")
        document = await self._post("/v1/streams", order, headers)
        return None if document is None else str(document["id"])

    async def _repeat(self, order: dict[str, Any], headers: dict[str, str], stream: str) -> None:
        """The same order again buys nothing."""
        self._count.did("ordered again")
        document = await self._post("/v1/streams", order, headers)
        if document is not None and document["id"] != stream:
            self._count.wrong("twice", "an order under one key was bought twice")

    async def _cancel(self, stream: str, after: float) -> None:
        await asyncio.sleep(after)
        self._count.did("cancelled")
        async with self._http.delete(f"{self._url}/v1/streams/{stream}", headers=self._key) as answer:
            await answer.read()

    # -- hearing -------------------------------------------------------------------------------------------------------

    def _hearing(self) -> Hearing:
        return Hearing(self._url, self._http, self._chance, self._count, headers=self._key)

    async def _hearing_of(self, stream: str) -> Hearing:
        """With the key, or with a ticket that is good for as many as like."""
        if self._chance.random() < 0.7:
            return self._hearing()
        self._count.did("ticket")
        ticket = await self._post("/v1/tickets", {"stream_id": stream, "uses": 0, "ttl_seconds": 120}, {})
        if ticket is None:
            return self._hearing()
        query = f"?ticket={ticket['ticket']}"
        return Hearing(self._url, self._http, self._chance, self._count, query=query)

    async def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any] | None:
        said = {**self._key, **headers, "Content-Type": "application/json"}
        async with self._http.post(self._url + path, data=json.dumps(body), headers=said) as answer:
            document: dict[str, Any] = await answer.json()
        if answer.status >= 400:
            self._count.refused(document["error"], f"{path} {body}")
            return None
        return document
