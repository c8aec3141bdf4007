"""A governor to try, and a way to see how long tasks wait for it: by steps of the loop, not by time.

Invariant: a pace that is not what a test is about is no pace at all, and every wait is bounded.
It tests nothing itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.config.schema import Upstream
from gateway.model import Queued, TenantId
from gateway.upstream.governor import Governor
from gateway.upstream.turn import Turn
from metrics.recorder import Recorder

AT_ONCE = 10**18  # starts a minute: a gap that vanishes beside any time


def governor(now: Callable[[], float] | None = None, **settings: Any) -> Governor:
    """A governor of an account with these settings, and the house's defaults for the others."""
    config = Upstream(**({"requests_per_minute": AT_ONCE} | settings))
    clock = {} if now is None else {"now": now}
    return Governor(config, Recorder(), **clock)


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
