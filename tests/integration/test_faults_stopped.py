"""Processes that are stopped and go on: the gateway itself, a codec worker; and a gateway that is stopped for too long.

Invariant under test: what came while somebody stood still is taken up where it was, without a lost octet; nobody is
called silent by one who was not looking; a worker that hangs is replaced in the middle of a song.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty import Faulty, Start, faulty
from tests.support.gateway import PATIENCE, hear, say, talk
from tests.support.union import answered, peers, soon, union

# The processes choose their own loops.
pytestmark = [pytest.mark.asyncio(loop_factories=["asyncio"]), pytest.mark.nightly, pytest.mark.timeout(150)]

LONG = "[[scale seconds=24 speed=3]] a scale in which somebody stands still"
SHORT = "[[scale seconds=2 speed=0]] a scale of two seconds"


@asynccontextmanager
async def stopped(pid: int, seconds: float) -> AsyncIterator[None]:
    """As a debugger would, or a machine that is moved."""
    os.kill(pid, signal.SIGSTOP)
    try:
        # The passing of time itself is what is tried here.
        await asyncio.sleep(seconds)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def heard(there: Faulty, *forms: str) -> tuple[str, list["asyncio.Task[float]"]]:
    """A song that is heard in these formats, by listeners who have all begun."""
    song = await there.order(LONG)
    begun = [asyncio.Event() for _ in forms]
    hearing = [
        asyncio.create_task(there.whole(song, form, event, 90.0)) for form, event in zip(forms, begun, strict=True)
    ]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*[event.wait() for event in begun])
    return song, hearing


@pytest.mark.parametrize("patience", ["as shipped", "shorter than the stop"])
async def test_a_gateway_that_stands_still(process: Start, tmp_path: Path, patience: str) -> None:
    """Who hears misses nothing, in any format; the bill is whole, and the slot is free, whatever its lease."""
    short = patience != "as shipped"
    settings: dict[str, Any] = {
        "server": {"ping_interval": 0.5, "ping_timeout": 1.5},
        "upstream": {"idle_timeout": 2.0},
        "relay": {"stall_timeout": 2.0},
        "quota": {"lease_seconds": 1.5},
    }
    async with faulty(process, tmp_path, transcode={"workers": 1}, **(settings if short else {})) as there:
        await there.start()
        song, hearing = await heard(there, "", "ogg", "aac")
        async with stopped(there.program.pid, 5.0):
            pass
        pauses = await asyncio.gather(*hearing)
        assert min(pauses) >= 4.0, "it did stand still"
        assert (await there.billed(song))["settled"] == 24.0
        second = await there.order(SHORT)
        assert (await there.billed(second))["settled"] == 2.0
        assert await there.ready() == []


async def test_a_node_that_stands_still_for_longer_than_its_lease(
    process: Start, need: Callable[[str], str], tmp_path: Path
) -> None:
    """Others take it for lost, and say so; when it goes on it is one of them again, and its listeners miss nothing."""
    async with union(need("redis-server"), 1) as nodes:
        (other,) = nodes.nodes
        cluster, quota = {"redis_url": nodes.redis.url}, {"store": nodes.redis.url, "lease_seconds": 2.0}
        async with faulty(process, tmp_path, cluster=cluster, quota=quota) as owner:
            await owner.start()
            await soon(lambda: len(peers(other)) == 1)
            song, hearing = await heard(owner, "", "")
            async with talk(other) as line:
                await say(line, type="stream.attach", stream_id=song)
                await hear(line, until=("stream.started",))
                async with stopped(owner.program.pid, 0.0):
                    last = (await hear(line)).messages[-1]
                    assert (last["type"], last["error"]["code"]) == ("stream.failed", "owner_lost")
                    assert peers(other) == []
            await asyncio.gather(*hearing)
            assert (await owner.billed(song))["settled"] == 24.0
            await soon(lambda: len(peers(other)) == 1)
            assert await owner.ready() == []


async def test_a_codec_worker_that_stands_still(process: Start, tmp_path: Path) -> None:
    """It is killed after half a minute, and another one goes on in the middle of the song: nothing is missing."""
    async with faulty(process, tmp_path, transcode={"workers": 1}) as there:
        await there.start()
        (worker,) = there.children("transcode.worker")
        began = time.monotonic()
        song, hearing = await heard(there, "", "ogg")
        os.kill(worker, signal.SIGSTOP)
        native, converted = hearing
        assert await native < 5.0, "who hears the song's own format does not notice"
        assert not converted.done()
        await there.program.says("codec.worker_hung", 60.0)
        assert await converted > 10.0
        assert time.monotonic() - began < 60.0
        assert (await there.billed(song))["settled"] == 24.0
        assert await there.metric("wavegate_codec_worker_restarts_total{") >= 1
        (other,) = await answered(
            lambda: asyncio.to_thread(there.children, "transcode.worker"), lambda got: len(got) == 1
        )
        assert other != worker
