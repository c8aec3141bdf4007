"""Every way to hear a stream at a real gateway, and at one that says what is wrong.

Invariant under test: what is right is no fault, in whichever way it is heard, and what is wrong is found.
It must not know who orders.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.bench.soak.count import Count
from gateway.bench.soak.hearing import EXTENSIONS, FRAMINGS, Ears, Hearing
from tests.support.gateway import KEY, Bench, bench

DOINGS = {"hls", "clip", "left", "resumed", "heard the end", *(f"websocket {one}" for one in FRAMINGS)}
LIVE = "[[scale seconds=2 speed=2 wait=0]] a scale that is heard in every way"
DONE = "[[scale seconds=2 speed=0 wait=0]] a scale that is heard in every way"


def hearing(here: Bench, http: aiohttp.ClientSession, count: Count, seed: int = 1) -> Hearing:
    return Hearing(here.url, http, Random(seed), count, headers={"Authorization": f"Bearer {KEY}"})


@pytest.mark.nightly
@pytest.mark.blocking("a first encode warms up its codec")
async def test_every_way_at_a_real_gateway() -> None:
    """By many chances: nothing is wrong with any."""
    count = Count()
    async with bench() as here, aiohttp.ClientSession() as http, asyncio.timeout(50):
        live, done = (await here.create(LIVE))["id"], (await here.create(DONE))["id"]
        ways = [hearing(here, http, count, seed).any(live, "mp3") for seed in range(24)]
        framed = [hearing(here, http, count, seed).websocket(live, "mp3", FRAMINGS[seed % 3]) for seed in range(18)]
        await asyncio.gather(*ways, *framed)
        late = hearing(here, http, count)
        while not set(count.done) >= DOINGS:  # what they do is chance, and time has a say in it
            await late.any(done, "mp3")
        for extension in EXTENSIONS:
            await late.whole(done, extension)
        await late.hls(done, "mp3")
        await late.clip(done, "mp3")
    assert (count.faults, count.words) == ({}, [])


async def test_refusals_are_counted() -> None:
    """At every door, by their codes."""
    count = Count()
    async with bench() as here, aiohttp.ClientSession() as http, asyncio.timeout(20):
        nobody = hearing(here, http, count)
        for way in (nobody.websocket, nobody.http, nobody.hls, nobody.clip, nobody.whole):
            await way("st_unknown", "mp3")
        ticketed = Hearing(here.url, http, Random(1), count, query="?ticket=no")
        await ticketed.hls("st_unknown", "mp3")
    assert count.refusals["stream_not_found"] == 5
    assert count.faults == {"bad_credentials": 1}


@asynccontextmanager
async def liar(*said: dict[str, Any] | bytes) -> AsyncIterator[str]:
    """A gateway that says this to whoever attaches, and answers anything else with 500 and no error of ours."""

    async def socket(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(protocols=["wavegate.v1"])
        await response.prepare(request)
        await response.receive()
        for one in said:
            await (response.send_bytes(one) if isinstance(one, bytes) else response.send_json(one))
        await response.close()
        return response

    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=500, text="oh")

    application = web.Application()
    application.add_routes([web.get("/v1/ws", socket), web.get("/{any:.*}", broken)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Plain(Random):
    """Of all that there is the first, and nothing that is seldom."""

    def choice(self, seq: Any) -> Any:
        return seq[0]

    def random(self) -> float:
        return 0.99


def started(**more: Any) -> dict[str, Any]:
    return {"type": "stream.started", "epoch": 1, "seq": 0, **more}


def completed(data: bytes) -> dict[str, Any]:
    return {"type": "stream.completed", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


async def told(*said: dict[str, Any] | bytes) -> Count:
    """What is counted of a listener who is told this."""
    count = Count()
    async with liar(*said) as url, aiohttp.ClientSession() as http, asyncio.timeout(20):
        await Hearing(url, http, Plain(), count).websocket("st_1", "mp3", "raw")
    return count


async def test_another_hash_is_found() -> None:
    """Unless there was a gap, which was told."""
    assert (await told(started(), b"sound", completed(b"sound"))).faults == {}
    assert (await told(started(), b"sound", completed(b"other"))).faults == {"hash": 1}
    gap = {"type": "stream.gap", "to_seq": 9, "reason": "retention"}
    found = await told(started(), b"sound", gap, completed(b"other"))
    assert (found.faults, found.done["gap: retention"]) == ({}, 1)


async def test_ends_are_counted() -> None:
    """A failure by its code, and a socket that is closed without a word."""
    failed = {"type": "stream.failed", "error": {"code": "upstream_failed", "message": "no"}}
    assert (await told(started(), failed)).refusals == {"upstream_failed": 1}
    assert (await told(started())).done["cut"] == 1


async def test_a_chunk_that_is_missing_is_found() -> None:
    """In json framing, as in the binary one."""
    delta = {"type": "audio.delta", "kind": "audio", "data": "c291bmQ=", "seq": 1}
    count = Count()
    async with liar(started(), delta, completed(b"sound")) as url, aiohttp.ClientSession() as http:
        await Hearing(url, http, Plain(), count).websocket("st_1", "mp3", "json")
    assert count.faults == {"order": 1}


async def test_an_answer_that_is_none_is_found() -> None:
    """A gateway says why."""
    count = Count()
    async with liar() as url, aiohttp.ClientSession() as http:
        await Hearing(url, http, Plain(), count).clip("st_1", "mp3")
    assert count.words == ["refusal: 500 without an error of ours"]


def test_ears() -> None:
    """The init is heard once, and has no place in the order; json says so."""
    ears = Ears(due=0)
    assert ears.hear(b"init", 0, init=True) is None
    assert ears.hear(b"one", 0, init=False) is None
    assert ears.hear(b"init", 0, init=True) is None
    assert ears.hear(b"three", 2, init=False) == "chunk 2, where 1 was due"
    assert (ears.size, ears.due) == (12, 3)
    assert ears.digest.hexdigest() == hashlib.sha256(b"initonethree").hexdigest()
