"""The hub: every stream of this process by its id, who may have it, and how long it is kept.

Invariant: a stream belongs to one tenant and does not exist for any other; finished streams are kept within the
configured seconds and bytes, least recently heard first to go; limits on listeners count the listeners that are there,
never a number kept beside them. It must not know sockets, keys or formats beyond their names.
"""

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

from gateway.accounting import Reservation
from gateway.config.schema import Limits, Relay, Transcode
from gateway.errors import LimitError, ServiceError, WavegateError
from gateway.log import Words
from gateway.log import event as log_event
from gateway.model import Mode, RenditionId, StreamId, TenantId
from gateway.relay.account import Account
from gateway.relay.audiences import Audiences, Place
from gateway.relay.books import Books
from gateway.relay.census import Census
from gateway.relay.channel import Channel
from gateway.relay.departure import LEFT
from gateway.relay.instruments import Instruments
from gateway.relay.listener import Listener, OnLag
from gateway.relay.neighbours import Neighbours, owned, unknown
from gateway.relay.order import Order, RepeatedOrderError
from gateway.relay.ports import Cluster, Encodings, Ledger, ListenerTransport, Source, Traces
from gateway.relay.renditions import Workshop
from gateway.relay.replica import AnyStream, Replica
from gateway.relay.shares import Shares
from gateway.relay.since import Since, locate
from gateway.relay.songs import Songs
from gateway.relay.stream import Stream
from metrics.recorder import Recorder

logger = logging.getLogger("wavegate.hub")

# How long other formats have to come to their end after the streams have.
FINISH_SECONDS = 2.0


