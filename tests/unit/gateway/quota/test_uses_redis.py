"""The uses of tickets in Redis: what happens when the server is away, has lost what it held, or is asked what it keeps.

Invariant under test: no trouble grants anything, records end by themselves, and the secret comes back with whoever has
it. What every store does stands in tests/contract/test_uses.py. It must not know how a ticket looks.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from gateway.errors import ServiceError
from gateway.quota.uses import KEEP_SECONDS
from gateway.quota.uses_redis import RedisUses
from gateway.redis.connection import Redis
from tests.support.redis import RedisServer, redis_server

ONE, OTHER = b"\1" * 16, b"\2" * 16
OLD, NEW = b"o" * 32, b"n" * 32


@pytest_asyncio.fixture
async def server(need: Callable[[str], str]) -> AsyncIterator[RedisServer]:
    async with redis_server(need("redis-server")) as running:
        yield running


async def test_records_end_by_themselves(server: RedisServer) -> None:
    """By the server's clock, KEEP_SECONDS after the ticket; what is bought later does not keep them longer."""
    end = time.time() + 60.0
    async with Redis(server.url) as redis, RedisUses(redis) as uses:
        assert await uses.spend(ONE, 2, end)
        assert await uses.take(ONE, 1.0, 2.0, end)
        await uses.settle(ONE, 1.0, 0.5)
        assert not await uses.spend(OTHER, 1, end - 60.0 - KEEP_SECONDS)
        keys = await redis.call("KEYS", "*")
        assert keys == [f"wavegate:ticket:{ONE.hex()}".encode()]
        assert await redis.call("PTTL", keys[0]) == pytest.approx((60.0 + KEEP_SECONDS) * 1000, abs=5000)
        assert await redis.call("HGET", keys[0], "taken") == b"500"


async def test_a_store_that_is_away_grants_nothing(server: RedisServer) -> None:
    """Every question ends in the refusal that says when to come back."""
    async with Redis(server.url) as redis, RedisUses(redis) as uses:
        assert await uses.spend(ONE, 1, 4e9)
        await server.kill()
        for question in (
            lambda: uses.spend(OTHER, 1, 4e9),
            lambda: uses.take(OTHER, 1.0, 2.0, 4e9),
            lambda: uses.settle(ONE, 1.0, 2.0),
            lambda: uses.secret(NEW),
        ):
            with pytest.raises(ServiceError) as refusal:
                await question()
            assert (refusal.value.code, refusal.value.retry_after) == ("cluster_unavailable", 1.0)


async def test_the_secret_comes_back_with_whoever_has_it(server: RedisServer) -> None:
    """A server that has lost it is told it when it is back, before a new node may have another one made."""
    async with Redis(server.url) as redis, RedisUses(redis) as uses, Redis(server.url) as elsewhere:
        assert await uses.secret(OLD) == OLD
        await server.kill()
        with pytest.raises(ServiceError):
            await redis.call("PING")
        await server.start()
        await redis.call("PING")
        assert uses._telling is not None
        await asyncio.wait_for(uses._telling, 5)
        assert await RedisUses(elsewhere).secret(NEW) == OLD


async def test_every_use_tells_the_secret_too(server: RedisServer) -> None:
    """So it comes back also where nobody has noticed that the server was away."""
    async with Redis(server.url) as redis, RedisUses(redis) as uses:
        assert await uses.secret(OLD) == OLD
        for use in (lambda: uses.spend(ONE, 1, 4e9), lambda: uses.take(ONE, 1.0, 2.0, 4e9)):
            await redis.call("FLUSHALL")
            assert await use()
            assert await uses.secret(NEW) == OLD


async def test_who_has_no_secret_or_is_closed_tells_none(server: RedisServer) -> None:
    """Its telling ends with it, however far it has come."""
    async with Redis(server.url, timeout=0.2) as redis:
        for secret in (False, True):
            async with RedisUses(redis) as uses:
                if secret:
                    await uses.secret(OLD)
                server.stop_answering()
                with pytest.raises(ServiceError):
                    await redis.call("PING")
                server.answer_again()
                await redis.call("FLUSHALL")
                server.stop_answering()
            server.answer_again()
            assert not await redis.call("EXISTS", "wavegate:ticket-secret")


async def test_a_telling_that_fails_is_no_matter(server: RedisServer) -> None:
    """It is told again when the server is back again."""
    async with Redis(server.url, timeout=0.2) as redis, RedisUses(redis) as uses:
        await uses.secret(OLD)
        for _ in range(2):
            server.stop_answering()
            with pytest.raises(ServiceError):
                await redis.call("PING")
            server.answer_again()
            await redis.call("FLUSHALL")
            server.stop_answering()
            assert uses._telling is not None
            await asyncio.wait([uses._telling], timeout=5)
            assert uses._telling.exception() is None
            server.answer_again()
