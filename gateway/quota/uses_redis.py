"""The uses of tickets in Redis: exact between all nodes of a gateway.

Invariant: one script decides and counts, and no record outlives the moment from which its ticket is refused unseen, by
the one clock of the server. An answer that was lost may have been counted: a use is lost then, never given twice.
What the server loses is lost: it is to keep what it has on a disk, and to forget nothing for want of memory.
It must not know how a ticket looks.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from gateway.errors import ServiceError
from gateway.quota.uses import KEEP_SECONDS, milliseconds
from gateway.redis.connection import Redis
from gateway.redis.script import Script

_SPEND = Script.of("gateway.quota", "uses_spend.lua")
_TAKE = Script.of("gateway.quota", "uses_take.lua")
_SETTLE = Script.of("gateway.quota", "uses_settle.lua")
_FIRST = Script.of("gateway.quota", "uses_secret.lua")
_SECRET = "wavegate:ticket-secret"  # noqa: S105  # where it is kept, not what it is


class RedisUses:
    """Implements `Uses`: `async with RedisUses(redis) as uses`. Raises ServiceError `cluster_unavailable`.

    The secret is told again to a server that has lost it, so that tickets which are out stay good on every node. `now`
    takes the place of the server's clock.
    """

    def __init__(self, redis: Redis, *, now: Callable[[], float] | None = None) -> None:
        self._redis = redis
        self._now = now
        self._secret = b""
        self._telling: asyncio.Task[None] | None = None
        redis.when_back(self._back)

    async def __aenter__(self) -> "RedisUses":
        return self

    async def __aexit__(self, *error: object) -> None:
        telling, self._telling, self._secret = self._telling, None, b""
        if telling is not None:
            telling.cancel()
            await asyncio.wait([telling])

    async def spend(self, ticket_id: bytes, limit: int, expires_at: float) -> bool:
        """Spends one of `limit` uses."""
        return await self._granted(_SPEND, ticket_id, limit, expires_at=expires_at)

    async def take(self, ticket_id: bytes, seconds: float, ceiling: float, expires_at: float) -> bool:
        """Takes seconds of audio out of `ceiling`."""
        return await self._granted(
            _TAKE, ticket_id, milliseconds(seconds), milliseconds(ceiling), expires_at=expires_at
        )

    async def settle(self, ticket_id: bytes, taken: float, used: float) -> None:
        """Counts `used` in place of `taken`."""
        await self._redis.run(_SETTLE, [_record(ticket_id)], [milliseconds(used) - milliseconds(taken)])

    async def secret(self, fresh: bytes) -> bytes:
        """The first that was given, by whichever node."""
        self._secret = await self._redis.run(_FIRST, [_SECRET], [fresh])
        return self._secret

    async def _granted(self, script: Script, ticket_id: bytes, *numbers: int, expires_at: float) -> bool:
        now = "" if self._now is None else milliseconds(self._now())
        args = [*numbers, milliseconds(expires_at + KEEP_SECONDS), now, self._secret]
        return bool(await self._redis.run(script, [_record(ticket_id), _SECRET], args))

    def _back(self) -> None:
        # Before anybody new has one made: those who have the old one would sign with another.
        if self._secret and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell(), name="ticket secret")

    async def _tell(self) -> None:
        # If it is away again it comes back again, and every use tells it, too.
        with suppress(ServiceError):
            await self._redis.run(_FIRST, [_SECRET], [self._secret])


def _record(ticket_id: bytes) -> str:
    return f"wavegate:ticket:{ticket_id.hex()}"
