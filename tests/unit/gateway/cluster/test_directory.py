"""Where streams are found and who holds names, on a real server.

Invariant under test: what is another's stays, nothing stays for ever, and what Redis forgets it is told again.
It must not depend on how long a lease is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from gateway.cluster import directory
from gateway.cluster.directory import Directory
from gateway.cluster.keys import NODES, OWNERS
from gateway.errors import ServiceError
from gateway.model import StreamId
from gateway.redis.connection import Redis
from tests.support.cluster import answer, eventually, running
from tests.support.redis import RedisServer, redis_server

A, B = StreamId("st_a"), StreamId("st_b")
MANY = [StreamId(f"st_{number}") for number in range(2 * directory.SLICE + 1)]


@pytest_asyncio.fixture
async def server(need: Callable[[str], str]) -> AsyncIterator[RedisServer]:
    async with redis_server(need("redis-server")) as running:
        yield running


@pytest_asyncio.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis(server.url) as redis:
        await redis.batch([("HSET", NODES, name, b"99999999999999 says something") for name in ("one", "two")])
        yield redis


async def owners(redis: Redis) -> int:
    return len(await redis.call("KEYS", f"{OWNERS}*"))


async def found(directory: Directory, stream_id: StreamId, node: str | None) -> None:
    """Until it is found there."""
    await answer(lambda: directory.owner(stream_id), lambda owner: owner == node)


async def test_streams_are_found_where_they_are_owned(redis: Redis) -> None:
    one, two = Directory(redis, "one"), Directory(redis, "two")
    await one.own([A])
    assert [await each.owner(A) for each in (one, two)] == ["one", "one"]
    assert await two.owner(B) is None
    await two.own([A, B])
    assert [await one.owner(stream_id) for stream_id in (A, B)] == ["two", "two"]
    # What was taken over is not deleted by whoever had it.
    await one.disown([A, B])
    assert [await one.owner(stream_id) for stream_id in (A, B)] == ["two", "two"]
    await two.disown([A])
    assert await one.owner(A) is None


async def test_nothing_stays_for_ever(redis: Redis) -> None:
    await Directory(redis, "one").own([A])
    assert 0 < await redis.call("PTTL", f"{OWNERS}{A}") <= directory.EXPIRY_SECONDS * 1000


@pytest.mark.parametrize("noted", [b"1 its lease has ended", None])
async def test_what_a_dead_node_owns_is_found_nowhere(redis: Redis, noted: bytes | None) -> None:
    one, two = Directory(redis, "one"), Directory(redis, "two")
    await one.own([A])
    await redis.call("HDEL", NODES, "one")
    if noted is not None:
        await redis.call("HSET", NODES, "one", noted)
    assert await two.owner(A) is None
    # Whoever asks is alive.
    assert await one.owner(A) == "one"


async def test_many_go_in_batches(redis: Redis) -> None:
    one = Directory(redis, "one")
    await one.own(MANY)
    assert await owners(redis) == len(MANY)
    await one.disown(MANY[1:])
    assert await owners(redis) == 1
    await one.leave()
    assert await owners(redis) == 0


async def test_what_redis_has_forgotten_it_is_told_again(server: RedisServer, redis: Redis) -> None:
    one, two = Directory(redis, "one"), Directory(redis, "two")
    await one.own(MANY)
    await one.own([A, B])
    async with running(one.run):
        await server.kill()
        await server.start()
        await answer(lambda: redis.call("HSET", NODES, "two", b"99999999999999 "))
        await two.own([B])
        one.tell_again()
        await found(one, A, "one")
        assert await one.owner(MANY[-1]) == "one"
        # Somebody has come to own it meanwhile; from now on it is no more told.
        assert await one.owner(B) == "two"
        await two.disown([B])
        one.tell_again()
        await one.disown([A])
        await found(one, A, None)
        assert await one.owner(B) is None


async def test_what_breaks_in_it_is_told_and_tried_again(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*args: object) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(directory, "PAUSE_SECONDS", 0.01)
        raise KeyError("a mistake of ours")

    one = Directory(redis, "one")
    await one.own([A])
    await redis.call("DEL", f"{OWNERS}{A}")
    monkeypatch.setattr(redis, "run", breaks)
    async with running(one.run):
        one.tell_again()
        await eventually(lambda: "a mistake of ours" in caplog.text)
        await found(one, A, "one")


async def test_it_is_told_again_before_it_lapses(redis: Redis) -> None:
    one = Directory(redis, "one", expiry_seconds=0.6)
    await one.own([A])
    async with running(one.run):
        for _ in range(3):
            await redis.call("DEL", f"{OWNERS}{A}")
            await found(one, A, "one")


async def test_what_could_not_be_told_is_told_when_redis_is_back(
    server: RedisServer, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "PAUSE_SECONDS", 0.02)
    one = Directory(redis, "one")
    await one.own([A])
    kept = await redis.call("DUMP", f"{OWNERS}{A}")
    await server.kill()
    async with running(one.run):
        with pytest.raises(ServiceError):
            await one.own([B])
        with pytest.raises(ServiceError):
            await one.disown([A])
        for ask in (one.owner(A), one.claim("n", "v", 1.0), one.release("n", "v")):
            with pytest.raises(ServiceError):
                await ask
        # It tries, and keeps it for later.
        await eventually(lambda: not one._again.is_set())
        await eventually(one._again.is_set)
    await server.start()
    await answer(lambda: redis.call("RESTORE", f"{OWNERS}{A}", 0, kept))
    async with running(one.run):
        await found(one, B, "one")
        await found(one, A, None)
        # To own it again is meant.
        await one.own([A])
        assert await one.owner(A) == "one"


async def test_a_name_is_one_s_for_a_while(redis: Redis) -> None:
    one = Directory(redis, "one")
    assert await one.claim("song", "first", 5.0) == "first"
    assert await one.claim("song", "second", 5.0) == "first"
    await one.release("song", "second")
    assert await one.claim("song", "second", 5.0) == "first"
    # Whoever has it keeps it for longer.
    assert await one.claim("song", "first", 60.0) == "first"
    assert await redis.call("PTTL", "wavegate:claim:song") > 5000
    await one.release("song", "first")
    assert await one.claim("song", "second", 0.02) == "second"
    await answer(lambda: one.claim("song", "third", 5.0), lambda holder: holder == "third")


async def test_of_many_at_once_one_has_the_name(redis: Redis) -> None:
    one = Directory(redis, "one")
    assert len(set(await asyncio.gather(*(one.claim("song", f"v{number}", 5.0) for number in range(50))))) == 1
