"""The account's limits and the provider's moods, through the whole gateway on real sockets.

Invariant under test: what waits is told its place and costs nothing, what is tried again is heard as one song, and
the slots come back whatever happens. It must not know how the queue is kept.
"""

import asyncio

import aiohttp

from gateway.config.schema import Upstream
from tests.support.gateway import OTHER_KEY, PATIENCE, Bench, bench, hear, receive, say, talk

LONG = "[[scale seconds=60 speed=1]] a scale that holds its place"
SHORT = "[[scale seconds=2 speed=4]] a scale that waits for its turn"


async def held(gateway: Bench) -> float:
    """Upstream slots in use, as the metrics say."""
    async with gateway.http.get(f"{gateway.internal}/metrics") as response:
        page = await response.text()
    line = next(line for line in page.splitlines() if line.startswith('wavegate_upstream_concurrency{state="used"}'))
    return float(line.split()[-1])


async def test_who_has_to_wait_is_told_and_heard_in_turn() -> None:
    """With room for one at the provider the second is queued, told so on attach too, and begins when the first ends."""
    async with (
        bench(upstream=Upstream(max_concurrency=1, requests_per_minute=6000)) as gateway,
        talk(gateway) as first,
        talk(gateway, key=OTHER_KEY) as second,
    ):
        await say(first, type="stream.create", input={"prompt": LONG})
        running = (await receive(first))["stream"]["id"]
        while (await receive(first))["type"] != "stream.started":
            pass
        await say(second, type="stream.create", input={"prompt": SHORT})
        waiting = (await receive(second))["stream"]["id"]
        place = await receive(second)
        assert (place["type"], place["stream_id"], place["position"]) == ("stream.queued", waiting, 1)
        async with talk(gateway, key=OTHER_KEY) as late:
            await say(late, type="stream.attach", stream_id=waiting)
            assert (await receive(late))["type"] == "stream.queued"
        assert gateway.simulator.requests == 1
        await say(first, type="stream.cancel", stream_id=running)
        heard = await hear(second)
        assert heard.named("stream.completed")["usage"] == {"audio_seconds": 2, "settled": True}
        assert gateway.simulator.requests == 2
        assert await held(gateway) == 0


async def test_a_song_cancelled_in_the_queue_costs_nothing() -> None:
    """It never reaches the provider, is charged no second, and its slot is free for the next."""
    async with bench(upstream=Upstream(max_concurrency=1, requests_per_minute=6000)) as gateway:
        running = await gateway.create(LONG)
        async with asyncio.timeout(PATIENCE):
            while await held(gateway) < 1:
                pass
        waiting = await gateway.create(SHORT)
        async with gateway.http.delete(f"{gateway.url}/v1/streams/{waiting['id']}") as response:
            cancelled = await response.json()
        assert (cancelled["status"], cancelled["usage"]) == ("cancelled", {"audio_seconds": 0.0, "settled": True})
        async with gateway.http.delete(f"{gateway.url}/v1/streams/{running['id']}") as response:
            assert response.status == 200
        assert gateway.simulator.requests == 1
        assert await held(gateway) == 0


async def test_a_provider_that_is_away_is_said_so_and_not_ready() -> None:
    """Nobody answers at the provider's address: a coded failure, no traceback, and /readyz fails once it is certain."""
    async with bench(upstream=Upstream(retry_attempts=0, requests_per_minute=60000)) as gateway:
        await gateway.simulator.__aexit__(None, None, None)
        codes = []
        for _ in range(6):
            stream = await gateway.create(SHORT)
            async with asyncio.timeout(PATIENCE):
                while (info := await gateway.info(stream["id"]))["status"] not in ("failed", "completed"):
                    pass
            codes.append(info["error"]["code"])
            assert info["usage"] == {"audio_seconds": 0.0, "settled": True}
        assert set(codes) == {"upstream_unavailable"}
        async with aiohttp.ClientSession() as anybody, anybody.get(f"{gateway.internal}/readyz") as response:
            assert response.status == 503
            assert "circuit" in str(await response.json())
