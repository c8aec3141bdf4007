"""Guests of the soak at a real gateway.

Invariant under test: whatever they order and however they hear it, a visit ends, and nothing is wrong with it.
It must not judge the books.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import pytest

from gateway.bench.soak import guest as module
from gateway.bench.soak import hearing
from gateway.bench.soak.count import Count
from gateway.bench.soak.guest import SoakGuest
from gateway.bench.soak.songs import Song, Songs
from gateway.bench.visits import Guest
from gateway.config.schema import Limits
from tests.support.gateway import KEY, bench

pytestmark = pytest.mark.blocking("a first encode warms up its codec")
DOINGS = {"ordered again", "ticket", "broke off"}


class Short(Songs):
    """Songs that are over at once."""

    def sound(self, seconds: int, speed: int, more: str = "") -> Song:
        return super().sound(1, 0)


@asynccontextmanager
async def guest(url: str, count: Count, seed: int = 1) -> AsyncIterator[SoakGuest]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession() as bare, aiohttp.ClientSession(headers=headers) as keyed:
        yield SoakGuest(url, KEY, bare, Guest(url, KEY, keyed, Random(seed)), Random(seed), count, f"guest-{seed}")


@pytest.mark.nightly
async def test_visits_end_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several guests at once, until everything has been done."""
    monkeypatch.setattr(module, "Songs", Short)
    monkeypatch.setattr(hearing, "EXTENSIONS", ("mp3", "pcm"))
    count = Count()
    plenty = Limits(concurrent_streams=0, streams_per_minute=0, audio_seconds_per_day=0, audio_seconds_per_month=0)
    async with bench(limits=plenty) as here, asyncio.timeout(50):

        async def visits(seed: int) -> None:
            async with guest(here.url, count, seed) as one:
                while not set(count.done) >= DOINGS:  # what they do is chance, and time has a say in it
                    await one.visit()

        await asyncio.gather(*[visits(seed) for seed in range(6)])
    assert (count.faults, count.words) == ({}, [])


async def test_a_gateway_that_is_gone_is_no_end_of_the_soak() -> None:
    """Whoever gets no answer is counted."""
    count = Count()
    async with guest("http://127.0.0.1:9", count) as one, asyncio.timeout(20):
        for _ in range(4):
            await one.visit()
    assert any(what.startswith("unanswered") for what in count.done)


class Elsewhere(SoakGuest):
    """Is answered as the test says."""

    answers: list[dict[str, Any] | None]

    async def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any] | None:
        return self.answers.pop(0)


async def test_what_is_bought_twice_is_found() -> None:
    """The second order under a key has another id; a refusal is none."""
    count = Count()
    async with aiohttp.ClientSession() as http:
        one = Elsewhere("http://x", KEY, http, Guest("http://x", KEY, http, Random(1)), Random(1), count, "guest")
        one.answers = [{"id": "st_2"}, {"id": "st_1"}, None]
        for _ in range(3):
            await one._repeat({}, {}, "st_1")
        assert count.faults == {"twice": 1}
        one.answers = [None, None]
        await one.every_way()
        one.answers = [None] * 9
        await one._order()


async def test_a_visit_that_does_not_end_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """After all the patience there is."""
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(module, "_BREAKING", 0.0)

    class Slow(Elsewhere):
        async def _order(self) -> None:
            await asyncio.Event().wait()

    count = Count()
    async with aiohttp.ClientSession() as http:
        await Slow("", KEY, http, Guest("", KEY, http, Random(1)), Random(1), count, "guest").visit()
    assert count.faults == {"late": 1}
