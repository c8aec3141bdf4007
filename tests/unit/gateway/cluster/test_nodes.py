"""Signs of life, each given by hand on a real server: who lives, who is dead, and what a Redis that was away changes.

Invariant under test: nobody is declared dead before a whole lease without a sign in which Redis answered.
It must not wait for more than a lease of a part of a second.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection

import pytest
import pytest_asyncio

from gateway.cluster.keys import NODES, inbox_of
from gateway.cluster.nodes import Nodes, new_name
from gateway.redis.connection import Redis
from tests.support.cluster import eventually, running
from tests.support.redis import RedisServer, redis_server

LEASE = 0.3


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


class Signing:
    """A node that signs when it is told to; its own clock stands still, that of Redis does not."""

    def __init__(self, redis: Redis, name: str, lease: float = LEASE) -> None:
        self.redis = redis
        self.now = Clock()
        self.says: bytes | Exception = name.encode()
        self.read_up_to = b"0-0"
        self.lost: list[str] = []
        self.living: list[set[str]] = []
        self.forgotten = 0
        self.nodes = Nodes(
            redis,
            name,
            self._says,
            lambda: self.read_up_to,
            lost=self.lost.append,
            living=self._living,
            forgotten=self._forgotten,
            lease_seconds=lease,
            now=self.now,
        )

    def _says(self) -> bytes:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def _living(self, nodes: Collection[str]) -> None:
        self.living.append(set(nodes))

    def _forgotten(self) -> None:
        self.forgotten += 1

    def answered(self) -> bool:
        return self.nodes.answered

    async def sign(self) -> None:
        await self.nodes.sign()

    async def settle(self) -> None:
        """A sign, and then one that is sure."""
        await self.sign()
        self.now.at += LEASE
        await self.sign()


@pytest_asyncio.fixture
async def server(need: Callable[[str], str]) -> AsyncIterator[RedisServer]:
    async with redis_server(need("redis-server")) as running:
        yield running


@pytest_asyncio.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis(server.url, timeout=1.0) as redis:
        yield redis


async def lapse(redis: Redis, name: str) -> None:
    """Has this node's lease end now, as if it had not signed for so long."""
    noted = await redis.call("HGET", NODES, name)
    await redis.call("HSET", NODES, name, b"1 " + noted.partition(b" ")[2])


def test_every_life_has_a_name_of_its_own() -> None:
    assert len({new_name() for _ in range(100)}) == 100


async def test_nodes_know_each_other_and_what_they_say(redis: Redis) -> None:
    one, two = Signing(redis, "one"), Signing(redis, "two")
    two.says = b"\x00 7 songs\xff"
    assert not one.answered()
    await one.sign()
    await two.sign()
    await one.sign()
    assert one.answered()
    assert one.nodes.peers == {"two": b"\x00 7 songs\xff"}
    assert two.nodes.peers == {"one": b"one"}
    two.says = b""
    await two.sign()
    await one.sign()
    assert one.nodes.peers == {"two": b""}
    assert (one.forgotten, two.forgotten) == (1, 1)


async def test_a_node_whose_lease_ends_is_lost_and_leaves_nothing(redis: Redis) -> None:
    one, two = Signing(redis, "one", 5.0), Signing(redis, "two", 5.0)
    await two.sign()
    await one.settle()
    one.now.at += 5.0
    await one.sign()
    assert one.living[-1] == {"one", "two"}
    await lapse(redis, "two")
    await one.sign()
    assert one.lost == ["two"]
    assert not one.nodes.peers
    assert one.living[-1] == {"one"}
    assert sorted(await redis.call("KEYS", "*")) == [inbox_of("one").encode(), NODES.encode()]
    # It was only slow: it comes again, and knows that it was given up.
    await two.sign()
    await one.sign()
    assert one.nodes.peers == {"two": b"two"}
    assert two.forgotten == 2


