"""Money and slots at the doors of a whole gateway: limits that hold under a rush, budgets that end, bills that add up.

Invariant under test: never one generation more than was allowed, nothing charged beyond what was received or billed,
and nothing left behind by whoever goes, fails or is killed. It looks at answers, the ledger and the provider's count.
"""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.bench.visits import IDLE_SECONDS, Guest
from gateway.config.schema import Limits, Quota, Upstream
from gateway.model import TenantId
from tests.support.gateway import KEY, OTHER_KEY, PATIENCE, Bench, bench, hear, say, talk
from tests.support.server import soon
from transcode.framer import Framer

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

ACME = TenantId("acme")
LONG = "[[scale seconds=60 speed=1]] a scale that goes on for long"
PLENTY = Upstream(requests_per_minute=100_000, max_concurrency=200)
NO_LIMITS = Limits(concurrent_streams=0, streams_per_minute=0, audio_seconds_per_day=0, audio_seconds_per_month=0)


async def usage(gateway: Bench, **query: str) -> dict[str, Any]:
    async with gateway.http.get(f"{gateway.url}/v1/usage", params={"limit": "1000"} | query) as response:
        assert response.status == 200
        document: dict[str, Any] = await response.json()
        return document


async def slots(gateway: Bench) -> float:
    """How many the tenant holds."""
    ledger: Any = gateway.gateway.hub._ledger
    used: float = (await ledger.remaining(ACME)).concurrent_streams.used
    return used


async def control(socket_: Any, *kinds: str) -> dict[str, Any]:
    """The next control message of these kinds; everything else is left out."""
    async with asyncio.timeout(PATIENCE):
        while True:
            data = await socket_.recv()
            if isinstance(data, str) and (message := json.loads(data))["type"] in kinds:
                found: dict[str, Any] = message
                return found


@asynccontextmanager
async def clients(number: int) -> AsyncIterator[list[aiohttp.ClientSession]]:
    """Several clients, each with connections of its own."""
    headers = {"Authorization": f"Bearer {KEY}"}
    made = [
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(PATIENCE), connector=connector)
        for connector in [aiohttp.TCPConnector(limit=50) for _ in range(number)]
    ]
    try:
        yield made
    finally:
        for client in made:
            await client.close()


# -- a rush ------------------------------------------------------------------------------------------------------------


async def test_of_two_hundred_at_once_ten_start() -> None:
    """Half over REST from four clients, half over five WebSockets; the others hear which limit it is."""
    limits = Limits(concurrent_streams=10, streams_per_minute=0)
    async with bench(limits=limits, upstream=PLENTY) as gateway, clients(4) as https:

        async def over_http(http: aiohttp.ClientSession) -> str:
            async with http.post(f"{gateway.url}/v1/streams", json={"input": {"prompt": LONG}}) as response:
                document = await response.json()
                return "started" if response.status == 201 else str(document["error"]["code"])

        async def over_websocket() -> list[str]:
            async with talk(gateway) as socket_:
                for number in range(20):
                    await say(socket_, type="stream.create", ref=number, input={"prompt": LONG})
                answers = [await control(socket_, "stream.created", "error") for _ in range(20)]
                return [answer.get("error", {}).get("code", "started") for answer in answers]

        orders = [over_http(https[number % 4]) for number in range(100)]
        told, *said = await asyncio.gather(asyncio.gather(*orders), *[over_websocket() for _ in range(5)])
        answers = told + [answer for some in said for answer in some]
        assert len(answers) == 200
        assert answers.count("started") == 10
        assert answers.count("concurrency_exceeded") == 190
        await soon(lambda: gateway.simulator.requests >= 10)
        assert (await slots(gateway), gateway.simulator.requests) == (10, 10)
        async with https[0].get(f"{gateway.url}/v1/streams") as response:
            started = [stream["id"] for stream in (await response.json())["streams"]]
        for stream_id in started:
            async with https[0].delete(f"{gateway.url}/v1/streams/{stream_id}") as response:
                assert response.status == 200
        assert len(started) == 10
        assert await slots(gateway) == 0


# -- bills that add up -------------------------------------------------------------------------------------------------


async def test_what_was_billed_is_what_the_provider_counted() -> None:
    """Thirty whole songs of several lengths: to the second, in the ledger, in its totals and at the provider."""
    async with bench(limits=NO_LIMITS, upstream=PLENTY) as gateway:
        prompts = [f"[[scale seconds={1 + number % 4 / 2} speed=0]] a scale for the bill" for number in range(30)]
        ids = [(await gateway.create(prompt))["id"] for prompt in prompts]
        await soon(lambda: all(stream.status.final for stream in gateway.gateway.hub.streams))
        await asyncio.gather(*[stream.wait() for stream in gateway.gateway.hub.streams])
        report = await usage(gateway)
        assert [row["stream_id"] for row in report["generations"]] == ids
        assert {row["status"] for row in report["generations"]} == {"completed"}
        assert report["totals"]["settled"] == gateway.simulator.charged_seconds > 0
        assert sum(row["settled"] for row in report["generations"]) == report["totals"]["settled"]


