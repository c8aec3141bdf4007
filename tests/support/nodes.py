"""Several hubs in one loop that are nodes of one gateway, over the cluster that `realm.py` plays.

Invariant: nothing happens by itself: the keepers of the hubs are stopped, `tick` is their round, and their clocks are
one that stands still. It must not know what is tested.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count

import pytest

from gateway.config.schema import Limits, Relay
from gateway.model import Position, SourceEvent, StreamId
from gateway.protocol.messages import FormatSpec
from gateway.relay.channel import Channel
from gateway.relay.listener import Listener, OnLag
from gateway.relay.neighbours import Neighbours
from gateway.relay.replica import AnyStream, Replica
from gateway.relay.since import FromStart
from gateway.relay.wishes import possible
from tests.support.hub import House
from tests.support.realm import FakeCluster, Realm
from tests.support.relay import TENANT, Clock, Pipe


class Node(House):
    """A hub with its fakes that is one of several; all have the same clocks."""

    def __init__(
        self,
        name: str,
        realm: Realm,
        clocks: tuple[Clock, Clock],
        numbers: Iterator[int],
        *steps: SourceEvent | Exception | asyncio.Event,
        config: Relay | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.cluster = FakeCluster(realm, name)
        super().__init__(*steps, config=config, limits=limits, cluster=self.cluster, clocks=clocks, numbers=numbers)
        self.cluster.handlers = self.neighbours.handlers
        self.cluster.says = self.neighbours.says
        self._stopped = False

    async def stop(self) -> None:
        """Its hub ends; a second call does nothing."""
        if not self._stopped:
            self._stopped = True
            await self.hub.__aexit__(None, None, None)

    @property
    def neighbours(self) -> Neighbours:
        assert self.hub.neighbours is not None
        return self.hub.neighbours

    async def hear(
        self,
        stream_id: StreamId,
        *formats: FormatSpec | str,
        since: Position | None = None,
        pipe: Pipe | None = None,
    ) -> "Hearing":
        """Listens here, as every door does: finds the stream, has a format sent, and attaches at once."""
        wanted = [FormatSpec(one) if isinstance(one, str) else one for one in formats or ("mp3",)]
        stream = await self.hub.find(TENANT, stream_id)
        channel = await stream.obtain(possible(wanted), since)
        pipe = pipe or Pipe()
        listener, recovered = self.hub.attach(stream, channel, pipe, since or FromStart(), OnLag.COMPLETE)
        listener.join()
        return Hearing(self, stream, channel, pipe, listener, recovered)

    async def replica(self, stream_id: StreamId) -> Replica:
        """The stream of another node."""
        stream = await self.hub.find(TENANT, stream_id)
        assert isinstance(stream, Replica)
        return stream

    def tick(self) -> None:
        """A second's round of its keeper."""
        self.hub.forget()
        for stream in self.hub.streams:
            stream.tick()
        self.neighbours.tick()

    def encode(self) -> None:
        """Its workers do what they have to."""
        for encoding in self.encodings.open_ones:
            encoding.answer_all()


@dataclass
class Hearing:
    """Somebody who listens at a node; `recovered` as the hub says it of a resume."""

    node: Node
    stream: AnyStream
    channel: Channel
    pipe: Pipe
    listener: Listener
    recovered: bool | None

    @property
    def ended(self) -> bool:
        return self.pipe.said[-1:] != [] and self.pipe.said[-1][0] in ("ended", "refused")

    def leave(self) -> None:
        self.node.hub.detach(self.stream.tenant, self.listener)


class Nodes(list[Node]):
    """All of a test's."""

    def __init__(self, realm: Realm, now: Clock, time: Clock) -> None:
        super().__init__()
        self.realm = realm
        self.now = now
        self.time = time

    async def told(self) -> None:
        """Until every word between them has arrived."""
        for _ in range(20):
            await asyncio.sleep(0)
        while self.realm.tasks:
            await asyncio.wait(self.realm.tasks)

    async def pass_by(self, seconds: float = 1.0) -> None:
        """So long passes, in rounds of a second."""
        while seconds > 0:
            self.now.at += min(1.0, seconds)
            self.time.at += min(1.0, seconds)
            seconds -= 1.0
            for node in self:
                if node.cluster.node in self.realm.nodes:
                    node.tick()
            await self.told()


@asynccontextmanager
async def nodes(
    *steps: SourceEvent | Exception | asyncio.Event,
    number: int = 2,
    config: Relay | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Nodes]:
    """So many nodes; every stream plays `steps`."""
    all_of_them = Nodes(Realm(), Clock(1000.0), Clock(5000.0))
    numbers = count(1)
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for index in range(number):
            node = Node(
                f"n{index}",
                all_of_them.realm,
                (all_of_them.now, all_of_them.time),
                numbers,
                *steps,
                config=config,
                limits=limits,
            )
            await node.hub.__aenter__()
            stack.push_async_callback(node.stop)
            for keeper in node.hub._keepers:
                keeper.cancel()
            all_of_them.append(node)
        yield all_of_them
        await all_of_them.told()
        # Encodes that are played come to no end: nobody waits for it.
        patch.setattr("gateway.relay.hub.FINISH_SECONDS", 0.01)
