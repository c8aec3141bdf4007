"""What guests do at a gateway that is none: the same by the same chance, and every way they have.

Invariant under test: each way is really gone, what the gateway refuses is counted, and nobody waits for ever.
It must not judge what comes of visits: that is the bench's.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.bench import visits
from gateway.bench.visits import WAYS, Guest

ID = "st_1"


class House:
    """Answers as a gateway does; `said` is what it was told."""

    def __init__(self, *, full: bool = False) -> None:
        self.full = full
        self.said: list[str] = []
        self.url = ""

    def _refusal(self) -> dict[str, Any]:
        return {"error": {"code": "rate_exceeded", "message": "Too many."}}

    async def create(self, request: web.Request) -> web.Response:
        try:
            await request.read()
        except (aiohttp.ClientError, ConnectionError):
            self.said.append("half an order")
            raise
        self.said.append("ordered")
        if self.full:
            return web.json_response(self._refusal(), status=429)
        urls = {"audio": f"{self.url}/v1/streams/{ID}/audio.mp3"}
        return web.json_response({"id": ID, "urls": urls}, status=201)

    async def cancel(self, request: web.Request) -> web.Response:
        self.said.append("cancelled")
        return web.json_response({})

    async def audio(self, request: web.Request) -> web.Response:
        self.said.append("heard")
        return web.Response(body=b"sound" * 1000)

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(protocols=["wavegate.v1"])
        await response.prepare(request)
        async for message in response:
            asked = json.loads(message.data)
            self.said.append(asked["type"])
            if asked["type"] == "stream.cancel":
                await response.send_bytes(b"sound")
                await response.send_json({"type": "stream.failed"})
            elif self.full:
                await response.send_json({"type": "error", **self._refusal()})
            else:
                await response.send_json({"type": "stream.created", "stream": {"id": ID}})
        return response


@asynccontextmanager
async def house(*, full: bool = False) -> AsyncIterator[tuple[House, Guest]]:
    place, application = House(full=full), web.Application()
    application.add_routes(
        [
            web.post("/v1/streams", place.create),
            web.delete(f"/v1/streams/{ID}", place.cancel),
            web.get(f"/v1/streams/{ID}/audio.mp3", place.audio),
            web.get("/v1/ws", place.socket),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        place.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as http:
            yield place, Guest(place.url, "key", http, random.Random(3))
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("left", ["ordered", "heard"]),
        ("heard", ["ordered", "heard"]),
        ("cancelled", ["ordered", "cancelled"]),
        ("disconnected", ["stream.create"]),
        ("cancelled there", ["stream.create", "stream.cancel"]),
    ],
)
async def test_each_way_is_gone(monkeypatch: pytest.MonkeyPatch, way: str, said: list[str]) -> None:
    """To its end, whatever the song."""
    monkeypatch.setattr(visits, "WAYS", (way,))
    async with house() as (place, guest):
        async with asyncio.timeout(20):
            await guest.visit()
        assert (place.said, guest.tally) == (said, {way: 1})


async def test_some_are_gone_before_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of the order or behind it."""
    monkeypatch.setattr(visits, "WAYS", ("aborted",))
    async with house() as (_, guest):
        async with asyncio.timeout(20):
            for _ in range(8):
                await guest.visit()
        assert guest.tally == {"aborted": 8}


@pytest.mark.parametrize("way", ["heard", "cancelled there"])
async def test_a_refusal_is_counted(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """And ends the visit."""
    monkeypatch.setattr(visits, "WAYS", (way,))
    async with house(full=True) as (place, guest):
        async with asyncio.timeout(20):
            await guest.visit()
        assert len(place.said) == 1
        assert guest.tally == {way: 1, "rate_exceeded": 1}


@pytest.mark.parametrize("way", ["heard", "disconnected", "aborted"])
async def test_a_gateway_that_is_gone_is_no_end_of_the_bench(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Whoever gets no answer is counted."""
    monkeypatch.setattr(visits, "WAYS", (way,))
    async with aiohttp.ClientSession() as http, asyncio.timeout(20):
        guest = Guest("http://127.0.0.1:9", "key", http, random.Random(3))
        await guest.visit()
    assert guest.tally == {way: 1, "unanswered": 1}


async def test_the_same_chance_makes_the_same_visits() -> None:
    """Which ways are gone is told by the seed alone, and all of them are."""
    tallies = []
    for _ in range(2):
        async with house() as (_, guest), asyncio.timeout(40):
            for _ in range(40):
                await guest.visit()
            tallies.append(guest.tally)
    assert tallies[0] == tallies[1]
    assert tallies[0].keys() == set(WAYS)
