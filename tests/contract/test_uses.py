"""What tickets may expect of those who count their uses, in memory, in a file and in Redis alike.

Invariant under test: of any number of calls at once exactly as many are granted as the ticket allows, across processes
and a killed one where they share a store, and what is forgotten is refused.
It must not know how a ticket looks.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.quota.uses import KEEP_SECONDS, MemoryUses, Uses
from gateway.quota.uses_redis import RedisUses
from gateway.quota.uses_sqlite import SqliteUses
from gateway.redis.connection import Redis
from tests.house.programs import Program
from tests.support.redis import standing_redis
from tests.support.relay import Clock

ROOT = Path(__file__).parents[2]
ONE, OTHER = b"\1" * 16, b"\2" * 16
END = 2000.0
Open = Callable[[], AbstractAsyncContextManager[Uses]]
Process = Callable[..., Awaitable[Program]]


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture(scope="module")
def url(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as address:
        yield address


@asynccontextmanager
async def in_redis(url: str, now: Callable[[], float] | None = None, *, empty: bool = True) -> AsyncIterator[RedisUses]:
    """Of a node with a connection of its own."""
    async with Redis(url, timeout=10.0) as redis:
        if empty:
            await redis.call("FLUSHALL")
        async with RedisUses(redis, now=now) as store:
            yield store


@pytest.fixture(params=["memory", "sqlite", "redis"])
def open_uses(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Open:
    """A way to open the store; the one in a file can be opened again."""

    @asynccontextmanager
    async def memory() -> AsyncIterator[Uses]:
        yield MemoryUses(now=clock)

    if request.param == "memory":
        return memory
    if request.param == "sqlite":
        return lambda: SqliteUses(tmp_path / "uses.db", now=clock)
    url: str = request.getfixturevalue("url")
    return lambda: in_redis(url, clock)


@pytest.fixture
async def uses(open_uses: Open) -> AsyncIterator[Uses]:
    async with open_uses() as store:
        yield store


# -- uses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
async def test_of_many_at_once_as_many_as_there_are_uses(uses: Uses, limit: int) -> None:
    """200 who come with one ticket: as many get in, the others do not, and nobody after them."""
    answers = await asyncio.gather(*(uses.spend(ONE, limit, END) for _ in range(200)))
    assert answers.count(True) == min(limit, 200)
    assert await uses.spend(ONE, limit, END) is (limit > 200)


async def test_each_ticket_has_uses_of_its_own(uses: Uses) -> None:
    """One that is used up takes nothing from another."""
    assert await uses.spend(ONE, 1, END)
    assert await uses.spend(OTHER, 1, END)
    assert not await uses.spend(ONE, 1, END)


async def test_a_used_ticket_is_remembered_for_longer_than_it_is_good(uses: Uses, clock: Clock) -> None:
    """And when it may be forgotten it is refused, so that it never becomes new."""
    assert await uses.spend(ONE, 1, END)
    for at in (END, END + KEEP_SECONDS - 0.1, END + KEEP_SECONDS, END + 10 * KEEP_SECONDS):
        clock.at = at
        # Another one in between gives the store a reason to forget.
        assert await uses.spend(secrets.token_bytes(16), 1, at + 60.0)
        assert not await uses.spend(ONE, 1, END)


async def test_a_ticket_that_may_be_forgotten_gets_nothing(uses: Uses, clock: Clock) -> None:
    """Up to then it does: whether it is still good is not the store's question."""
    clock.at = END + KEEP_SECONDS - 0.1
    assert await uses.spend(ONE, 1, END)
    assert await uses.take(OTHER, 1.0, 10.0, END)
    clock.at = END + KEEP_SECONDS
    assert not await uses.spend(secrets.token_bytes(16), 1, END)
    assert not await uses.take(secrets.token_bytes(16), 1.0, 10.0, END)
    await uses.settle(OTHER, 1.0, 0.0)


# -- seconds ---------------------------------------------------------------------------------------------------------


async def test_of_many_orders_at_once_as_many_as_there_are_seconds_for(uses: Uses) -> None:
    """100 orders of 3.3 seconds and 100 seconds to buy: 30 of them."""
    answers = await asyncio.gather(*(uses.take(ONE, 3.3, 100.0, END) for _ in range(100)))
    assert answers.count(True) == 30
    assert await uses.take(ONE, 1.0, 100.0, END)
    assert not await uses.take(ONE, 0.001, 100.0, END)


