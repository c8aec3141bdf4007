"""A gateway that is killed again and again, and what its books say after each death.

Invariant: what was told as settled is remembered here, so that the file is never its own witness; every wait ends.
It must not know how the ledger keeps its books.
"""

import asyncio
import random
import secrets
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from gateway.bench.report import Row
from gateway.bench.runner import Tell
from gateway.bench.stage import Server, provider, server, settings
from gateway.config.secret import key_hash

LEASE_SECONDS = 1.0
# What an answer may take, at worst, in which a slot is found free.
_LATE_SECONDS = 0.5
_SLOTS = 3
_LONGEST_LIFE = 1.5
_LOOK_SECONDS = 0.02
_TIMEOUT = aiohttp.ClientTimeout(30)
_SHORT = "[[scale seconds=1 speed=0 wait=0]] a scale that is whole"
_LONG = "[[scale seconds=60 speed=3 wait=0]] a scale that is broken off"


@dataclass(slots=True)
class Lives:
    """What came of all of them. `late` has the seconds for which slots were held beyond their leases."""

    deaths: int = 0
    settled: dict[str, dict[str, Any]] = field(default_factory=dict)
    lost: int = 0
    changed: int = 0
    twice: int = 0
    late: list[float] = field(default_factory=list)
    broken: int = 0
    died_at: float | None = None


async def die(deaths: int, processor: int, others: Collection[int], chance: random.Random, tell: Tell) -> Lives:
    """So many lives on one file. Raises BenchError."""
    lives, key = Lives(), secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory(prefix="wavegate-bench-") as folder:
        async with provider(others) as url:
            given = settings(url, key)
            free = {"streams_per_minute": 0, "audio_seconds_per_day": 0, "audio_seconds_per_month": 0}
            limits = {"concurrent_streams": _SLOTS, **free}
            tenant = {"id": "bench", "keys": [key_hash(key)], "limits": limits}
            store = {"store": f"sqlite:///{Path(folder) / 'usage.db'}", "lease_seconds": LEASE_SECONDS}
            more = {"quota": store, "tenants": [tenant], "log": {"level": "error"}, "server": given["server"]}
            for number in range(deaths + 1):
                tell(f"life {number + 1}, {lives.lost} bills lost so far")
                async with server(url, processor, more, key) as gateway:
                    await _live(lives, gateway, chance, last=number == deaths)
    return lives


async def _live(lives: Lives, gateway: Server, chance: random.Random, *, last: bool) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {gateway.key}"}, timeout=_TIMEOUT) as http:
        await _compare(lives, gateway, http, chance)
        if lives.died_at is not None:
            free = max(time.monotonic(), lives.died_at + LEASE_SECONDS)
            status = 429
            while status == 429:
                status, _ = await _order(http, gateway, _SHORT, f"first-{lives.deaths}")
                await asyncio.sleep(_LOOK_SECONDS)
            lives.late.append(max(0.0, time.monotonic() - free))
        if last:
            return
        songs = [
            asyncio.create_task(_songs(lives, http, gateway, f"{lives.deaths}-{n}", chance)) for n in range(_SLOTS)
        ]
        await asyncio.sleep(chance.uniform(0.0, _LONGEST_LIFE))
        gateway.kill()
        lives.died_at = time.monotonic()
        lives.deaths += 1
        for song in songs:
            song.cancel()
        await asyncio.wait(songs)


async def _compare(lives: Lives, gateway: Server, http: aiohttp.ClientSession, chance: random.Random) -> None:
    """Everything that was ever told as settled is there as it was, and an order of it buys nothing."""
    rows = {row["stream_id"]: row for row in await gateway.usage()}
    for stream_id, row in lives.settled.items():
        there = rows.get(stream_id)
        lives.lost += there is None
        lives.changed += there is not None and (there["settled"], there["status"]) != (row["settled"], row["status"])
    lives.broken = sum(row["status"] == "expired" for row in rows.values())
    for stream_id in chance.sample(sorted(lives.settled), min(3, len(lives.settled))):
        status, again = await _order(http, gateway, _SHORT, lives.settled[stream_id]["key"])
        lives.twice += (status, again.get("id")) != (200, stream_id)


async def _songs(lives: Lives, http: aiohttp.ClientSession, gateway: Server, name: str, chance: random.Random) -> None:
    """Songs one after the other, some of them too long to end, until the gateway is gone."""
    number = 0
    with suppress(aiohttp.ClientError, ConnectionError):
        while True:
            number += 1
            key, prompt = f"song-{name}-{number}", chance.choice((_SHORT, _SHORT, _LONG))
            status, stream = await _order(http, gateway, prompt, key)
            if status == 429:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            async with http.get(stream["urls"]["audio"]) as answer:
                await answer.read()
            async with http.get(f"{gateway.public}/v1/streams/{stream['id']}") as answer:
                info = await answer.json()
            if info["usage"]["settled"]:
                lives.settled[stream["id"]] = {
                    "settled": info["usage"]["audio_seconds"],
                    "status": info["status"],
                    "key": key,
                }


async def _order(http: aiohttp.ClientSession, gateway: Server, prompt: str, key: str) -> tuple[int, dict[str, Any]]:
    headers = {"Idempotency-Key": key}
    async with http.post(f"{gateway.public}/v1/streams", json={"input": {"prompt": prompt}}, headers=headers) as answer:
        found: dict[str, Any] = await answer.json()
        return answer.status, found


def dead_rows(lives: Lives) -> list[Row]:
    """What was lost, and how long slots were held."""
    worst = max(lives.late, default=0.0)
    return [
        Row("deaths", lives.deaths, "", None, f"{lives.broken} songs were broken off by them", digits=0),
        Row("bills lost", lives.lost, "", 0.0, f"of {len(lives.settled)} that were told, after every death", digits=0),
        Row("bills changed", lives.changed, "", 0.0, "the same", digits=0),
        Row("bought twice", lives.twice, "", 0.0, "orders made again under their keys", digits=0),
        Row(
            "slots held beyond a lease",
            worst,
            "s",
            _LATE_SECONDS,
            "at worst, an answer included",
        ),
    ]