class Hub:
    """Used as `async with hub:`; leaving it ends every stream that still runs and waits for their bills."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        encodings: Encodings,
        config: Relay,
        recorder: Recorder,
        limits_of: Callable[[TenantId], Limits],
        *,
        lease_seconds: float,
        fade_seconds: float = 0.0,
        transcode: Transcode,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        random_bits: Callable[[int], int] = secrets.randbits,
        on_money: Callable[[TenantId], None] = lambda _: None,
        cluster: Cluster | None = None,
        traces: Traces | None = None,
    ) -> None:
        self.config = config
        self._source = source
        self._ledger = ledger
        self._shares = Shares(encodings)
        self._transcode = transcode
        self._recorder = recorder
        self._fade_seconds = fade_seconds
        self._instruments = Instruments(recorder, now, wall, traces=traces)
        self._random_bits = random_bits
        self._on_money = on_money
        self._streams: OrderedDict[StreamId, AnyStream] = OrderedDict()
        self._songs = Songs(self._streams, config.retain_seconds)
        self._census = Census(self._streams, self._instruments)
        self._tasks = asyncio.TaskGroup()
        self._workers: set[asyncio.Task[None]] = set()
        self.neighbours: Neighbours | None = None
        if cluster is not None:
            self.neighbours = Neighbours(
                cluster,
                self._streams,
                self._instruments,
                config.live_lag,
                workshop=self._workshop,
                share=self._songs.shared_with,
                spawn=self._spawn,
                crowds=lambda: self._audiences.sizes,
            )
        self._songs.neighbours = self.neighbours
        elsewhere = self.neighbours.crowd if self.neighbours is not None else None
        self._audiences = Audiences(ledger, limits_of, self._instruments, elsewhere)
        self._books = Books(self._streams, ledger, self._audiences.look, lease_seconds, now)
        self._keepers: list[asyncio.Task[None]] = []
        self._draining = False
        self._gone = False

    async def __aenter__(self) -> "Hub":
        await self._tasks.__aenter__()
        self._keepers = [
            self._tasks.create_task(self._keep(), name="hub keeper"),
            self._tasks.create_task(self._books.keep(), name="hub bookkeeper"),
        ]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._draining = self._gone = True
        for keeper in self._keepers:
            keeper.cancel()
        for worker in self._workers:
            worker.cancel()
        stopped = ServiceError("going_away", "The gateway has stopped; the stream has ended.")
        for stream in self._streams.values():
            stream.cancel(stopped)
        await self._tasks.__aexit__(None, None, None)
        await asyncio.gather(*self._workers, return_exceptions=True)
        # What has come is heard in other formats, too, if that does not take long.
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                # What other nodes make goes on there.
                for stream in [stream for stream in self._streams.values() if owned(stream)]:
                    await stream.renditions.finished()
        for stream in self._streams.values():
            stream.close(stopped)
        await self._instruments.fan_out.idle()

    # -- streams ---------------------------------------------------------------------------------------------------

    async def order(self, order: Order) -> tuple[AnyStream, bool]:
        """The stream that was ordered, and whether it was there already.

        Of many who order the same song at once, to share it, one pays, on whichever node. Raises LimitError,
        ServiceError when the gateway is stopping, RepeatedOrderError.
        """
        return await (self._songs.order(order, self._buy) if order.share else self._buy(order))

    async def create(self, order: Order) -> Stream:
        """Buys a song that is shared with nobody. Raises as `order` does."""
        stream, _ = await self._buy(order)
        assert isinstance(stream, Stream), "what is bought here is made here"
        return stream

    async def _buy(self, order: Order) -> tuple[AnyStream, bool]:
        self._check_open()
        tenant, request = order.tenant, order.request
        rendition = self._new_rendition()
        # A file comes when all of it is made, and is billed then.
        whole = request.mode is Mode.FILE
        reservation = Reservation(
            rendition.stream_id, order.principal, request.model, order.once, request.estimate_seconds, whole
        )
        try:
            grant = await self._ledger.reserve(reservation)
        except LimitError as refusal:
            self._recorder.quota_rejected(tenant, refusal.code)
            self._on_money(tenant)
            raise
        if grant.repeated:
            try:
                return await self.find(tenant, grant.stream_id), True
            except WavegateError:
                raise RepeatedOrderError(grant.stream_id) from None
        try:
            self._check_open()
        except ServiceError:
            await self._ledger.withdraw(rendition.stream_id)
            raise
        account = Account(self._ledger, rendition.stream_id, grant.seconds, self._fade_seconds, order.allowance)
        workshop, long = self._workshop(rendition.stream_id, tenant), self.config.silence_seconds
        stream = Stream(rendition, order, account, self._instruments, workshop, silence_seconds=long)
        self._streams[stream.id] = stream
        self._songs.note(stream)
        stream.start(self._tasks, self._source)
        self._tasks.create_task(self._tell_of_money(stream), name=f"money of {stream.id}")
        if self.neighbours is not None:
            await self.neighbours.own([stream.id])
        log_event(
            logger,
            "stream.created",
            stream_id=stream.id,
            tenant=tenant,
            model=request.model,
            mode=request.mode.value,
            key=order.principal.key_id,
            words=Words(request.words),
        )
        return stream, False

    async def _tell_of_money(self, stream: Stream) -> None:
        """What the tenant has left has changed, and changes again with the bill."""
        self._on_money(stream.tenant)
        await stream.wait()
        self._on_money(stream.tenant)

    def _check_open(self) -> None:
        if self._draining:
            raise ServiceError("going_away", "This gateway is stopping: ask again in a moment.", retry_after=1.0)

    def _new_rendition(self, stream_id: StreamId | None = None) -> RenditionId:
        stream_id = stream_id or StreamId(f"st_{self._random_bits(128):032x}")
        return RenditionId(stream_id, number=self._random_bits(32), epoch=self._random_bits(31))

    def _workshop(self, stream_id: StreamId, tenant: TenantId) -> Workshop:
        return Workshop(
            self._shares.of(tenant),
            self._instruments,
            lambda: self._new_rendition(stream_id),
            self.config.max_stream_bytes,
            self._transcode.max_formats,
            self._transcode.keep_seconds,
        )

    def get(self, tenant: TenantId, stream_id: str) -> AnyStream:
        """The tenant's stream of this id, as far as it is known on this node.

        Raises RequestError; another tenant's is as unknown as one that never was.
        """
        stream = self._streams.get(StreamId(stream_id))
        if stream is None or stream.tenant != tenant:
            raise unknown()
        return stream

    async def find(self, tenant: TenantId, stream_id: str) -> AnyStream:
        """The tenant's stream of this id, on whichever node, as it is now. Raises RequestError, ServiceError."""
        if self.neighbours is None or self.owns(stream_id):
            return self.get(tenant, stream_id)
        return await self.neighbours.find(tenant, StreamId(stream_id))

    def owns(self, stream_id: str) -> bool:
        """Whether nobody needs to be asked about it: it is this node's, or there is no other."""
        stream = self._streams.get(StreamId(stream_id))
        return self.neighbours is None or (stream is not None and owned(stream))

    def list(self, tenant: TenantId) -> list[AnyStream]:
        """The tenant's streams that are this node's own, newest first."""
        mine = [stream for stream in self._streams.values() if stream.tenant == tenant and owned(stream)]
        return sorted(mine, key=lambda stream: stream.created_at, reverse=True)

    async def everywhere(self, tenant: TenantId) -> Sequence[AnyStream]:
        """The tenant's streams on all nodes, in no order. Raises ServiceError."""
        others = await self.neighbours.list(tenant) if self.neighbours is not None else []
        return [*self.list(tenant), *others]

    @property
    def streams(self) -> Iterable[AnyStream]:
        """All of this node, of every tenant, those of other nodes that are heard here too: for operators."""
        return self._streams.values()

    # -- listeners -------------------------------------------------------------------------------------------------

    def attach(
        self,
        stream: AnyStream,
        channel: Channel,
        transport: ListenerTransport,
        since: Since,
        on_lag: OnLag,
        place: Place | None = None,
    ) -> tuple[Listener, bool | None]:
        """A new listener, not joined yet, and whether a resume continues without loss; `place` was held for it.

        Raises LimitError.
        """
        if place is None:
            self._audiences.check(stream.tenant)
        start = locate(channel, since, stream.native, stream.moment)
        listener = Listener(channel, transport, start.seq, on_lag, self.config.live_lag, start.wanted)
        self._audiences.enter(stream.tenant, listener, place)
        stream.came()
        self._streams.move_to_end(stream.id)
        return listener, start.recovered

    def check_listeners(self, tenant: TenantId) -> None:
        """Whether the tenant may have one more. Raises LimitError."""
        self._audiences.check(tenant)

    def check_bytes(self, tenant: TenantId) -> None:
        """Whether the tenant's may be sent more today, who are no listeners. Raises LimitError."""
        self._audiences.check_bytes(tenant)

    def place(self, tenant: TenantId) -> AbstractContextManager[Place]:
        """Holds a listener's place while a song is bought for it. Raises LimitError, before anything is spent."""
        return self._audiences.place(tenant)

    def detach(self, tenant: TenantId, listener: Listener, reason: str = LEFT) -> None:
        """The listener is gone, for this reason; a second call does nothing."""
        self._audiences.leave(tenant, listener, reason)

    # -- keeping house ---------------------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> None:
        """Takes nothing new and gives what runs this long to end by itself."""
        self._draining = True
        until = self._instruments.now() + seconds
        running = [asyncio.ensure_future(stream.ended()) for stream in self._streams.values()]
        try:
            if running:
                await asyncio.wait(running, timeout=seconds)
            await self._instruments.fan_out.idle()
        finally:
            for waiter in running:
                waiter.cancel()
        if self.neighbours is not None:
            await self.neighbours.hand_over(max(0.0, until - self._instruments.now()))

    @property
    def running(self) -> int:
        """Generations that have not ended."""
        return sum(not stream.status.final for stream in self._streams.values())

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.forget()
            for stream in self._streams.values():
                stream.tick()
            self._census.take()
            if self.neighbours is not None:
                self.neighbours.tick()

    def forget(self) -> None:
        """Lets go of finished streams that are too old, and of the least recently heard ones past the byte limit."""
        horizon = self._instruments.time() - self.config.retain_seconds
        kept = sum(stream.retained_bytes for stream in self._streams.values() if stream.status.final)
        gone: list[StreamId] = []
        for stream in list(self._streams.values()):
            expired = stream.finished_at is not None and stream.finished_at < horizon
            idle = isinstance(stream, Replica) and stream.idle()
            ended = stream.status.final and not stream.here and not (owned(stream) and stream.listeners)
            if idle or (ended and (expired or kept > self.config.retain_bytes)):
                kept -= stream.retained_bytes if stream.status.final else 0
                del self._streams[stream.id]
                self._books.note(stream)
                if owned(stream):
                    gone.append(stream.id)
                if isinstance(stream, Stream) and stream.account.unsettled is not None:
                    self._books.owing.append(stream.account)
                self._songs.forget(stream)
                # Not left to whoever drops the last reference: a closed connection and its listener refer to each
                # other, and songs held by them waited for a full collection: 340 MiB after 2,500 generations.
                stream.forget(ServiceError("going_away", "This stream is no longer kept."))
                if self.neighbours is not None:
                    self.neighbours.forget(stream.id)
        if gone and self.neighbours is not None:
            self._spawn(self.neighbours.disown(gone), "disown")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Has this done as long as the hub is there; where it breaks, nothing else does."""
        if self._gone:
            work.close()
            return
        worker = asyncio.get_running_loop().create_task(work, name=name)
        self._workers.add(worker)
        worker.add_done_callback(self._did)

    def _did(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (fault := worker.exception()) is not None:
            log_event(logger, "task.broke", exc_info=fault, task=worker.get_name())