async def test_too_much_at_once_takes_nothing(uses: Uses) -> None:
    """The first order may be too large, and the whole of it may be taken."""
    assert not await uses.take(ONE, 60.001, 60.0, END)
    assert await uses.take(ONE, 60.0, 60.0, END)


async def test_what_was_not_used_can_be_bought_again(uses: Uses) -> None:
    """A shorter song leaves the rest; a longer one counts whole, past the ceiling if need be."""
    assert await uses.take(ONE, 60.0, 60.0, END)
    await uses.settle(ONE, 60.0, 12.345)
    assert not await uses.take(ONE, 47.656, 60.0, END)
    assert await uses.take(ONE, 47.655, 60.0, END)
    await uses.settle(ONE, 47.655, 70.0)
    assert not await uses.take(ONE, 0.001, 60.0, END)


async def test_uses_and_seconds_are_counted_apart(uses: Uses) -> None:
    """Whichever comes first."""
    assert await uses.take(ONE, 10.0, 10.0, END)
    assert await uses.spend(ONE, 1, END)
    assert await uses.spend(OTHER, 1, END)
    assert await uses.take(OTHER, 10.0, 10.0, END)
    assert not await uses.spend(OTHER, 1, END)
    assert not await uses.take(OTHER, 10.0, 10.0, END)


async def test_settling_what_was_never_taken_is_no_matter(uses: Uses) -> None:
    """Of a ticket that is not known nothing is kept."""
    await uses.settle(ONE, 5.0, 0.0)
    assert await uses.take(ONE, 10.0, 10.0, END)
    assert not await uses.take(ONE, 0.001, 10.0, END)


CALLS = st.lists(
    st.tuples(st.sampled_from(["spend", "take", "settle", "wait"]), st.integers(0, 2), st.integers(1, 9)), max_size=40
)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
@given(calls=CALLS)
@settings(max_examples=60)
def test_any_order_of_calls(
    tmp_path_factory: pytest.TempPathFactory, url: str, kind: str, calls: list[tuple[str, int, int]]
) -> None:
    """Against a plain count of what was granted: 3 uses and 20 seconds for each of three tickets."""
    clock = Clock(1000.0)
    ends = [1000.0, 1040.0, 1080.0]
    spent, taken, open_takes = [0, 0, 0], [0, 0, 0], [list[int](), list[int](), list[int]()]

    async def play(uses: Uses) -> None:
        for what, which, number in calls:
            ticket, gone = bytes([which]) * 16, clock.at >= ends[which] + KEEP_SECONDS
            if what == "wait":
                clock.at += 5 * number
            elif what == "spend":
                granted = await uses.spend(ticket, 3, ends[which])
                assert granted is (not gone and spent[which] < 3)
                spent[which] += granted
            elif what == "take":
                granted = await uses.take(ticket, number, 20.0, ends[which])
                assert granted is (not gone and taken[which] + number <= 20)
                taken[which] += granted * number
                open_takes[which] += [number] * granted
            elif open_takes[which]:
                was = open_takes[which].pop()
                await uses.settle(ticket, was, number)
                taken[which] += number - was

    async def run() -> None:
        if kind == "memory":
            await play(MemoryUses(now=clock))
            return
        file = tmp_path_factory.mktemp("uses") / "uses.db"
        async with SqliteUses(file, now=clock) if kind == "sqlite" else in_redis(url, clock) as uses:
            await play(uses)

    asyncio.run(run())


# -- the secret ------------------------------------------------------------------------------------------------------


async def test_the_secret_is_the_first_that_was_given(uses: Uses) -> None:
    """However many ask at once."""
    given_ones = [secrets.token_bytes(32) for _ in range(20)]
    answers = await asyncio.gather(*(uses.secret(fresh) for fresh in given_ones))
    assert len(set(answers)) == 1
    assert answers[0] in given_ones
    assert await uses.secret(secrets.token_bytes(32)) == answers[0]


# -- the file --------------------------------------------------------------------------------------------------------


async def test_a_restart_forgets_nothing(tmp_path: Path, clock: Clock) -> None:
    """Uses, seconds and the secret are there when the file is opened again."""
    secret = secrets.token_bytes(32)
    async with SqliteUses(tmp_path / "uses.db", now=clock) as uses:
        assert await uses.spend(ONE, 1, END)
        assert await uses.take(ONE, 40.0, 60.0, END)
        await uses.secret(secret)
    async with SqliteUses(tmp_path / "uses.db", now=clock) as uses:
        assert not await uses.spend(ONE, 1, END)
        assert not await uses.take(ONE, 20.001, 60.0, END)
        assert await uses.take(ONE, 20.0, 60.0, END)
        assert await uses.secret(secrets.token_bytes(32)) == secret


