"""The other nodes of this gateway, as the relay's port `Cluster` has them: the parts of this room, put together.

Invariant: its tasks live from `__aenter__` to `__aexit__`, which ends in bounded time whatever Redis does. It begins
also while Redis is away, and is `ready` when it is there. Time is Redis's; what nodes say is octets.
It must not know what the octets mean.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from gateway.cluster.directory import Directory
from gateway.cluster.keys import log_of
from gateway.cluster.letter import Letter, write
from gateway.cluster.logs import KEPT_OCTETS, PublishedLog
from gateway.cluster.nodes import LEASE_SECONDS, Nodes, new_name
from gateway.cluster.outbox import Outbox
from gateway.cluster.post import ASK_SECONDS, Handler, Post
from gateway.cluster.reading import Following, LogReader, Reading
from gateway.errors import ServiceError
from gateway.model import StreamId
from gateway.redis.connection import Redis

# For sending what waits, and for taking its things out of Redis; then its logs are there for a while.
FLUSH_SECONDS = 1.0
LEAVE_SECONDS = 2.0
LINGER_SECONDS = 5.0

# The kind of the letter of a node that goes.
_LEAVES = "-leaves"


class RedisCluster:
    """Used as `async with RedisCluster(redis, says) as cluster:`, inside of that of `redis`.

    `says` gives what is told of this node with each sign of life. A node that is not heard of for `lease_seconds` is
    dead. Redis keeps about `log_octets` of each log.
    """

    def __init__(
        self,
        redis: Redis,
        says: Callable[[], bytes],
        *,
        lease_seconds: float = LEASE_SECONDS,
        ask_seconds: float = ASK_SECONDS,
        log_octets: int = KEPT_OCTETS,
        node: str | None = None,
    ) -> None:
        self._redis = redis
        self._node = node or new_name()
        self._group = asyncio.TaskGroup()
        self._outbox = Outbox(redis, kept_octets=log_octets)
        self._post = Post(self._node, self._outbox.post, self._group, ask_seconds=ask_seconds)
        self._reading = Reading(redis, self._node, self._post.letter, lambda: self._outbox.post(self._node, b""))
        self._directory = Directory(redis, self._node)
        self._nodes = Nodes(
            redis,
            self._node,
            says,
            lambda: self._reading.read_up_to,
            lost=self._lost,
            living=self._reading.living,
            forgotten=self._forgotten,
            lease_seconds=lease_seconds,
        )
        self._post.on(_LEAVES, self._left)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "RedisCluster":
        await self._nodes.sign()
        await self._group.__aenter__()
        self._tasks = [
            self._group.create_task(part.run(), name=f"cluster {type(part).__name__.lower()}")
            for part in (self._nodes, self._outbox, self._reading, self._directory)
        ]
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            if self.ready:
                with suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_SECONDS):
                        await self._outbox.idle()
        finally:
            for task in self._tasks:
                task.cancel()
            self._post.close()
            await self._group.__aexit__(None, None, None)
        with suppress(ServiceError, TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._leave()

    async def _leave(self) -> None:
        farewell = write(Letter(self._node, _LEAVES))
        commands = self._nodes.leave()
        # Others may not have read their ends yet.
        commands += [("PEXPIRE", key, round(LINGER_SECONDS * 1000)) for key in self._outbox.keys]
        commands += [self._outbox.command(peer, farewell) for peer in self.peers]
        await self._redis.batch(commands)
        await self._directory.leave()

    # -- nodes -----------------------------------------------------------------------------------------------------

    @property
    def node(self) -> str:
        """The name of this one: new at every start."""
        return self._node

    @property
    def peers(self) -> Mapping[str, bytes]:
        """The others that are alive, by name, and what each said of itself with its last sign of life."""
        return self._nodes.peers

    @property
    def ready(self) -> bool:
        """Whether Redis answers, and has this node's sign of life."""
        return self._nodes.answered and not self._redis.away

    def _lost(self, node: str) -> None:
        self._post.lost(node)
        self._reading.lost(node)

    async def _left(self, node: str, body: bytes) -> bytes:
        self._nodes.left(node)
        self._post.lost(node)
        self._reading.left(node)
        return b""

    def _forgotten(self) -> None:
        self._outbox.doubt()
        self._directory.tell_again()

    # -- the directory ---------------------------------------------------------------------------------------------

    async def own(self, stream_ids: Sequence[StreamId]) -> None:
        """From now on these are found here; told as soon as Redis is back, where it raises."""
        await self._directory.own(stream_ids)

    async def disown(self, stream_ids: Sequence[StreamId]) -> None:
        """They are not found here any more; told as soon as Redis is back, where it raises."""
        await self._directory.disown(stream_ids)

    async def owner(self, stream_id: StreamId) -> str | None:
        """The node that owns it, if that is alive; this one too."""
        return await self._directory.owner(stream_id)

    async def claim(self, name: str, value: str, seconds: float) -> str:
        """Takes a name for so long, unless it is taken; gives the value of whoever has it now."""
        return await self._directory.claim(name, value, seconds)

    async def release(self, name: str, value: str) -> None:
        """Gives a name back, if it is still this value's."""
        await self._directory.release(name, value)

    # -- letters ---------------------------------------------------------------------------------------------------

    def on(self, kind: str, handler: Handler) -> None:
        """Has letters of this kind answered by `await handler(node, body)`, in a task of its own."""
        self._post.on(kind, handler)

    async def ask(self, node: str, kind: str, body: bytes, seconds: float | None = None) -> bytes:
        """What that node answers. Raises what it raised, with code and sentence."""
        return await self._post.ask(node, kind, body, seconds)

    def tell(self, node: str, kind: str, body: bytes) -> None:
        """The same without an answer: it may be lost."""
        self._post.tell(node, kind, body)

    # -- logs ------------------------------------------------------------------------------------------------------

    def publish(self, name: str, drained: Callable[[], None], lost: Callable[[], None]) -> PublishedLog:
        """A log that others can follow, of a name that this node has never used.

        Whoever learns of it by a letter that is sent after this can follow it at once.
        """
        return self._outbox.publish(log_of(self._node, name), drained, lost)

    def follow(self, name: str, node: str, reader: LogReader) -> Following:
        """Has that node's log read, from its beginning on. Raises ValueError while this node follows it already."""
        return self._reading.follow(node, name, reader)
