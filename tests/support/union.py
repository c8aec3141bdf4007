"""Several gateways as one: on one Redis and one provider, in the test's own event loop, each as a process would be.

Invariant: everything that is started here is stopped here; every wait is bounded.
It must not test anything itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from gateway.app import Gateway
from gateway.config.schema import Cluster, Config, Limits, Quota, Tenant, Transcode, Upstream
from gateway.config.secret import key_hash
from gateway.config.server import Server
from gateway.upstream.simulator.server import Simulator
from tests.support.gateway import KEY, OTHER_KEY, PATIENCE, PROVIDER_KEY, Bench
from tests.support.redis import RedisServer, redis_server


@dataclass
class Union:
    """`nodes` are benches that share a provider and an HTTP client."""

    redis: RedisServer
    simulator: Simulator
    http: aiohttp.ClientSession
    nodes: list[Bench]
    config: Config
    _stack: AsyncExitStack

    async def join(self, redis_url: str | None = None) -> Bench:
        """One node more, known to those that are there; it may have a way to Redis of its own."""
        cluster = msgspec.structs.replace(self.config.cluster, redis_url=redis_url or self.redis.url)
        config = msgspec.structs.replace(self.config, cluster=cluster)
        gateway = await self._stack.enter_async_context(Gateway(config, PROVIDER_KEY))
        bench = Bench(gateway, self.simulator, self.http)
        self.nodes.append(bench)
        await soon(lambda: all(len(peers(node)) == len(self.nodes) - 1 for node in self.nodes))
        return bench

    def leave(self, node: Bench) -> Awaitable[None]:
        """It is stopped; what it was told to end by its test is its test's."""
        self.nodes.remove(node)
        return node.gateway.__aexit__(None, None, None)


def peers(node: Bench) -> list[str]:
    """The other nodes that this one knows."""
    assert node.gateway.cluster is not None
    return list(node.gateway.cluster.peers)


async def soon(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Until it is so: what is looked at has no event."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is looked at has no event
            await asyncio.sleep(0.01)


async def answered(ask: Callable[[], Awaitable[Any]], fits: Callable[[Any], object], seconds: float = PATIENCE) -> Any:
    """The first answer that fits."""
    async with asyncio.timeout(seconds):
        while not fits(given := await ask()):  # noqa: ASYNC110 - what is asked has no event
            await asyncio.sleep(0.02)
    return given


@asynccontextmanager
async def union(
    program: str, count: int = 2, *, speed: float = 20.0, limits: Limits | None = None, **sections: Any
) -> AsyncIterator[Union]:
    """So many nodes with the tenants acme and other; `program` is redis-server."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(program))
        simulator = await stack.enter_async_context(Simulator(speed=speed))
        config = Config(
            server=sections.get("server", Server(port=0, internal_port=0, drain_timeout=PATIENCE)),
            upstream=sections.get("upstream", Upstream(base_url=simulator.url, audio_hosts=["127.0.0.1:*"])),
            quota=sections.get("quota", Quota()),
            transcode=Transcode(workers=0),
            cluster=Cluster(redis_url=redis.url, **sections.get("cluster", {})),
            tenants=[
                Tenant(id="acme", keys=[key_hash(KEY)], limits=limits or Limits()),
                Tenant(id="other", keys=[key_hash(OTHER_KEY)]),
            ],
        )
        headers = {"Authorization": f"Bearer {KEY}"}
        http = await stack.enter_async_context(
            aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(PATIENCE))
        )
        together = Union(redis, simulator, http, [], config, stack)
        for _ in range(count):
            await together.join()
        yield together
