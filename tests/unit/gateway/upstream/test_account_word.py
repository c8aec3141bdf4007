"""What nodes say to the account and hear of it, as the script that lies beside it takes and gives it.

Invariant under test: numbers are whole, times are microseconds, and a gap is never rounded down.
That the script does right by them is shown in tests/contract/test_account_nodes.py.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import pytest
import pytest_asyncio

from gateway.model import TenantId
from gateway.redis.connection import Redis
from gateway.upstream.account import Head
from gateway.upstream.account_word import KEYS, NODES, SCRIPT, Answer, Memory, Terms, Verdict, answer, words
from gateway.upstream.allowance import Allowance
from tests.support.redis import standing_redis

TERMS = Terms("n1", 10, 1 / 3, 10.0, 0.05)
HEAD = Head(TenantId("a"), 3.0, 1.5, 4)


@pytest.fixture(scope="module")
def standing(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as address:
        yield address


@pytest_asyncio.fixture
async def redis(standing: str) -> AsyncIterator[Redis]:
    async with Redis(standing, timeout=5.0) as connection:
        await connection.call("FLUSHALL")
        yield connection


_numbers = itertools.count(1)


async def say(
    redis: Redis,
    held: int = 0,
    head: Head | None = None,
    memory: Memory | None = None,
    verdicts: Sequence[Verdict] = (),
    *,
    terms: Terms = TERMS,
    number: int | None = None,
) -> Answer | None:
    number = next(_numbers) if number is None else number
    return answer(await redis.run(SCRIPT, KEYS, words(terms, number, held, head, memory or Memory(), verdicts)))


def test_what_is_said() -> None:
    """All of it, in the order in which the script reads it."""
    said = words(TERMS, 7, 2, HEAD, Memory(b"99", b"4.5", 3, 2.0, True, 0.5), [Verdict(2), Verdict(1, 3, 0.25)])
    assert said[:9] == ["n1", 7, 10, 333334, 10_000_000, 50_000, 2, 0.7, 60_000_000]
    assert said[9:13] == [4, "a", 333333, 1_500_000]
    assert said[13:19] == [b"99", b"4.5", 3, 2_000_000, 1, 500_000]
    assert said[19:] == [-1, 2, 0, 3, 1, 250_000]
    assert words(TERMS, 7, 2, None, Memory(), [])[9:] == [0, "", 0, 0, b"", b"", 0, -1, 0, 0]


def test_a_word_that_came_late_has_no_answer() -> None:
    """Nothing is to be taken from it."""
    assert answer([]) is None


async def test_what_is_heard(redis: Redis) -> None:
    """A permit for who asks, the state with it, and then the pace."""
    first = await say(redis, head=HEAD)
    assert first is not None
    assert (first.given, first.again, first.limit, first.exact, first.era) == (True, 0.0, 10, b"10", 0)
    assert (first.used, first.nodes, first.elsewhere) == (1, 1, ())
    assert first.closed == pytest.approx(1 / 3, abs=1e-5)
    second = await say(redis, 1, HEAD)
    assert second is not None
    assert not second.given
    assert 0 < second.again == second.closed <= 0.3334
    other = await say(redis, head=HEAD, terms=Terms("n2", 10, 1 / 3, 10.0, 0.05))
    assert other is not None
    assert (other.used, other.nodes, other.elsewhere, other.birth) == (1, 2, (4,), first.birth)


async def test_a_word_that_is_late_is_not_heard(redis: Redis) -> None:
    """What was said after it stands."""
    assert await say(redis, 3, number=1000) is not None
    assert await say(redis, 1, number=999) is None
    assert await say(redis, 1, number=1000) is None
    told = await say(redis, terms=Terms("n2", 10, 1 / 3, 10.0, 0.05))
    assert told is not None
    assert told.used == 3


async def test_all_is_forgotten_by_itself_in_the_end(redis: Redis) -> None:
    """Each key has an end, and no node's permits outlive its lease."""
    brief, other = Terms("n1", 10, 1 / 3, 0.2, 0.05), Terms("n2", 10, 1 / 3, 0.2, 0.05)
    began = time.monotonic()
    await say(redis, 3, HEAD, terms=brief)
    for key in KEYS:
        assert 0 < await redis.call("PTTL", key) <= 3_600_000
    async with asyncio.timeout(5):
        while (told := await say(redis, terms=other)) is not None and told.used:
            assert (told.used, told.nodes) == (4, 2)
            await asyncio.sleep(0.01)
    assert time.monotonic() - began >= 0.2 - 0.01
    assert told is not None
    assert told.nodes == 1
    assert await redis.call("HKEYS", NODES) == [b"n2"]


