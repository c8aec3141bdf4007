"""Where a cluster is measured: a redis-server, and either two workers on one port or two nodes with streams on the air.

Invariant: figures of several processes are their sum, the supervisor's among them. Of two nodes, one owns all streams,
and the provider, its clock and the listeners that are timed are in this process.
It must not know what is measured.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.bench.benches import BenchError
from gateway.bench.cluster_redis import RedisServer, redis_server
from gateway.bench.latency_provider import Generation, Provider
from gateway.bench.latency_scene import Clock, Tell, on_air, sound
from gateway.bench.stage import Server, Stage, server, settings
from gateway.bench.usage import processor_seconds, resident, split_processors

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Workers(Server):
    """A gateway of several processes: `pid` is the supervisor's. Whenever it is looked at, `look` is called."""

    look: Callable[[], object]

    def pids(self) -> list[int]:
        """The supervisor and its workers."""
        return [self.pid, *children(self.pid)]

    def cpu(self) -> float:
        self.look()
        return processor_seconds(self.pids())

    def resident(self) -> int:
        return sum(map(resident, self.pids()))


def children(pid: int, proc: Path = _PROC) -> list[int]:
    """The processes that this one has started and that still are. Raises BenchError."""
    try:
        return [int(word) for word in (proc / f"{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        raise BenchError("this can be measured on Linux only, of processes that live.") from None


def shared(url: str, key: str, redis: RedisServer) -> dict[str, Any]:
    """Settings for what shares its state with others."""
    more: dict[str, Any] = settings(url, key)
    return {"cluster": {"redis_url": redis.url}, "quota": {"store": redis.url}, "server": more["server"]}


@asynccontextmanager
async def workers(
    stage: Stage, redis: RedisServer, count: int, mark: Callable[[float], object]
) -> AsyncIterator[Server]:
    """So many workers on one port, each on a processor of its own as far as there are so many; the load shares them.

    Whenever their processor time is asked for, `mark` is told that of Redis.
    """
    key = secrets.token_urlsafe(16)
    more = shared(stage.provider, key, redis)
    more["server"] = more["server"] | {"workers": count}
    async with server(stage.provider, stage.processor, more, key) as one:
        processors = [stage.processor, *sorted(stage.others - {stage.processor})]
        for number, pid in enumerate(children(one.pid)):
            os.sched_setaffinity(pid, {processors[number % len(processors)]})
        yield Workers(one.pid, one.public, one.internal, one.key, one.complaints, lambda: mark(redis.cpu()))


@dataclass(frozen=True, slots=True)
class Nodes:
    """Two nodes that share a Redis; nothing is on the air yet."""

    redis: RedisServer
    provider: Provider
    owner: Server
    other: Server
    pieces: Sequence[bytes]
    clock: Clock
    others: frozenset[int]

    @asynccontextmanager
    async def on_air(self, streams: int) -> AsyncIterator[dict[str, Generation]]:
        """So many streams, all of the owner's, by their ids."""
        async with on_air(self.provider, self.owner, streams, self.pieces, self.clock) as radio:
            yield radio


@asynccontextmanager
async def nodes(tell: Tell, clock: Clock) -> AsyncIterator[Nodes]:
    """Both, and the provider; on the processors as in a load test. Raises BenchError."""
    processor, others = split_processors()
    before = os.sched_getaffinity(0)
    async with AsyncExitStack() as stack:
        os.sched_setaffinity(0, others)
        stack.callback(os.sched_setaffinity, 0, before)
        redis = await stack.enter_async_context(redis_server(others))
        tell("a song is made")
        pieces = await asyncio.to_thread(sound)
        provider = await stack.enter_async_context(Provider(clock))
        key = secrets.token_urlsafe(16)
        more = shared(provider.url, key, redis)
        tell("two nodes start")
        owner = await stack.enter_async_context(server(provider.url, processor, more, key))
        other = await stack.enter_async_context(server(provider.url, processor, more, key))
        yield Nodes(redis, provider, owner, other, pieces, clock, others)
