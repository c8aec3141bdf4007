"""A hub with fakes on every side, for tests of the hub and of what stands on it.

Invariant: its clocks stand still, its ids count from 1, and every stream plays the same steps. It must not know what
is tested.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from gateway.config.schema import Limits, Relay, Transcode
from gateway.model import Accepted, AudioDelta, Finished, Principal, SourceEvent, TenantId
from gateway.relay.hub import Hub
from gateway.relay.listener import Listener, OnLag
from gateway.relay.order import Order
from gateway.relay.ports import Cluster
from gateway.relay.since import FromStart
from gateway.relay.stream import Stream
from metrics.recorder import Recorder
from tests.support.encoding import ScriptedEncodings
from tests.support.relay import TENANT, Clock, Pipe, ScriptedLedger, ScriptedSource, mp3_frames, song, until, within

OTHER = TenantId("other")
SONG = b"".join(mp3_frames(20))
WHOLE = (Accepted("req-1"), AudioDelta(SONG), Finished(0.5))


class House:
    """A hub with its fakes; every stream plays `steps`."""

    def __init__(
        self,
        *steps: SourceEvent | Exception | asyncio.Event,
        config: Relay | None = None,
        limits: Limits | None = None,
        lease_seconds: float = 60.0,
        cluster: Cluster | None = None,
        clocks: tuple[Clock, Clock] | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.source = ScriptedSource(*(steps or WHOLE))
        self.ledger = ScriptedLedger()
        self.encodings = ScriptedEncodings()
        self.recorder = Recorder()
        self.now, self.time = clocks or (Clock(1000.0), Clock(5000.0))
        numbers = numbers or count(1)
        self.hub = Hub(
            self.source,
            self.ledger,
            self.encodings,
            config or Relay(),
            self.recorder,
            lambda _: limits or Limits(),
            lease_seconds=lease_seconds,
            transcode=Transcode(),
            now=self.now,
            wall=self.time,
            random_bits=lambda _: next(numbers),
            cluster=cluster,
        )

    async def create(self, tenant: TenantId = TENANT) -> Stream:
        self.time.at += 1.0
        return await self.hub.create(Order(Principal(tenant, "k"), song(), warnings=["a warning"]))

    async def finish(self, tenant: TenantId = TENANT) -> Stream:
        stream = await self.create(tenant)
        await within(stream.wait())
        return stream

    def attach(self, stream: Stream, pipe: Pipe | None = None) -> Listener:
        listener, _ = self.hub.attach(stream, stream.native, pipe or Pipe(), FromStart(), OnLag.COMPLETE)
        return listener


async def turn(house: House, put_forward: Callable[[float], None]) -> None:
    """Lets the hub's keeper and its bookkeeper go round once."""
    rounds: list[str] = []
    books = house.hub._books
    forget, count_traffic = house.hub.forget, books.count

    def forgotten() -> None:
        forget()
        rounds.append("kept")

    async def counted() -> None:
        await count_traffic()
        rounds.append("booked")

    # Forgetting is the first step of one's round, and what is behind it happens in the same turn of the loop; behind
    # the other's count there are leases, each in a task that needs another.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.hub, "forget", forgotten)
        patch.setattr(books, "count", counted)
        put_forward(1.01)
        await until(lambda: len(rounds) == 2)
        for _ in range(3):
            await asyncio.sleep(0)