# Opens the store, says so, waits for the word to begin, and says which of the tickets it got.
RACER = """
import asyncio, json, sys
from pathlib import Path
from gateway.quota.uses_redis import RedisUses
from gateway.quota.uses_sqlite import SqliteUses
from gateway.redis.connection import Redis

def store(place):
    if place.startswith("redis:"):
        return RedisUses(Redis(place, timeout=30.0))
    return SqliteUses(place, answer_seconds=30.0, busy_seconds=20.0)

async def main(place, start, tickets):
    async with store(place) as uses:
        secret = await uses.secret(str(sys.argv).encode())
        print("ready", flush=True)
        while not start.exists():
            await asyncio.sleep(0.001)
        got = []
        for number in range(tickets):
            ticket = number.to_bytes(16, "big")
            answers = await asyncio.gather(*(uses.spend(ticket, 1, 4e9) for _ in range(4)))
            taken = await asyncio.gather(*(uses.take(ticket, 1.0, 3.0, 4e9) for _ in range(2)))
            got.append((answers.count(True), taken.count(True)))
        print("got", json.dumps([got, secret.hex()]), flush=True)

asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
"""


@pytest.mark.asyncio(loop_factories=["asyncio"])
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_processes_on_one_store_share_one_count(tmp_path: Path, process: Process, kind: str, url: str) -> None:
    """Three programs go for the same 100 tickets at once: each ticket is got once, and 3 of its seconds are."""
    tickets, start = 100, tmp_path / "start"
    place = url if kind == "redis" else str(tmp_path / "uses.db")
    async with Redis(url, timeout=10.0) as redis:
        await redis.call("FLUSHALL")
    racers = [await process(sys.executable, "-c", RACER, place, start, str(tickets), cwd=ROOT) for _ in range(3)]
    for racer in racers:
        await racer.says("^ready$")
    start.touch()
    found = [json.loads((await racer.says(r"^got (.*)\n", timeout=50.0))[1]) for racer in racers]
    for number in range(tickets):
        assert sum(got[number][0] for got, _ in found) == 1, "a single use is spent once"
        assert sum(got[number][1] for got, _ in found) == 3, "three seconds are taken three times"
    assert len({secret for _, secret in found}) == 1
    assert [await racer.ends() for racer in racers] == [0, 0, 0]


# Spends, and is killed as soon as it has the answer.
VICTIM = """
import asyncio, os, signal, sys
from gateway.quota.uses_sqlite import SqliteUses

async def main(file):
    async with SqliteUses(file) as uses:
        if await uses.spend(b"\\1" * 16, 1, 4e9):
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_killed_process_has_counted_what_it_granted(tmp_path: Path, process: Process) -> None:
    """SIGKILL right behind the answer: the next process knows of it."""
    victim = await process(sys.executable, "-c", VICTIM, tmp_path / "uses.db", cwd=ROOT)
    assert await victim.ends() == -signal.SIGKILL
    async with SqliteUses(tmp_path / "uses.db") as uses:
        assert not await uses.spend(ONE, 1, 4e9)


async def test_others_may_keep_their_tables_in_the_same_file(tmp_path: Path, clock: Clock) -> None:
    """Two stores on one file are one store, whoever opened it first."""
    async with (
        SqliteUses(tmp_path / "usage.db", now=clock) as first,
        SqliteUses(tmp_path / "usage.db", now=clock) as second,
    ):
        stores = [first, second] * 50
        answers = await asyncio.gather(*(store.spend(ONE, 5, END) for store in stores))
    assert answers.count(True) == 5
    assert os.listdir(tmp_path) == ["usage.db"], "the last one to leave tidies up"


# -- Redis -----------------------------------------------------------------------------------------------------------


async def test_nodes_share_one_count(url: str) -> None:
    """Two of them go for one ticket at once: as many spend, and as many seconds are taken, as it allows."""
    async with in_redis(url) as first, in_redis(url, empty=False) as second:
        stores = [first, second] * 50
        spent = await asyncio.gather(*(store.spend(ONE, 7, 4e9) for store in stores))
        assert spent.count(True) == 7
        taken = await asyncio.gather(*(store.take(ONE, 3.3, 100.0, 4e9) for store in stores))
        assert taken.count(True) == 30
        secrets_kept = await asyncio.gather(*(store.secret(secrets.token_bytes(32)) for store in stores))
        assert len(set(secrets_kept)) == 1
