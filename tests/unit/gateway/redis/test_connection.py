"""The connection to Redis, on a real server that is killed, stopped and started again.

Invariant: each test has a server of its own, so none meets what another has left there.
It must not depend on how quickly a busy machine answers, but where a deadline is what is tested.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from gateway.errors import ServiceError
from gateway.redis.connection import Redis
from gateway.redis.script import Script
from tests.support.redis import RedisServer, redis_server

# A deadline that a busy machine keeps, and one that is waited for.
TIMEOUT = 5.0
SHORT = 0.2


@pytest_asyncio.fixture
async def server(need: Callable[[str], str]) -> AsyncIterator[RedisServer]:
    async with redis_server(need("redis-server")) as running:
        yield running


async def away(redis: Redis) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        await redis.call("PING")
    return refusal.value


async def test_answers_are_octets(server: RedisServer) -> None:
    async with Redis(server.url, timeout=TIMEOUT) as redis:
        assert await redis.call("SET", "k", b"\x00\xff") in (b"OK", True)
        assert await redis.call("GET", "k") == b"\x00\xff"
        assert await redis.batch([("INCR", "n"), ("INCR", "n")]) == [1, 2]
        assert await redis.batch([]) == []
        assert not redis.away


async def test_a_script_runs_also_where_the_server_has_forgotten_it(server: RedisServer) -> None:
    script = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    async with Redis(server.url, timeout=TIMEOUT) as redis:
        assert await redis.run(script, ["n"], [2]) == 2
        await redis.call("SCRIPT", "FLUSH")
        assert await redis.run(script, ["n"], [3]) == 5
        assert await redis.run(script, ["n"], [1]) == 6


async def test_a_mistake_of_ours_leaves_as_the_store_s_and_not_as_its_library_s(server: RedisServer) -> None:
    async with Redis(server.url, timeout=TIMEOUT) as redis:
        with pytest.raises(ServiceError, match="does not answer") as refusal:
            await redis.run(Script("return nothing.at.all"))
        assert refusal.value.code == "cluster_unavailable"
        assert await redis.call("PING") in (b"PONG", True)


async def test_a_server_that_is_killed_is_away_and_back_again(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    back: list[int] = []
    async with Redis(server.url, timeout=TIMEOUT) as redis:
        redis.when_back(lambda: back.append(1))
        await redis.call("PING")
        await server.kill()
        error = await away(redis)
        await away(redis)
        assert (error.code, error.retry_after) == ("cluster_unavailable", 1.0)
        assert redis.away
        assert not back
        await server.start()
        assert await redis.call("SET", "k", "v") in (b"OK", True)
        assert not redis.away
        assert back == [1]
    assert [record.message for record in caplog.records if record.name == "wavegate.redis"] == [
        "redis.away",
        "redis.back",
    ]


async def test_no_connection_of_before_refuses_a_call_once_it_is_back(server: RedisServer) -> None:
    async with Redis(server.url, timeout=TIMEOUT) as redis:
        await asyncio.gather(*(redis.wait(0.2, "BLPOP", f"k{n}", 0.2) for n in range(4)))
        await server.kill()
        await away(redis)
        await server.start()
        # As many at once as there are connections, each of which was open when the server was killed.
        assert len(await asyncio.gather(*(redis.call("PING") for _ in range(4)))) == 4


async def test_a_server_that_does_not_answer_costs_no_more_than_the_deadline(server: RedisServer) -> None:
    async with Redis(server.url, timeout=SHORT) as redis:
        await redis.call("PING")
        server.stop_answering()
        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(*[away(redis) for _ in range(40)])
        server.answer_again()
        # What was asked before it stood still is not answered to whoever asks now.
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    assert await redis.call("ECHO", "now") == b"now"
                    break
                except ServiceError:
                    continue


async def test_a_read_that_waits_is_given_its_time(server: RedisServer) -> None:
    async with Redis(server.url, timeout=SHORT) as redis:
        assert not await redis.wait(2 * SHORT, "XREAD", "BLOCK", round(2000 * SHORT), "STREAMS", "none", "$")
        assert not redis.away


@pytest.mark.parametrize("url", ["http://h", "redis://h:port", "redis://:topsecret@h?pasword=topsecret"])
async def test_an_address_that_is_none_is_said_at_once_without_what_is_in_it(url: str) -> None:
    """Not when the first call is made, by the traceback of a library."""
    with pytest.raises(ValueError) as caught:
        Redis(url)
    assert "topsecret" not in str(caught.value)


async def test_nobody_there() -> None:
    async with Redis("redis://:secret@127.0.0.1:1", timeout=TIMEOUT) as redis:
        error = await away(redis)
    assert "secret" not in repr(error.__dict__)
    assert "secret" not in str(error)


async def test_what_an_answer_took_is_told(server: RedisServer) -> None:
    """Of each call that was answered, but not of one that was to wait, nor of one that got none."""
    took: list[float] = []
    async with Redis(server.url, timeout=TIMEOUT, took=took.append) as redis:
        await redis.call("PING")
        await redis.batch([("PING",), ("PING",)])
        assert len(took) == 2
        assert all(0.0 < seconds < TIMEOUT for seconds in took)
        await redis.wait(0.01, "BLPOP", "nothing", 0.01)
        assert len(took) == 2
    async with Redis("redis://127.0.0.1:1", timeout=TIMEOUT, took=took.append) as redis:
        await away(redis)
        assert len(took) == 2
