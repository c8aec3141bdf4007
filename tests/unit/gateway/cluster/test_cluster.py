"""Two nodes and more on a real server, together: that the port is met, and what kills, cuts and stops do to all of it.

Invariant under test: whatever Redis and other nodes do, it heals without a restart, and it ends in bounded time.
It must not know how the parts do it.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio

from gateway.cluster import cluster
from gateway.cluster.cluster import RedisCluster
from gateway.cluster.keys import log_of
from gateway.errors import LimitError, ServiceError
from gateway.model import StreamId
from gateway.redis.connection import Redis
from gateway.relay.ports import Cluster
from tests.support.cluster import Notes, answer, eventually, node, two_nodes
from tests.support.redis import RedisServer, redis_server, standing_redis

SONG = StreamId("st_song")
# Another process: it owns a stream and a log, and says what it is called.
OTHER = """
import asyncio, sys
from gateway.cluster.cluster import RedisCluster
from gateway.redis.connection import Redis

async def main():
    async with Redis(sys.argv[1]) as redis, RedisCluster(redis, lambda: b"other", lease_seconds=0.6) as cluster:
        async def hang(node, body):
            await asyncio.sleep(60)

        async def log(node, body):
            return b"log"

        cluster.on("hang", hang)
        cluster.on("log", log)
        cluster.publish("log", print, print).append(b"a")
        await cluster.own(["st_song"])
        print("name", cluster.node, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def standing(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as url:
        yield url


@pytest_asyncio.fixture
async def server(need: Callable[[str], str]) -> AsyncIterator[RedisServer]:
    async with redis_server(need("redis-server")) as running:
        yield running


async def echo(node: str, body: bytes) -> bytes:
    return body


def as_the_relay_sees_it(cluster: RedisCluster) -> Cluster:
    """mypy says whether it fits."""
    return cluster


async def log_and_notes(owner: RedisCluster, follower: RedisCluster, name: str = "log") -> Notes:
    """A log with one entry that has been read."""
    owner.publish(name, lambda: None, lambda: None).append(b"a")
    notes = Notes()
    # Whoever is told of a log by a letter can follow it.
    follower.follow((await answer(lambda: owner_says(owner, follower, name))).decode(), owner.node, notes)
    await notes.until(1)
    return notes


async def owner_says(owner: RedisCluster, follower: RedisCluster, name: str) -> bytes:
    async def names(node: str, body: bytes) -> bytes:
        return name.encode()

    owner._post._handlers["log"] = names
    return await follower.ask(owner.node, "log", b"")


async def test_the_port_is_met(standing: str) -> None:
    async with two_nodes(standing) as (a, b):
        one, two = as_the_relay_sees_it(a), as_the_relay_sees_it(b)
        assert one.node != two.node
        assert one.peers[two.node] == b"two"
        assert a.ready

        await one.own([SONG])
        assert await two.owner(SONG) == one.node
        await one.disown([SONG])
        assert await two.owner(SONG) is None
        assert await one.claim("song", "1", 5.0) == "1"
        assert await two.claim("song", "2", 5.0) == "1"
        await one.release("song", "1")
        assert await two.claim("song", "2", 5.0) == "2"
        await two.release("song", "2")

        heard: list[tuple[str, bytes]] = []

        async def limited(node: str, body: bytes) -> bytes:
            heard.append((node, body))
            raise LimitError("rate_exceeded", "Not now.", retry_after=2.0)

        b.on("echo", echo)
        b.on("limited", limited)
        assert await one.ask(two.node, "echo", b"x") == b"x"
        with pytest.raises(LimitError, match="Not now"):
            await one.ask(two.node, "limited", b"y", 5.0)
        one.tell(two.node, "limited", b"z")
        await eventually(lambda: heard == [(one.node, b"y"), (one.node, b"z")])
        # To itself, too.
        assert await b.ask(b.node, "echo", b"x") == b"x"

        log = one.publish("log", lambda: None, lambda: None)
        for number in range(100):
            log.append(b"%d" % number)
        notes = Notes()
        await one.ask(two.node, "echo", b"the log is there")
        following = two.follow("log", one.node, notes)
        assert await notes.until(100) == [b"%d" % number for number in range(100)]
        assert log.writable
        log.close()
        assert await notes.until_lost() == [False]
        following.close()


async def test_who_leaves_is_missed_at_once_and_leaves_nothing(standing: str) -> None:
    async with Redis(standing) as redis, node(standing, lease_seconds=30.0) as stays:
        async with node(standing, lease_seconds=30.0) as goes:
            await stays._nodes.sign()
            await goes.own([SONG])
            notes = await log_and_notes(goes, stays)
            log = goes.publish("log 2", lambda: None, lambda: None)
            last = Notes()
            await goes.ask(goes.node, "log", b"")
            stays.follow("log 2", goes.node, last)
            for number in range(200):
                log.append(b"%d" % number)
        # All that was appended is read.
        assert await last.until_lost() == [True]
        assert last.entries == [b"%d" % number for number in range(200)]
        assert await notes.until_lost() == [True]
        assert not stays.peers
        assert await stays.owner(SONG) is None
        with pytest.raises(ServiceError, match="cannot be reached"):
            await stays.ask(goes.node, "echo", b"")
        logs = [log_of(goes.node, name) for name in ("log", "log 2")]
        assert sorted(await redis.call("KEYS", f"*{goes.node}*")) == [key.encode() for key in logs]
        assert all([0 < await redis.call("PTTL", key) <= 5000 for key in logs])


async def test_a_killed_process_is_lost_within_its_lease(standing: str) -> None:
    async with node(standing) as stays:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OTHER, standing, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), 30)
            name = line.decode().split()[1]
            await eventually(lambda: name in stays.peers)
            notes = Notes()
            stays.follow((await stays.ask(name, "log", b"")).decode(), name, notes)
            await notes.until(1)
            assert await stays.owner(SONG) == name
            asking = asyncio.ensure_future(stays.ask(name, "hang", b"", 30.0))
            await asyncio.sleep(0)
        finally:
            process.kill()
            await process.wait()
        begun = time.monotonic()
        assert await notes.until_lost() == [True]
        with pytest.raises(ServiceError, match="has died"):
            await asking
        # A lease of 0.6 s, a sign, and a busy machine; not the 30 s for which an answer is awaited.
        assert time.monotonic() - begun < 10.0
        assert name not in stays.peers
        assert await stays.owner(SONG) is None
        with pytest.raises(ServiceError, match="cannot be reached"):
            await stays.ask(name, "hang", b"")


