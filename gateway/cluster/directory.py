"""Where streams are found, and who holds a name: both in Redis, for a while, so that nothing stays there for ever.

Invariant: what is another's is never deleted and, but by `own` and by a claim that has lapsed, never taken. What this
node owns is told again before it lapses, and when Redis has forgotten it; what it could not take back is tried again.
It must not know what a stream is, nor what a name stands for.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from gateway.cluster.keys import CLAIMS, NODES, OWNERS
from gateway.errors import ServiceError
from gateway.log import event
from gateway.model import StreamId
from gateway.redis.connection import Redis
from gateway.redis.script import Script

logger = logging.getLogger("wavegate.cluster")

# For so long an owner's death leaves its entries behind; they are not believed without a sign of life.
EXPIRY_SECONDS = 900.0
SLICE = 128
PAUSE_SECONDS = 1.0

_OWN, _DISOWN, _OWNER, _CLAIM = (
    Script.of("gateway.cluster", name) for name in ("own.lua", "disown.lua", "owner.lua", "claim.lua")
)


class Directory:
    """`run` is the task that tells again. All that asks raises ServiceError `cluster_unavailable`."""

    def __init__(self, redis: Redis, node: str, *, expiry_seconds: float = EXPIRY_SECONDS) -> None:
        self._redis = redis
        self._node = node
        self._expiry_seconds = expiry_seconds
        # Owned here, and those that Redis may still say so of, in order.
        self._owned: dict[StreamId, None] = {}
        self._disowned: dict[StreamId, None] = {}
        self._again = asyncio.Event()

    async def own(self, stream_ids: Sequence[StreamId]) -> None:
        """They are found here, whoever had them. Where it raises, they are told as soon as Redis is back."""
        self._owned.update(dict.fromkeys(stream_ids))
        for stream_id in stream_ids:
            self._disowned.pop(stream_id, None)
        try:
            for part in _slices(stream_ids):
                await self._tell(part, take_over=True)
        except ServiceError:
            self._again.set()
            raise

    async def _tell(self, stream_ids: Sequence[StreamId], *, take_over: bool) -> None:
        keys = [f"{OWNERS}{stream_id}" for stream_id in stream_ids]
        expiry = round(self._expiry_seconds * 1000)
        owned = await self._redis.run(_OWN, keys, (self._node, expiry, int(take_over)))
        for stream_id, is_owned in zip(stream_ids, owned, strict=True):
            if not is_owned:
                self._owned.pop(stream_id, None)

    async def disown(self, stream_ids: Iterable[StreamId]) -> None:
        """They are not found here any more. Where it raises, it is done as soon as Redis is back."""
        stream_ids = list(stream_ids)
        for stream_id in stream_ids:
            self._owned.pop(stream_id, None)
        self._disowned.update(dict.fromkeys(stream_ids))
        try:
            for part in _slices(stream_ids):
                await self._take_back(part)
        except ServiceError:
            self._again.set()
            raise

    async def _take_back(self, stream_ids: Sequence[StreamId]) -> None:
        await self._redis.run(_DISOWN, [f"{OWNERS}{stream_id}" for stream_id in stream_ids], (self._node,))
        for stream_id in stream_ids:
            self._disowned.pop(stream_id, None)

    async def owner(self, stream_id: StreamId) -> str | None:
        """The node that owns it, if that is alive."""
        node: bytes | None = await self._redis.run(_OWNER, (f"{OWNERS}{stream_id}", NODES), (self._node,))
        return None if node is None else node.decode()

    # -- telling again ---------------------------------------------------------------------------------------------

    def tell_again(self) -> None:
        """Redis may have forgotten."""
        self._again.set()

    async def run(self) -> None:
        """Tells again for ever: all, a third of the expiry after the last time, or when it was asked for."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._expiry_seconds / 3):
                    await self._again.wait()
            self._again.clear()
            try:
                for part in _slices(self._disowned):
                    await self._take_back(part)
                for part in _slices(self._owned):
                    # What was disowned while others were told of must not come back.
                    await self._tell([one for one in part if one in self._owned], take_over=False)
            except Exception as error:
                if not isinstance(error, ServiceError):
                    event(logger, "cluster.directory_failed", exc_info=True)
                self._again.set()
                await asyncio.sleep(PAUSE_SECONDS)

    async def leave(self) -> None:
        """Nothing is found here any more."""
        await self.disown(self._owned)

    # -- names -----------------------------------------------------------------------------------------------------

    async def claim(self, name: str, value: str, seconds: float) -> str:
        """Takes a name for so long, from now on where it had it already, unless another value has it; whose it is."""
        holder: bytes = await self._redis.run(_CLAIM, (f"{CLAIMS}{name}",), (value, max(1, round(seconds * 1000))))
        return holder.decode()

    async def release(self, name: str, value: str) -> None:
        """Gives a name back, if it is still this value's."""
        await self._redis.run(_DISOWN, (f"{CLAIMS}{name}",), (value,))


def _slices(stream_ids: Iterable[StreamId]) -> Iterator[Sequence[StreamId]]:
    # Of what is there now: it changes while answers are awaited.
    now = iter(list(stream_ids))
    while part := list(islice(now, SLICE)):
        yield part
