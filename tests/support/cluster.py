"""Nodes of a cluster in one process, a reader that notes what it is given, and waiting for what is to come.

Invariant: every wait is bounded, and each node has its own connections, as a process of its own has.
It must not know what is tested.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from gateway.cluster.cluster import RedisCluster
from gateway.errors import ServiceError
from gateway.redis.connection import Redis

SECONDS = 15.0


async def eventually(condition: Callable[[], object]) -> None:
    """Until it is so; what is looked at tells nobody when it changes."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - what is looked at has no event
            await asyncio.sleep(0.005)


async def answer(ask: Callable[[], Awaitable[Any]], fits: Callable[[Any], object] = lambda _: True) -> Any:
    """The first answer that fits, asked for again and again: a store or a node may be on its way back."""
    async with asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(ServiceError):
                given = await ask()
                if fits(given):
                    return given
            await asyncio.sleep(0.005)


class Notes:
    """A LogReader: `entries` in order, and `losses`, each whether the owner was lost; `breaks` has it raise."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.entries: list[bytes] = []
        self.losses: list[bool] = []
        self._breaks = breaks

    def entry(self, entry: bytes) -> None:
        self.entries.append(entry)
        if self._breaks:
            raise RuntimeError("this reader breaks")

    def lost(self, owner_lost: bool) -> None:
        self.losses.append(owner_lost)
        if self._breaks:
            raise RuntimeError("this reader breaks again")

    async def until(self, entries: int) -> Sequence[bytes]:
        """Those that have come when there are so many."""
        await eventually(lambda: len(self.entries) >= entries)
        return self.entries

    async def until_lost(self) -> Sequence[bool]:
        await eventually(lambda: self.losses)
        return self.losses


@contextlib.asynccontextmanager
async def running(*parts: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Runs what runs for ever; a part that breaks fails the test."""
    tasks = [asyncio.ensure_future(part()) for part in parts]
    try:
        yield
        for task in tasks:
            assert not task.done(), "it was to run for ever"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def node(
    url: str, says: bytes = b"", *, lease_seconds: float = 0.6, timeout: float = 2.0, log_octets: int = 1 << 26
) -> AsyncIterator[RedisCluster]:
    """One node; a test's lease is short."""
    async with (
        Redis(url, timeout=timeout) as redis,
        RedisCluster(redis, lambda: says, lease_seconds=lease_seconds, log_octets=log_octets) as cluster,
    ):
        yield cluster


@contextlib.asynccontextmanager
async def two_nodes(url: str, *, timeout: float = 2.0) -> AsyncIterator[tuple[RedisCluster, RedisCluster]]:
    """Two that know of each other."""
    async with node(url, b"one", timeout=timeout) as one, node(url, b"two", timeout=timeout) as two:
        await eventually(lambda: two.node in one.peers and one.node in two.peers)
        yield one, two
