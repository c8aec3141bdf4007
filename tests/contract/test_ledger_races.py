"""The ledger when everybody asks at once: tasks, threads with loops, processes and nodes; and when it is killed.

Invariant under test: room for ten is given to exactly ten, however many ask and from wherever; what a ledger has said
is settled is there after kill -9, and no slot outlives its lease. Every wait is bounded, and nothing waits for time.
It must not know a store.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.accounting import Grant, State
from gateway.config.schema import Limits
from gateway.errors import LimitError
from gateway.model import StreamId
from gateway.quota.ledger import Ledger
from gateway.quota.sqlite import SqliteLedger
from tests.support.ledger import (
    ACME,
    FORMS,
    PRICES,
    RULES,
    Nursery,
    Time,
    completed,
    new_ledger,
    once,
    order,
    place_for,
    stream,
)
from tests.support.redis import standing_redis

Start = Callable[..., Any]
ROOM = 10
PATIENCE = 30.0  # seconds
ONE_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])
LIMITED = {
    "slots": Limits(concurrent_streams=ROOM, streams_per_minute=0),
    "starts": Limits(concurrent_streams=0, streams_per_minute=ROOM),
    "seconds": Limits(
        concurrent_streams=0, streams_per_minute=0, audio_seconds_per_day=0, audio_seconds_per_month=200 * ROOM
    ),
}


@pytest.fixture(scope="module")
def redis_url(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as url:
        yield url


async def granted(ledger: Ledger, numbers: range) -> int:
    """How many of these get what they ask for when all ask at once."""
    answers = await asyncio.gather(*(ledger.reserve(order(number)) for number in numbers), return_exceptions=True)
    refusals = [one for one in answers if isinstance(one, LimitError)]
    assert len(refusals) + sum(isinstance(one, Grant) for one in answers) == len(numbers)
    return len(numbers) - len(refusals)


@ONE_LOOP
@pytest.mark.parametrize("limit", LIMITED)
@pytest.mark.parametrize(
    ("form", "times"),
    [("memory", 50), pytest.param("memory", 334, marks=pytest.mark.nightly), ("sqlite", 6), ("redis", 2)],
)
async def test_two_hundred_ask_for_ten(form: str, times: int, limit: str, request: pytest.FixtureRequest) -> None:
    """Exactly ten get it, every time, whichever limit it is: in a night a thousand times in all."""
    clock = Time()
    ledger = new_ledger(form, await place_for(request, form), LIMITED[limit], now=clock)
    await ledger.open()
    for turn in range(times):
        numbers = range(turn * 200, turn * 200 + 200)
        assert await granted(ledger, numbers) == ROOM
        # The next month: every lease, start and second of this one is over.
        clock.at += 32 * 86400
    await ledger.close()


@ONE_LOOP
@pytest.mark.parametrize("form", FORMS)
async def test_a_bill_makes_room_for_exactly_one(form: str, request: pytest.FixtureRequest) -> None:
    """While bills and reservations cross, there are never more than the limit, and in the end exactly as many."""
    ledger = new_ledger(form, await place_for(request, form), LIMITED["slots"])
    await ledger.open()
    assert await granted(ledger, range(200)) == ROOM
    rows = (await ledger.usage(ACME.tenant, 0.0, 1e10)).page.generations
    settling = [ledger.settle(row.stream_id, completed(1.0)) for row in rows for _ in range(2)]
    more = [ledger.reserve(order(number)) for number in range(200, 400)]
    mixed = [one for pair in zip(settling, more, strict=False) for one in pair] + more[len(settling) :]
    answers = await asyncio.gather(*mixed, return_exceptions=True)
    assert sum(isinstance(one, Grant) for one in answers) == ROOM
    assert (await ledger.remaining(ACME.tenant)).concurrent_streams.used == ROOM
    await ledger.close()


@ONE_LOOP
@pytest.mark.parametrize("form", FORMS)
async def test_one_key_makes_one_stream(form: str, request: pytest.FixtureRequest) -> None:
    """Of a hundred that bring the same key at once, one starts a stream, and all are told which."""
    ledger = new_ledger(form, await place_for(request, form))
    await ledger.open()
    asked = [ledger.reserve(order(number, once=once("k"))) for number in range(100)]
    answers = await asyncio.gather(*asked)
    assert len({one.stream_id for one in answers}) == 1
    assert sum(not one.repeated for one in answers) == 1
    assert (await ledger.usage(ACME.tenant, 0.0, 1e10)).totals.reserved == 200.0
    await ledger.close()


@ONE_LOOP
@pytest.mark.parametrize("form", ["sqlite", "redis"])
async def test_a_key_is_known_after_a_restart(form: str, request: pytest.FixtureRequest) -> None:
    """As are the rows, the sums, and what runs."""
    place = await place_for(request, form)
    for number in (1, 2):
        ledger = new_ledger(form, place, LIMITED["slots"])
        await ledger.open()
        assert await ledger.reserve(order(number, once=once("k"))) == Grant(stream(1), 200.0, repeated=number == 2)
        assert (await ledger.remaining(ACME.tenant)).concurrent_streams.used == 1
        await ledger.close()


@ONE_LOOP
async def test_threads_with_ledgers_of_their_own(tmp_path: Path) -> None:
    """Four loops in four threads, one file: ten of two hundred. A ledger that loops share is no different."""

    def patient(now: Time) -> SqliteLedger:
        """Who comes last waits for all others, which on a busy machine may take longer than an order should."""
        return SqliteLedger(
            str(tmp_path / "usage.db"),
            lambda _: LIMITED["slots"],
            RULES,
            PRICES,
            now=now,
            busy_seconds=PATIENCE,
            patience_seconds=PATIENCE,
        )

    def ask(first: int, shared: SqliteLedger | None) -> int:
        async def main() -> int:
            if shared is not None:
                return await granted(shared, range(first, first + 50))
            ledger = patient(Time())
            await ledger.open()
            try:
                return await granted(ledger, range(first, first + 50))
            finally:
                await ledger.close()

        return asyncio.run(main())

    clock = Time()
    assert sum(await asyncio.gather(*(asyncio.to_thread(ask, n * 50, None) for n in range(4)))) == ROOM
    clock.at += 60
    ledger = patient(clock)
    await ledger.open()
    assert sum(await asyncio.gather(*(asyncio.to_thread(ask, n * 50, ledger) for n in range(10, 14)))) == ROOM
    await ledger.close()


@pytest.fixture
async def nurseries() -> AsyncIterator[Callable[[int], Awaitable[list[Nursery]]]]:
    """`await nurseries(3)` are three of them, which end with the test."""
    started: list[Nursery] = []

    async def start(count: int) -> list[Nursery]:
        started.extend([await Nursery.start() for _ in range(count)])
        return started

    yield start
    for nursery in started:
        await nursery.stop()


@ONE_LOOP
@pytest.mark.parametrize("form", ["sqlite", "redis"])
async def test_processes(form: str, request: pytest.FixtureRequest, nurseries: Start) -> None:
    """Three processes try for ten slots of one new ledger, seventy times each: ten of them in all."""
    place = await place_for(request, form)
    programs = await nurseries(3)
    for number, nursery in enumerate(programs):
        await nursery.bear(f"grab {place} p{number} 70 {ROOM}")
    got = [await nursery.last_words() for nursery in programs]
    assert [line.split()[0] for [line] in got] == ["granted"] * 3
    assert sum(int(line.split()[1]) for [line] in got) == ROOM


@ONE_LOOP
@pytest.mark.parametrize(
    ("form", "times"), [("sqlite", 12), pytest.param("sqlite", 50, marks=pytest.mark.nightly), ("redis", 4)]
)
async def test_killed_many_times(form: str, times: int, request: pytest.FixtureRequest, nurseries: Start) -> None:
    """At random points, in the middle of whatever eight streams of it were doing."""
    chance = random.Random(7)
    place, ahead = await place_for(request, form), [0.0]
    ledger = new_ledger(form, place, now=lambda: time.time() + ahead[0])
    await ledger.open()
    [nursery] = await nurseries(1)
    said: list[str] = []
    for number in range(times):
        child = await nursery.bear(f"spend {place} k{number}")
        said += [await nursery.hear() for _ in range(chance.randrange(1, 40))]
        os.kill(child, signal.SIGKILL)
        said += await nursery.last_words()
        # Its leases are over a minute from now, which only this clock waits for.
        ahead[0] = RULES.lease_seconds + 1
        await ledger.sweep()
        assert (await ledger.remaining(ACME.tenant)).concurrent_streams.used == 0
        ahead[0] = 0.0
    settled = {StreamId(line.split()[1]): int(line.split()[2]) for line in said}
    assert len(settled) == len(said) >= times
    usage = await ledger.usage(ACME.tenant, 0.0, 1e10, limit=1_000_000)
    rows = {row.stream_id: row for row in usage.page.generations}
    for stream_id, milliseconds in settled.items():
        assert (rows[stream_id].status, rows[stream_id].settled) == (State.COMPLETED, milliseconds / 1000)
    # Whoever was in the middle is charged what it had received by its last renewal.
    cut = [row for row in rows.values() if row.status is State.EXPIRED]
    assert cut
    assert {(row.settled, row.refunded + row.settled == row.reserved) for row in cut} <= {(0.0, True), (1.0, True)}
    left = await ledger.remaining(ACME.tenant)
    assert left.audio_seconds_per_month.used == pytest.approx(sum(row.settled for row in rows.values()), abs=1e-6)
    await ledger.close()
