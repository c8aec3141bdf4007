"""A governor to try, of one process or as a node of several, and a way to see how long tasks wait for it.

Invariant: a pace that is not what a test is about is no pace at all, and every wait is bounded. With an account of its
own a governor is seen by steps of the loop; what nodes share is waited for.
It tests nothing itself.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.config.schema import Upstream
from gateway.model import Queued, TenantId
from gateway.redis.connection import Redis
from gateway.upstream.account_redis import SharedAccount
from gateway.upstream.governor import Governor
from gateway.upstream.turn import Turn
from metrics.recorder import Recorder

AT_ONCE = 10**18  # starts a minute: a gap that vanishes beside any time


def governor(now: Callable[[], float] | None = None, **settings: Any) -> Governor:
    """A governor of an account with these settings, and the house's defaults for the others."""
    config = Upstream(**({"requests_per_minute": AT_ONCE} | settings))
    clock = {} if now is None else {"now": now}
    return Governor(config, Recorder(), **clock)


def one(tenant: TenantId) -> float:
    """The weight of everybody where weights are not what a test is about."""
    del tenant
    return 1.0


@asynccontextmanager
async def node(
    url: str,
    *,
    weight: Callable[[TenantId], float] = one,
    timeout: float = 5.0,
    alone: bool = False,
    lease: float = 10.0,
    patience: float = 3.0,
    **settings: Any,
) -> AsyncIterator[Governor]:
    """The governor of one of the nodes that share the account at this Redis, with a connection of its own."""
    config = Upstream(**({"requests_per_minute": AT_ONCE} | settings))
    name = f"node-{secrets.token_hex(4)}"
    async with (
        Redis(url, timeout=timeout) as redis,
        SharedAccount(redis, name, config, alone=alone, lease=lease, patience=patience) as account,
    ):
        yield Governor(config, Recorder(), account=account, weight=weight)


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for what other tasks or nodes bring about."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # what is waited for may be at another node, which has no event of ours
            await asyncio.sleep(0.002)


async def steps(count: int = 3) -> None:
    """Lets everything that can run have some steps."""
    for _ in range(count):
        await asyncio.sleep(0)


class Guest:
    """One that asks for admission, in a task of its own: `news` is what it was told, `turn` what it has."""

    def __init__(self, of: Governor, tenant: str, **options: Any) -> None:
        self.tenant = tenant
        self.news: list[Queued] = []
        self.turn: Turn | None = None
        self.admitted = asyncio.Event()
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(of, options))

    async def _visit(self, of: Governor, options: dict[str, Any]) -> None:
        async with of.admission(TenantId(self.tenant), **options) as turn:
            async for queued in turn:
                self.news.append(queued)
            self.turn = turn
            self.admitted.set()
            async with asyncio.timeout(30):
                await self._leave.wait()

    @property
    def positions(self) -> list[int]:
        return [queued.position for queued in self.news]

    async def leave(self) -> None:
        """Ends its visit, admitted or not, and raises what it ended in."""
        self._leave.set()
        if self.turn is None:
            self.task.cancel()
        await asyncio.wait([self.task], timeout=10)
        if not self.task.cancelled():
            self.task.result()


@asynccontextmanager
async def guests(of: Governor, *tenants: str, **options: Any) -> AsyncIterator[list[Guest]]:
    """They all ask in this order; those who are still there in the end leave."""
    present = [Guest(of, tenant, **options) for tenant in tenants]
    await steps()
    try:
        yield present
    finally:
        for guest in present:
            guest.task.cancel()
        if present:
            await asyncio.wait([guest.task for guest in present], timeout=10)