async def test_whatever_goes_wrong_the_bills_add_up_and_nothing_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """Some hundred orders by the same chance each time: cancels, disconnects, aborted requests, upstream faults."""
    chance = random.Random(20260311)
    upstream = Upstream(
        requests_per_minute=100_000,
        max_concurrency=200,
        retry_attempts=1,
        first_event_timeout=5.0,
        idle_timeout=IDLE_SECONDS,
        circuit_failures=1_000_000,
    )
    async with bench(limits=NO_LIMITS, upstream=upstream) as gateway, clients(3) as https:
        hub, guests = gateway.gateway.hub, [Guest(gateway.url, KEY, http, chance) for http in https]
        for _ in range(8):
            await asyncio.gather(*[guests[number % 3].visit() for number in range(30)])
        await soon(lambda: not hub.running)
        streams = list(hub.streams)
        await asyncio.gather(*[stream.wait() for stream in streams])
        async with gateway.http.get(f"{gateway.url}/v1/streams?limit=500") as response:
            told = {stream["id"]: stream for stream in (await response.json())["streams"]}
        assert not re.search(r"\b(stream|request|session)\.failed\b", caplog.text)
        report = await usage(gateway)
        rows = {row["stream_id"]: row for row in report["generations"]}
        assert rows.keys() == told.keys()
        assert len(rows) > 150
        assert len({row["status"] for row in rows.values()}) == 3
        for stream_id, row in rows.items():
            stream = told[stream_id]
            assert (row["status"], stream["usage"]["settled"]) == (stream["status"], True)
            assert row["settled"] == pytest.approx(stream["usage"]["audio_seconds"], abs=0.0011)
            if row["status"] != "completed":
                assert row["settled"] == pytest.approx(stream["duration_seconds"], abs=0.0011), "what was received"
        total = sum(stream["usage"]["audio_seconds"] for stream in told.values())
        assert report["totals"]["settled"] == pytest.approx(total, abs=0.0011 * len(rows))
        assert await slots(gateway) == 0
        await soon(lambda: not sum(stream.listeners for stream in streams))
        registry = gateway.gateway.recorder.registry
        for metric in registry.collect():
            for sample in metric.samples:
                if sample.name in ("wavegate_streams_active", "wavegate_listeners"):
                    assert sample.value == 0, sample


# -- a budget that ends ------------------------------------------------------------------------------------------------


async def test_a_budget_that_ends_ends_the_song_softly() -> None:
    """At a whole frame, on WebSocket with the reason, over HTTP in good order; charged is what was received."""
    limits = Limits(audio_seconds_per_day=12, audio_seconds_per_month=100)
    async with bench(limits=limits, quota=Quota(store="memory:", minimum_seconds=5.0)) as gateway:
        async with talk(gateway) as socket_:
            await say(socket_, type="stream.create", input={"prompt": "[[scale seconds=40 speed=20]] a scale too long"})
            created = await control(socket_, "stream.created")

            async def over_http() -> bytes:
                async with gateway.http.get(created["stream"]["urls"]["audio"]) as response:
                    return await response.read()

            heard, body = await asyncio.gather(hear(socket_), over_http())
        failed = heard.named("stream.failed")
        assert failed["error"]["code"] == "quota_exceeded"
        assert heard.audio == body
        framer = Framer()
        frames = framer.feed(body) + framer.flush()
        assert b"".join([frame.data for frame in frames]) == body, "whole frames and nothing else"
        stream = await gateway.info(created["stream"]["id"])
        assert stream["usage"] == {"audio_seconds": stream["duration_seconds"], "settled": True}
        assert 12.0 <= stream["duration_seconds"] < 13.0
        seconds = sum(frame.samples for frame in frames) / stream["sample_rate"]
        assert seconds == pytest.approx(stream["duration_seconds"], abs=0.05)
        (row,) = (await usage(gateway))["generations"]
        assert (row["settled"], row["status"]) == (stream["duration_seconds"], stream["status"])
        async with gateway.http.post(f"{gateway.url}/v1/streams", json={"input": {"prompt": LONG}}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (429, "quota_exceeded")
            assert int(response.headers["Retry-After"]) > 0


async def test_the_sessions_of_a_tenant_are_told_what_is_left() -> None:
    """Each of them, from its beginning on: what is reserved, with a warning past four fifths, and what is settled."""
    limits = Limits(audio_seconds_per_day=300)
    async with (
        bench(limits=limits) as gateway,
        talk(gateway) as one,
        talk(gateway) as two,
        talk(gateway, key=OTHER_KEY) as stranger,
    ):
        for socket_ in (one, two, stranger):
            assert (await control(socket_, "quota.updated"))["audio_seconds_per_day"]["used"] == 0.0
        # Longer than the second in which a tenant hears nothing new.
        await gateway.create("[[scale seconds=3 speed=1.5]] a scale for the budget")
        for socket_ in (one, two):
            while (news := await control(socket_, "quota.updated"))["audio_seconds_per_day"]["used"] == 0.0:
                pass
            assert news["audio_seconds_per_day"]["limit"] == 300
            assert news["audio_seconds_per_day"]["used"] == 240.0
            assert news["audio_seconds_per_day"]["remaining"] == 60.0
            assert news["concurrent_streams"]["used"] == 1
            assert news["warnings"] == ["audio_seconds_per_day"]
        for socket_ in (one, two):
            news = await control(socket_, "quota.updated")
            assert (news["audio_seconds_per_day"]["used"], news["warnings"]) == (3.0, [])
            assert news["concurrent_streams"]["used"] == 0
        await say(stranger, type="ping", t=1)
        assert (await control(stranger, "pong", "quota.updated"))["type"] == "pong"
