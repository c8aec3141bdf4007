"""Songs that may be shared: of many who order the same one at once, on whichever node, one pays and all hear it.

Invariant: between a look whether a song is being made and the order of it, nobody else orders it here; nodes keep
apart by a claim on the song's name, which whoever has nothing to share gives up. It must not know money or sockets.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from gateway.errors import ServiceError
from gateway.log import event
from gateway.model import GenerationRequest, StreamId, TenantId
from gateway.relay.letters import Sharing, sharing
from gateway.relay.neighbours import Neighbours, owned
from gateway.relay.order import Order
from gateway.relay.replica import AnyStream
from gateway.relay.stream import Stream

logger = logging.getLogger("wavegate.songs")

_Song = tuple[TenantId, GenerationRequest]


class Songs:
    """Of one node; `streams` are the hub's. A claim on a song is good for `claim_seconds`."""

    def __init__(self, streams: Mapping[StreamId, AnyStream], claim_seconds: float) -> None:
        self.neighbours: Neighbours | None = None
        self._streams = streams
        self._claim_seconds = claim_seconds
        # The newest stream of each song, and the songs that are being ordered to be shared.
        self._newest: dict[_Song, StreamId] = {}
        self._ordering: dict[_Song, asyncio.Future[None]] = {}

    def note(self, stream: AnyStream) -> None:
        """It is the newest of its song."""
        self._newest[stream.tenant, stream.request] = stream.id

    def forget(self, stream: AnyStream) -> None:
        """It is kept no more."""
        if self._newest.get((stream.tenant, stream.request)) == stream.id:
            del self._newest[stream.tenant, stream.request]

    async def order(
        self, order: Order, buy: Callable[[Order], Awaitable[tuple[AnyStream, bool]]]
    ) -> tuple[AnyStream, bool]:
        """A stream of this song, and whether it was there already. Raises what `buy` does."""
        song = (order.tenant, order.request)
        if (known := await self._being_made(song, order.grace)) is not None:
            if order.allowance is None and isinstance(known, Stream):
                # Whoever began it may have had little to spend: it is not to end early for those who have more.
                known.account.lift()
            return known, True
        ordering = self._ordering[song] = asyncio.get_running_loop().create_future()
        try:
            if self.neighbours is None:
                return await buy(order)
            return await self._among_nodes(order, buy, self.neighbours)
        finally:
            del self._ordering[song]
            ordering.set_result(None)

    async def shared_with(self, asked: Sharing) -> StreamId | None:
        """Another node has the same song ordered: the one that is made here, once an order of it is decided."""
        known = await self._being_made((asked.tenant, asked.request), asked.grace)
        return known.id if known is not None and owned(known) else None

    async def _being_made(self, song: _Song, grace: float | None) -> AnyStream | None:
        while (ordering := self._ordering.get(song)) is not None:
            await asyncio.wait([ordering])
        known = self._streams.get(self._newest.get(song, StreamId("")))
        if known is None or not known.shareable:
            return None
        known.share(grace)
        return known

    async def _among_nodes(
        self, order: Order, buy: Callable[[Order], Awaitable[tuple[AnyStream, bool]]], neighbours: Neighbours
    ) -> tuple[AnyStream, bool]:
        """Another node's stream of this song if there is one, else a new one that the others will find."""
        name = name_of(order.tenant, order.request)
        asked = sharing(order.tenant, order.request, order.grace)
        try:
            known = await neighbours.shared(name, asked, self._claim_seconds)
        except ServiceError as away:
            # It costs a song that might have been shared; whether there is money for it is the ledger's to say.
            event(logger, "stream.not_shared", code=away.code)
            known = None
        if known is not None:
            return known, True
        try:
            return await buy(order)
        except BaseException:
            await neighbours.unclaim(name)
            raise


def name_of(tenant: TenantId, request: GenerationRequest) -> str:
    """What a song is claimed by, among all nodes."""
    return f"song:{hashlib.sha256(sharing(tenant, request, None).octets()).hexdigest()}"