async def test_a_restart_with_nothing_in_it_heals(server: RedisServer) -> None:
    lost: list[str] = []
    async with two_nodes(server.url) as (one, two):
        two.on("echo", echo)
        await one.own([SONG])
        one.publish("idle", lambda: None, lambda: lost.append("idle"))
        notes = await log_and_notes(one, two)
        await server.kill()
        await eventually(lambda: not one.ready and not two.ready)
        with pytest.raises(ServiceError) as refusal:
            await one.ask(two.node, "echo", b"")
        assert (refusal.value.code, refusal.value.retry_after) == ("cluster_unavailable", 1.0)
        await server.start()
        assert await answer(lambda: one.ask(two.node, "echo", b"x")) == b"x"
        assert await answer(lambda: two.owner(SONG), lambda owner: owner is not None) == one.node
        assert await notes.until_lost() == [False]
        await eventually(lambda: lost)
        assert (two.node in one.peers, one.node in two.peers) == (True, True)
        await log_and_notes(one, two, "log 2")
        await eventually(lambda: one.ready and two.ready)


async def test_a_redis_that_stands_still_costs_nobody_anything(server: RedisServer) -> None:
    async with two_nodes(server.url, timeout=0.3) as (one, two):
        two.on("echo", echo)
        log = one.publish("log", lambda: None, lambda: None)
        notes = Notes()
        assert await one.ask(two.node, "echo", b"x") == b"x"
        two.follow("log", one.node, notes)
        server.stop_answering()
        for number in range(50):
            log.append(b"%d" % number)
        await eventually(lambda: not one.ready and not two.ready)
        # Longer than a lease.
        await asyncio.sleep(0.8)
        server.answer_again()
        assert await notes.until(50) == [b"%d" % number for number in range(50)]
        assert await answer(lambda: one.ask(two.node, "echo", b"x")) == b"x"
        assert not notes.losses
        assert (two.node in one.peers, one.node in two.peers) == (True, True)


async def test_cut_connections_cost_nobody_anything(server: RedisServer) -> None:
    async with Redis(server.url) as knife, two_nodes(server.url) as (one, two):
        two.on("echo", echo)
        log = one.publish("log", lambda: None, lambda: None)
        notes = Notes()
        await one.ask(two.node, "echo", b"")
        two.follow("log", one.node, notes)
        for number in range(20):
            log.append(b"%d" % number)
            if number % 5 == 0:
                await knife.call("CLIENT", "KILL", "TYPE", "normal")
        assert await notes.until(20) == [b"%d" % number for number in range(20)]
        assert await answer(lambda: one.ask(two.node, "echo", b"x")) == b"x"
        assert (two.node in one.peers, one.node in two.peers) == (True, True)


async def test_it_begins_while_redis_is_away(server: RedisServer) -> None:
    await server.kill()
    async with node(server.url) as short:
        assert not short.ready
    async with node(server.url) as one:
        assert not one.ready
        with pytest.raises(ServiceError):
            await one.own([SONG])
        await server.start()
        await eventually(lambda: one.ready)
        assert await answer(lambda: one.owner(SONG), lambda owner: owner is not None) == one.node


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_it_ends_in_bounded_time_while_redis_stands_still(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "FLUSH_SECONDS", 0.1)
    async with Redis(server.url, timeout=0.3) as redis:
        async with RedisCluster(redis, bytes, lease_seconds=0.6) as one:
            one.on("echo", echo)
            one.publish("log", lambda: None, lambda: None).append(b"a")
            one.follow("none", "nobody", Notes())
            await one.own([SONG])
            server.stop_answering()
            asking: Awaitable[bytes] = asyncio.ensure_future(one.ask(one.node, "echo", b"", 30.0))
            await asyncio.sleep(0)
            begun = time.monotonic()
        assert time.monotonic() - begun < 5.0
        with pytest.raises(ServiceError):
            await asking
