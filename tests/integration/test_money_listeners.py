"""What a tenant's listeners may take, at the doors of a whole gateway: places and the bytes of a day.

Invariant under test: a song is bought for whoever has a place to hear it and for nobody else, and a day's bytes end for
those who hear with the reason, and for those who come. It looks at answers and at the ledger.
"""

import asyncio
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from gateway.config.schema import Limits, Quota
from tests.support.gateway import PATIENCE, bench, hear, say, talk

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

BRIEF = "[[scale seconds=1 speed=2]] a scale for those who have a place"


async def test_as_many_songs_are_bought_as_there_are_places_to_hear_them() -> None:
    """Of eight sessions that order at once three have a place; the others are refused and nothing is spent for them."""
    async with bench(limits=Limits(listeners=3, concurrent_streams=0), quota=Quota(store="memory:")) as gateway:

        async def order() -> str:
            async with talk(gateway) as socket_:
                await say(socket_, type="stream.create", ref=1, input={"prompt": BRIEF})
                heard = await hear(socket_, until=("stream.completed", "error"))
                return "heard" if heard.audio else str(heard.named("error")["error"]["code"])

        outcomes = sorted(await asyncio.gather(*[order() for _ in range(8)]))
        assert outcomes == ["concurrency_exceeded"] * 5 + ["heard"] * 3
        assert gateway.simulator.requests == 3
        async with gateway.http.get(f"{gateway.url}/v1/usage") as answer:
            assert (await answer.json())["totals"]["generations"] == 3


async def test_when_the_bytes_of_a_day_are_used_up_everybody_hears_why() -> None:
    """On a WebSocket an error and a close that is final, over HTTP a body that breaks off; the song goes on."""
    limits = Limits(egress_bytes_per_day=150_000)
    async with bench(limits=limits, quota=Quota(store="memory:")) as gateway:
        stream = await gateway.create("[[scale seconds=30 speed=4 bitrate=192000]] a scale for a day that ends")

        async def over_http() -> int:
            size = 0
            async with gateway.http.get(stream["urls"]["audio"]) as answer:
                try:
                    async for data in answer.content.iter_any():
                        size += len(data)
                except aiohttp.ClientPayloadError:
                    return size
            raise AssertionError("the body ended as if it were whole")

        async def over_websocket() -> tuple[dict[str, Any], int | None]:
            async with talk(gateway) as socket_:
                await say(socket_, type="stream.attach", stream_id=stream["id"])
                heard = await hear(socket_, until=("error",))
                with pytest.raises(ConnectionClosed) as closed:
                    async with asyncio.timeout(PATIENCE):
                        await socket_.recv()
                return heard.named("error")["error"], closed.value.rcvd and closed.value.rcvd.code

        size, (error, code) = await asyncio.gather(over_http(), over_websocket())
        assert (error["code"], code) == ("quota_exceeded", 4008)
        assert error["retry_after_ms"] > 0
        # A second's worth for two listeners at four times real time, and what the counting is late by.
        assert 40_000 < size < 400_000
        async with gateway.http.get(stream["urls"]["audio"]) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (429, "quota_exceeded")
        assert (await gateway.info(stream["id"]))["status"] == "running"