async def test_a_lease_is_measured_by_the_server(redis: Redis) -> None:
    one, two = Signing(redis, "one", 5.0), Signing(redis, "two", LEASE)
    await two.sign()
    await one.sign()
    one.now.at += 5.0
    async with asyncio.timeout(10):
        while not one.lost:
            await one.sign()
    assert one.lost == ["two"]


async def test_while_redis_is_away_and_a_lease_after_it_nobody_dies(server: RedisServer, redis: Redis) -> None:
    one, two = Signing(redis, "one"), Signing(redis, "two")
    await two.sign()
    await one.settle()
    await server.kill()
    one.now.at += 100.0
    await one.sign()
    assert not one.answered()
    assert one.nodes.peers == {"two": b"two"}
    await server.start()
    await one.sign()
    assert one.answered()
    assert one.forgotten == 2
    one.now.at += LEASE - 0.01
    await one.sign()
    assert one.nodes.peers == {"two": b"two"}
    assert not one.lost
    one.now.at += 0.02
    await one.sign()
    assert one.lost == ["two"]


async def test_redis_that_stood_still_costs_nobody_its_life(server: RedisServer, redis: Redis) -> None:
    one, two = Signing(redis, "one", 10.0), Signing(redis, "two", 10.0)
    await two.sign()
    await one.sign()
    one.now.at += 10.0
    await one.sign()
    await lapse(redis, "two")

    def slow(said: bytes) -> Callable[[], bytes]:
        def says() -> bytes:
            # The answer to this sign is long in coming.
            one.now.at += 9.0
            return said

        return says

    one.nodes._says = slow(b"one")
    await one.sign()
    assert not one.lost
    assert one.nodes.peers == {"two": b"two"}


async def test_a_node_that_was_given_up_itself_gives_nobody_up(redis: Redis) -> None:
    one, two = Signing(redis, "one"), Signing(redis, "two")
    await two.sign()
    await one.settle()
    await lapse(redis, "one")
    await lapse(redis, "two")
    await one.sign()
    assert one.forgotten >= 2
    assert not one.lost


async def test_a_node_that_leaves_is_missed_at_once(redis: Redis) -> None:
    one, two = Signing(redis, "one", 5.0), Signing(redis, "two", 5.0)
    await two.sign()
    await one.sign()
    await redis.batch(two.nodes.leave())
    one.nodes.left("two")
    one.nodes.left("two")
    assert not one.nodes.peers
    await one.sign()
    assert not one.nodes.peers
    assert not one.lost
    assert await redis.call("KEYS", "*two*") == []


async def test_an_inbox_is_made_kept_alive_and_trimmed(redis: Redis) -> None:
    one = Signing(redis, "one")
    await one.sign()
    inbox = inbox_of("one")
    assert 0 < await redis.call("PTTL", inbox) <= 4 * LEASE * 1000
    ids = [await redis.call("XADD", inbox, "*", "l", b"x") for _ in range(3)]
    one.read_up_to = ids[1]
    await one.sign()
    assert [entry_id for entry_id, _ in await redis.call("XRANGE", inbox, "-", "+")] == ids[1:]
    await redis.call("DEL", inbox)
    await one.sign()
    assert await redis.call("XLEN", inbox) == 1


async def test_what_cannot_be_said_is_left_out(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    one, two = Signing(redis, "one"), Signing(redis, "two", 5.0)
    two.says = RuntimeError("it breaks")
    await two.sign()
    await one.sign()
    assert one.nodes.peers == {"two": b""}
    assert "it breaks" in caplog.text


async def test_it_signs_for_ever_whatever_breaks(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    def breaks(name: str) -> None:
        raise RuntimeError("it breaks")

    one = Signing(redis, "one")
    await one.settle()
    one.nodes._lost = breaks
    await redis.call("HSET", NODES, "two", b"99999999999999 ")
    await one.sign()
    await lapse(redis, "two")
    async with running(one.nodes.run):
        await eventually(lambda: "it breaks" in caplog.text and len(one.living) >= 5)
