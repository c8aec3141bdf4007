"""A gateway whose ledger is on a Redis that is killed in the middle of songs, and comes back with nothing in it.

Invariant under test: who hears goes on hearing; new work is refused in time or goes on alone, by configuration; and
when Redis is back, everything is booked there, without a restart. It looks at answers and the ledger's report only.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from gateway.config.schema import Cluster, Limits, Quota
from tests.support.gateway import PATIENCE, Bench, bench
from tests.support.redis import RedisServer, redis_server

LONG = "[[scale seconds=4 speed=4]] a scale that is heard while the ledger is away"
SHORT = "[[scale seconds=2 speed=0]] a scale that is bought meanwhile"
ROOM = Limits(concurrent_streams=3)


@asynccontextmanager
async def gateway(
    need: Callable[[str], str], when_away: Literal["refuse", "alone"]
) -> AsyncIterator[tuple[Bench, RedisServer]]:
    async with (
        redis_server(need("redis-server")) as server,
        bench(
            quota=Quota(store=server.url, lease_seconds=3.0),
            cluster=Cluster(when_redis_is_away=when_away),
            limits=ROOM,
        ) as here,
    ):
        yield here, server


async def whole(here: Bench, stream_id: str) -> int:
    """Octets of the song, to its end."""
    async with here.http.get(f"{here.url}/v1/streams/{stream_id}/audio.mp3") as response:
        assert response.status == 200
        return len(await response.read())


async def booked(here: Bench, *stream_ids: str) -> dict[str, Any]:
    """The report, once these have their bills."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        async with here.http.get(f"{here.url}/v1/usage") as response:
            if response.status == 200:
                usage: dict[str, Any] = await response.json()
                status = {row["stream_id"]: row["status"] for row in usage["generations"]}
                if all(status.get(stream_id) == "completed" for stream_id in stream_ids):
                    return usage
        # It is asked as a customer asks: again.
        await asyncio.sleep(0.05)
    raise AssertionError("the bills are not there")


async def test_new_work_goes_on_alone(need: Callable[[str], str]) -> None:
    """One song runs on, another is bought and heard while Redis is away; both are billed there afterwards, once."""
    async with gateway(need, "alone") as (here, server):
        long = (await here.create(LONG))["id"]
        hearing = asyncio.ensure_future(whole(here, long))
        await server.kill()
        short = (await here.create(SHORT))["id"]
        assert await whole(here, short) > 30_000
        assert await hearing > 60_000
        await server.start()
        usage = await booked(here, long, short)
        rows = {row["stream_id"]: row for row in usage["generations"]}
        assert rows.keys() == {long, short}
        assert rows[short]["audio_seconds"] == pytest.approx(2.0, abs=0.1)
        assert rows[long]["audio_seconds"] == pytest.approx(4.0, abs=0.1)
        assert usage["totals"]["settled"] == pytest.approx(sum(row["audio_seconds"] for row in rows.values()))
        again = (await here.create(SHORT.replace("bought", "bought again")))["id"]
        await booked(here, again)


async def test_new_work_is_refused(need: Callable[[str], str]) -> None:
    """With 503 and a time to come again; who hears hears to the end, and is billed when Redis is there and has it."""
    async with gateway(need, "refuse") as (here, server):
        long = (await here.create(LONG))["id"]
        hearing = asyncio.ensure_future(whole(here, long))
        server.stop_answering()
        began = time.monotonic()
        async with here.http.post(f"{here.url}/v1/streams", json={"input": {"prompt": SHORT}}) as response:
            assert response.status == 503
            assert (await response.json())["error"]["code"] == "ledger_unavailable"
            assert int(response.headers["Retry-After"]) >= 1
        assert time.monotonic() - began < PATIENCE / 2
        assert await hearing > 60_000
        server.answer_again()
        short = (await here.create(SHORT))["id"]
        usage = await booked(here, long, short)
        # What was refused may have been heard by Redis when it came to: it is given back, and costs nothing.
        rows = {row["stream_id"]: row for row in usage["generations"]}
        assert {stream_id for stream_id, row in rows.items() if row["audio_seconds"] > 0} == {long, short}
        assert {row["status"] for row in rows.values()} <= {"completed", "cancelled", "queued"}
