"""The shared account seen by one node: what it holds in hand, what goes wrong, and how it ends.

Invariant under test: a permit that nobody can use goes back, a fault does not silence the node, and its end is bounded.
What nodes do together, and what every account does, stands in tests/contract.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from gateway.config.schema import Upstream
from gateway.model import TenantId
from gateway.redis.connection import Redis
from gateway.upstream.account import Head
from gateway.upstream.account_redis import SharedAccount
from gateway.upstream.account_word import KEYS, NODES
from tests.support.governor import AT_ONCE, until
from tests.support.redis import RedisServer, redis_server, standing_redis

CONFIG = Upstream(requests_per_minute=AT_ONCE, max_concurrency=4)
HEAD = Head(TenantId("a"), 1.0, 0.0, 1)


@pytest.fixture(scope="module")
def standing(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as address:
        yield address


@pytest_asyncio.fixture
async def redis(standing: str) -> AsyncIterator[Redis]:
    async with Redis(standing, timeout=5.0) as connection:
        await connection.call("FLUSHALL")
        yield connection


@pytest_asyncio.fixture
async def server(need: Callable[[str], str]) -> AsyncIterator[RedisServer]:
    async with redis_server(need("redis-server")) as running:
        yield running


async def knows(redis: Redis, what: str, value: int) -> None:
    """Waits until the store has this of node n."""
    async with asyncio.timeout(5):
        while True:
            record = await redis.call("HGET", NODES, "n")
            if record is not None and json.loads(record)[what] == value:
                return
            await asyncio.sleep(0.002)


async def test_a_permit_that_nobody_takes_goes_back(redis: Redis) -> None:
    """Who asked for it has gone while it was on its way."""
    async with SharedAccount(redis, "n", CONFIG) as account:
        given: list[int] = []
        heads: list[Head | None] = [HEAD]
        account.bind(lambda: given.append(1), lambda: heads.pop() if heads else None)
        account.expect(0.0)
        await until(lambda: bool(given))
        account.expect(None)
        await knows(redis, "held", 0)
        assert account.take() is None


async def test_a_permit_that_comes_behind_a_refusal_goes_back(redis: Redis) -> None:
    """The provider has said that it is full while the store was still giving: nobody starts by that."""
    async with SharedAccount(redis, "n", CONFIG) as account:
        taken: list[object] = []

        def head() -> Head:
            # As the word leaves.
            asyncio.get_running_loop().call_soon(account.throttled, 0, 0.3)
            return HEAD

        account.bind(lambda: taken.append(account.take()), head)
        account.expect(0.0)
        await until(lambda: account.limit == 1)
        await knows(redis, "held", 0)
        assert not any(taken)
        assert account.closed_for() > 0.1


async def test_nobody_is_asked_for_before_the_time_that_was_said(redis: Redis) -> None:
    """A circuit that is open keeps those who wait here from holding up others; an earlier time is heeded at once."""
    async with SharedAccount(redis, "n", CONFIG) as account:
        loop, taken = asyncio.get_running_loop(), list[float]()

        def changed() -> None:
            if account.take() is not None:
                taken.append(loop.time())
                account.expect(None)

        account.bind(changed, lambda: HEAD)
        began = loop.time()
        account.expect(30.0)
        await asyncio.sleep(0.02)
        account.expect(0.1)
        await until(lambda: bool(taken))
        assert 0.1 <= taken[0] - began < 5.0


async def test_whoever_waits_no_more_is_told_of_at_once(redis: Redis) -> None:
    """Also where the next look is far away: else others would wait for a turn that nobody takes."""
    async with SharedAccount(redis, "n", Upstream(requests_per_minute=1)) as account:
        account.bind(account.take, lambda: HEAD)
        account.expect(0.0)
        await knows(redis, "held", 1)
        # From now on the next look is a second away.
        await knows(redis, "waiting", 1)
        await asyncio.sleep(0.05)
        began = time.monotonic()
        account.expect(None)
        await knows(redis, "waiting", 0)
        assert time.monotonic() - began < 0.5


async def test_a_fault_does_not_silence_the_node(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and what the node holds is told all the same."""
    async with SharedAccount(redis, "n", CONFIG) as account:
        faults = [ZeroDivisionError("a fault of ours")]
        permits: list[object] = []

        def changed() -> None:
            if faults:
                raise faults.pop()
            permits.append(account.take())

        account.bind(changed, lambda: HEAD if not any(permits) else None)
        account.expect(0.0)
        await until(lambda: any(permits))
        account.expect(None)
        await knows(redis, "held", 1)
    assert [record.message for record in caplog.records] == ["upstream.account_untold"]


async def test_what_was_heard_while_the_store_was_away_is_told_later(server: RedisServer) -> None:
    """The limit that the provider has taught counts for all when it is back, the pause from when it was heard."""
    async with Redis(server.url, timeout=5.0) as redis, SharedAccount(redis, "n", CONFIG) as account:
        await until(lambda: account._last.birth != b"")
        await server.kill()
        for _ in range(100):
            account.throttled(0, 30.0)
        assert len(account._verdicts) == 64
        await until(lambda: account._away_since is not None)
        await server.start()
        await until(lambda: account.limit == 1)
        record = await redis.call("HMGET", KEYS[0], "paused", "seen")
        assert 20.0 < (int(record[0]) - int(record[1])) / 1e6 < 30.0 - 0.2, "it began when it was heard of"


@pytest.mark.parametrize("alone", [False, True])
async def test_the_end_with_the_store_away_is_at_once(server: RedisServer, alone: bool) -> None:
    """Its lease ends by itself; no timer is left behind, and what was learned alone is of no use any more."""
    async with Redis(server.url, timeout=5.0) as redis, SharedAccount(redis, "n", CONFIG, alone=alone) as account:
        await until(lambda: account._last.birth != b"")
        await server.kill()
        account.expect(0.0)
        await until(lambda: account._away_since is not None)
        assert (account.refusal() is None, account._local is not None) == (True, alone)
        if alone:
            account.heard()
            account.throttled(0, 1.0)
            assert (account.limit, account.free, account.place(2)) == (1, 1, 2)
            assert account.closed_for() > 0.5
            assert account.gap > 0.0


async def test_an_end_whose_answer_is_lost_is_an_end(server: RedisServer) -> None:
    """A store that stops in that very moment holds it up for no longer than one answer."""
    async with Redis(server.url, timeout=0.1) as redis:
        async with SharedAccount(redis, "n", CONFIG) as account:
            await until(lambda: account._last.birth != b"")
            server.stop_answering()
        server.answer_again()


async def test_a_word_that_came_late_is_none(redis: Redis) -> None:
    """A name that is in use by a node whose words are numbered higher: nothing is given here, and it is tried again."""
    record = {"number": 9_000_000_000_000, "held": 0, "ends": 9e15, "waiting": 0, "looks": 0, "since": 0, "tag": 0}
    await redis.call("HSET", NODES, "n", json.dumps(record))
    async with SharedAccount(redis, "n", CONFIG, patience=0.0) as account:
        await until(lambda: account.refusal() is not None)
        await redis.call("DEL", NODES)
        await until(lambda: account.refusal() is None)
