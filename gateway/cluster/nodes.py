"""Who lives: this node's sign of life, once in a while, and what the others last said of themselves.

Invariant: nobody is dead before a whole lease has passed in which Redis answered without a sign of it. While Redis is
away, all that were alive stay so, and when it is back, or has forgotten this node, they have one whole lease to come.
It must not know what is said, nor what hangs on a node's life.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from gateway.cluster.keys import INBOXES, NODES, inbox_of
from gateway.errors import ServiceError
from gateway.log import event as log_event
from gateway.redis.connection import Command, Redis
from gateway.redis.script import Script

logger = logging.getLogger("wavegate.cluster")

LEASE_SECONDS = 5.0
SIGNS_A_LEASE = 5

_SIGN = Script.of("gateway.cluster", "sign.lua")


def new_name() -> str:
    """A node's name: one for each life."""
    return f"n_{secrets.token_hex(8)}"


class Nodes:
    """`run` is the task. `lost` is called for each node that died, `living` with all that live after each sign that is
    sure of it, `forgotten` when Redis did not know this node (any more).

    `read_up_to` gives the ID of the letter that was read last; `now` is monotonic.
    """

    def __init__(
        self,
        redis: Redis,
        name: str,
        says: Callable[[], bytes],
        read_up_to: Callable[[], bytes],
        *,
        lost: Callable[[str], None],
        living: Callable[[Collection[str]], None],
        forgotten: Callable[[], None],
        lease_seconds: float = LEASE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._redis = redis
        self._says = says
        self._read_up_to = read_up_to
        self._lost = lost
        self._living = living
        self._forgotten = forgotten
        self._lease_seconds = lease_seconds
        self._now = now
        self._peers: dict[str, bytes] = {}
        # Whether the last sign was answered, and from when on a missing one means death.
        self.answered = False
        self._sure_from = 0.0
        self._trimmed_to = b""

    @property
    def peers(self) -> Mapping[str, bytes]:
        """The others that are alive, and what each said of itself."""
        return self._peers

    async def run(self) -> None:
        """Signs for ever."""
        while True:
            await asyncio.sleep(self._lease_seconds / SIGNS_A_LEASE)
            try:
                await self.sign()
            except Exception:
                log_event(logger, "node.sign_failed", exc_info=True)

    async def sign(self) -> None:
        """One sign of life, and what comes of it. Raises nothing when Redis is away."""
        read_up_to = self._read_up_to()
        trim_to = b"" if read_up_to == self._trimmed_to else read_up_to
        lease = round(self._lease_seconds * 1000)
        asked_at = self._now()
        try:
            answer = await self._redis.run(
                _SIGN, (NODES, inbox_of(self.name)), (self.name, lease, self._said(), trim_to, INBOXES)
            )
        except ServiceError:
            self.answered = False
            return
        self._trimmed_to = read_up_to
        unknown, *said = answer
        now = self._now()
        # An answer that was long in coming comes from a Redis that answered the others no sooner.
        slow = now - asked_at > self._lease_seconds / SIGNS_A_LEASE
        if unknown or slow or not self.answered:
            self._sure_from = now + self._lease_seconds
        self.answered = True
        self._heard_of(dict(zip(map(bytes.decode, said[::2]), said[1::2], strict=True)), sure=now >= self._sure_from)
        if unknown:
            self._forgotten()

    def _said(self) -> bytes:
        try:
            return self._says()
        except Exception:
            log_event(logger, "node.says_nothing", exc_info=True)
            return b""

    def _heard_of(self, living: dict[str, bytes], *, sure: bool) -> None:
        for name in living.keys() - self._peers.keys():
            log_event(logger, "node.came", node=name)
        if not sure:
            self._peers.update(living)
            return
        dead = self._peers.keys() - living.keys()
        self._peers = living
        self._bury(dead)
        self._living((*living, self.name))

    def left(self, name: str) -> None:
        """That node said that it goes."""
        if self._peers.pop(name, None) is not None:
            log_event(logger, "node.left", node=name)

    def _bury(self, names: Iterable[str]) -> None:
        for name in names:
            log_event(logger, "node.lost", node=name)
            self._lost(name)

    def leave(self) -> list[Command]:
        """What removes this node from Redis."""
        return [("HDEL", NODES, self.name), ("UNLINK", inbox_of(self.name))]