async def test_leases_do_not_run_while_nobody_can_tell_anything(redis: Redis) -> None:
    """A store that stood still for longer than a lease counts what was held, and waits to be told for another one."""
    brief, other = Terms("n1", 10, 1 / 3, 0.2, 0.05), Terms("n2", 10, 1 / 3, 0.2, 0.05)
    await say(redis, 3, terms=brief)
    await asyncio.sleep(0.25)
    began = time.monotonic()
    told = await say(redis, terms=other)
    assert told is not None
    assert (told.used, told.nodes) == (3, 2)
    async with asyncio.timeout(5):
        while told is not None and told.used:
            await asyncio.sleep(0.01)
            told = await say(redis, terms=other)
    assert time.monotonic() - began >= 0.2 - 0.01


async def test_a_clock_that_is_put_back_holds_nobody_up(redis: Redis) -> None:
    """What lies further ahead than it can have been put is not believed."""
    await say(redis, 1)
    await say(redis, 9, HEAD, terms=Terms("n2", 10, 1 / 3, 10.0, 0.05))
    (state, nodes, _), far = KEYS, 9 * 10**15
    await redis.call("HSET", state, "opens", far, "paused", far, "settled", far, "seen", far)
    other = json.loads(await redis.call("HGET", nodes, "n2"))
    await redis.call("HSET", nodes, "n2", json.dumps(other | {"ends": far, "looks": far}))
    told = await say(redis, terms=Terms("n1", 10, 1 / 3, 0.05, 0.05))
    assert told is not None
    assert told.closed <= 60.0
    await asyncio.sleep(0.06)
    told = await say(redis, terms=Terms("n3", 10, 1 / 3, 0.05, 0.05))
    assert told is not None
    assert told.closed <= 60.0


async def test_a_store_that_has_lost_all_believes_what_is_told(redis: Redis) -> None:
    """The lower limit, the later era, the last start and the pause; and it waits until all can have told it."""
    told = await say(redis, 2, None, Memory(b"17", b"4.5", 3, 1.0, False, 0.5), terms=Terms("n1", 10, 20.0, 10.0, 0.05))
    assert told is not None
    assert (told.limit, told.exact, told.era, told.used) == (4, b"4.5", 3, 2)
    assert told.closed == pytest.approx(19.0, abs=0.1)
    again = await say(redis, 1, None, Memory(b"17", b"3", 2), terms=Terms("n2", 10, 1.0, 10.0, 0.05))
    assert again is not None
    assert (again.limit, again.era) == (3, 3)
    brief = await say(redis, 1, None, Memory(again.birth, b"3", 3), terms=Terms("n3", 10, 0.001, 10.0, 0.05))
    assert brief is not None
    assert brief.closed == pytest.approx(5.0, abs=0.2)


async def test_a_start_without_leave_counts_for_the_pace(redis: Redis) -> None:
    """One that was alone says when; one that was not need not, or the way of its word would slow all down."""
    first = await say(redis)
    assert first is not None
    memory = Memory(first.birth, b"10", 0, 0.1, True)
    told = await say(redis, 1, None, memory)
    assert told is not None
    assert told.closed == pytest.approx(1 / 3 - 0.1, abs=0.02)
    await redis.call("DEL", *KEYS)
    first = await say(redis)
    assert first is not None
    told = await say(redis, 1, None, Memory(first.birth, b"10", 0, 0.1, False))
    assert told is not None
    assert told.closed == 0.0


async def test_verdicts_move_the_limit_by_the_rules_of_allowance(redis: Redis) -> None:
    """Step for step, whatever the provider says, of whatever era."""
    dice, same = random.Random(3), Allowance(10)
    await say(redis, 0, terms=Terms("n2", 10, 1 / 3, 30.0, 0.05))
    for _ in range(200):
        used, era = dice.randint(1, 10), same.era - (dice.random() < 0.3)
        heard = dice.random() < 0.9 or era < 0
        told = await say(redis, 0, verdicts=[Verdict(used) if heard else Verdict(used, era)])
        same.succeeded(used) if heard else same.throttled(used, era)
        assert told is not None
        assert (told.limit, told.era) == (same.limit, same.era)
    assert same.era > 3


async def test_a_pause_is_that_of_the_longest_and_no_longer_than_any_may_be(redis: Redis) -> None:
    """A shorter one changes nothing, and an absurd one is a minute."""
    told = await say(redis, 1, verdicts=[Verdict(1, 0, 0.5), Verdict(1, 0, 0.1)])
    assert told is not None
    assert 0.4 < told.closed <= 0.5
    told = await say(redis, 1, verdicts=[Verdict(1, 0, 9e6)])
    assert told is not None
    assert 59.0 < told.closed <= 60.0
