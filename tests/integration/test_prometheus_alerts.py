"""Each alert fires for its cause, and is silent when that is over: real gateways, real trouble, a real Prometheus.

The scenes of an act play at once, each on its own gateways, until every alert has fired; then all end, and must clear.
Invariant under test: what fires is what the cause is for, with sentences that are whole.
Shortened are windows of time, how often is looked, and `for` (see `faster`); thresholds stay. It looks at alerts only.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.upstream.simulator.server import Simulator
from tests.house.programs import Program
from tests.support.prometheus import alerts, prometheus
from tests.support.scenes import Stage
from tests.support.trouble import (
    dear,
    far_behind,
    jumps,
    many_formats,
    no_room,
    nothing_is_taken,
    provider_away,
    redis_away,
    slow_start,
    songs_fail,
    songs_stop,
    throttled,
    waiting,
)
from tests.support.trouble_gateways import (
    bad_configuration,
    encoders_die,
    many_files,
    much_memory,
    no_processor,
    nobody,
    old_certificate,
    stuck,
    workers_die,
)

Need = Callable[[str], str]
Start = Callable[..., Awaitable[Program]]
Scene = Callable[[Stage], AbstractAsyncContextManager[None]]

INTERVAL = "1s"
WINDOWS = {"2m": "4s", "5m": "4s", "10m": "6s", "15m": "8s", "30m": "6s", "1h": "8s", "6h": "10s", "1d": "2m"}
FIRES, CLEARS = 90.0, 60.0  # s

# Each alert, and what makes it fire. There is none whose cause cannot be made.
CAUSES: dict[str, Scene] = {
    "WavegateNoSound": songs_fail,
    "WavegateSongsFail": songs_fail,
    "WavegateListenersLost": nothing_is_taken,
    "WavegateTurnedAway": no_room,
    "WavegateFirstAudioSlow": slow_start,
    "WavegateRelaySlow": no_processor,
    "WavegateGaps": jumps,
    "WavegateListenersBehind": far_behind,
    "WavegateSongsStall": songs_stop,
    "WavegateSongsSilent": songs_stop,
    "WavegateAllDown": nobody,
    "WavegateNodeDown": stuck,
    "WavegateUnready": provider_away,
    "WavegateEventLoopLate": no_processor,
    "WavegateMemoryNearMark": much_memory,
    "WavegateFilesNearLimit": many_files,
    "WavegateWorkersDie": workers_die,
    "WavegateCertificateExpires": old_certificate,
    "WavegateReloadRefused": bad_configuration,
    "WavegateErrorsLogged": redis_away,
    "WavegateProviderFails": songs_fail,
    "WavegateCircuitOpen": provider_away,
    "WavegateQueueLong": waiting,
    "WavegateConcurrencyLowered": throttled,
    "WavegateLedgerFails": redis_away,
    "WavegateRedisAway": redis_away,
    "WavegateEncodersFull": many_formats,
    "WavegateEncodersDie": encoders_die,
    "WavegateCostHigh": dear,
}
# What is watched as `wavegate` by its name, and not as its scene.
PLAIN = {nobody, stuck, much_memory, many_files}
# All of one act play at once; in one event loop there is no room for more.
ACTS: dict[str, tuple[Scene, ...]] = {
    "listeners": (nothing_is_taken, far_behind, jumps, no_room),
    "songs": (songs_fail, slow_start, songs_stop, provider_away, waiting, dear),
    "stores": (nobody, throttled, redis_away, many_formats, encoders_die),
    "files": (stuck, old_certificate, bad_configuration, much_memory),
    "processes": (workers_die, many_files),
    "processor": (no_processor,),
}


def job(scene: Scene) -> str:
    return "wavegate" if scene in PLAIN else scene.__name__


async def play(scene: Scene, stage: Stage, over: asyncio.Event) -> None:
    async with scene(stage):
        await over.wait()


@asynccontextmanager
async def stage(need: Need, process: Start, folder: Path) -> AsyncIterator[Stage]:
    """With nothing on it yet."""
    (folder / "prometheus").mkdir()
    async with (
        AsyncExitStack() as stack,
        aiohttp.ClientSession() as http,
        prometheus(need("prometheus"), folder / "prometheus", WINDOWS, interval=INTERVAL) as seen,
        Simulator(speed=0) as simulator,
        stack,
    ):
        yield Stage(need, process, folder, seen, stack, simulator, http)


async def until(condition: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Until it is so, or the time is over: then it is told what was not."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - it is asked, and has no event
                await asyncio.sleep(0.5)


def test_every_alert_has_its_cause_and_every_cause_is_played() -> None:
    assert CAUSES.keys() == alerts().keys()
    assert sorted(scene.__name__ for act in ACTS.values() for scene in act) == sorted(
        {scene.__name__ for scene in CAUSES.values()}
    )


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize("act", ACTS)
async def test_each_alert_fires_and_clears(need: Need, process: Start, tmp_path: Path, act: str) -> None:
    wanted = {name: cause for name, cause in CAUSES.items() if cause in ACTS[act]}
    fired: dict[str, dict[str, Any]] = {}
    async with stage(need, process, tmp_path) as there:

        async def firing() -> set[str]:
            found = {}
            for alert in await there.seen.firing():
                name = alert["labels"]["alertname"]
                if name in wanted and alert["labels"].get("job") == job(wanted[name]):
                    found[name] = alert
            fired.update(found)
            return set(found)

        async def all_have_fired() -> bool:
            await firing()
            return fired.keys() == wanted.keys()

        async def all_is_well() -> bool:
            return not await firing()

        over = asyncio.Event()
        begin = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for scene in ACTS[act]:
                tasks.create_task(play(scene, there, over), name=scene.__name__)
            await until(all_have_fired, FIRES)
            over.set()
        print(f"{act}: {time.monotonic() - begin:.0f} s, not fired: {wanted.keys() - fired.keys()}")
        await until(all_is_well, CLEARS)
        left = await firing()
        print(f"{act}: {time.monotonic() - begin:.0f} s, not clear: {left}")
    assert (wanted.keys() - fired.keys(), left) == (set(), set()), "did not fire, did not clear"
    for alert in fired.values():
        assert all(alert["annotations"].values()), alert
        assert "error expanding" not in str(alert), alert
        assert "<no value>" not in str(alert), alert
