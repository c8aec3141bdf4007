"""Orders that are made again: an `Idempotency-Key` names an order, and whoever repeats it gets the stream it made.

Invariant: under one key a tenant buys once, and a ticket pays once, however often and however much at once it is
asked; another order under the same key is refused. The ledger remembers keys for a day, across restarts, and what is
remembered here spares it the question. A ticket's keys are its own: no guest meets another's.
It must not know sockets.
"""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec

from gateway.accounting import Once
from gateway.errors import RequestError
from gateway.model import StreamId, TenantId
from gateway.protocol.events import StreamInfo
from gateway.quota.ledger import Ledger
from gateway.relay.hub import Hub
from gateway.relay.order import Order, RepeatedOrderError
from gateway.relay.replica import AnyStream
from gateway.server.view import generation_info, stream_info
from gateway.server.visitor import Visitor

HEADER = "Idempotency-Key"
# Orders remembered here, past which the ledger alone knows them, and for how long: as long as there.
KEPT_ORDERS = 10_000
KEPT_SECONDS = 86_400.0

_KEY = re.compile(r"[!-~]{1,255}")
_encoder = msgspec.json.Encoder(order="deterministic")


def once_of(given: Sequence[str], body: msgspec.Struct, visitor: Visitor) -> Once | None:
    """What the order is known by, None without the header. Raises RequestError that names it."""
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        sentence = f"{HEADER} is one word of at most 255 visible ASCII characters, such as a UUID."
        raise RequestError("invalid_request", sentence, param=HEADER)
    # No key of a tenant has a space in it, so none is mistaken for a ticket's.
    key = given[0] if visitor.ticket is None else f"{visitor.ticket.id.hex()} {given[0]}"
    return Once(key, hashlib.sha256(_encoder.encode(body)).hexdigest())


class Repeats:
    """What was ordered under which key; `ledger` knows what the hub keeps no more, `now` is monotonic."""

    def __init__(
        self, hub: Hub, ledger: Ledger, kept: int = KEPT_ORDERS, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._hub = hub
        self._ledger = ledger
        self._kept = kept
        self._now = now
        self._made: OrderedDict[tuple[TenantId, str], tuple[str, StreamId, float]] = OrderedDict()
        self._ordering: dict[tuple[TenantId, str], asyncio.Future[None]] = {}

    async def order(
        self, order: Order, base: str, buy: Callable[[], Awaitable[tuple[AnyStream, bool]]]
    ) -> tuple[StreamInfo, bool]:
        """The document of what was ordered, and whether it was there already. Raises what `buy` does.

        `buy` takes what the order costs its buyer and makes it; `base` is the gateway's address as the client wrote it.
        """
        once = order.once
        if once is None:
            stream, there = await buy()
            return stream_info(stream, base), there
        name = order.tenant, once.key
        async with self._turn(name):
            self._forget()
            made = self._made.get(name)
            if made is not None:
                if made[0] != once.request_hash:
                    sentence = f"This {HEADER} was used for another request: use a new one for a new request."
                    raise RequestError("idempotency_conflict", sentence, param=HEADER)
                return await self._again(order, made[1], base), True
            before = await self._ledger.ordered(order.tenant, once)
            if before is not None:
                self._remember(name, once.request_hash, before)
                return await self._again(order, before, base), True
            try:
                stream, there = await buy()
            except RepeatedOrderError as repeated:
                self._remember(name, once.request_hash, repeated.stream_id)
                return await self._again(order, repeated.stream_id, base), True
            self._remember(name, once.request_hash, stream.id)
            return stream_info(stream, base), there

    async def _again(self, order: Order, stream_id: StreamId, base: str) -> StreamInfo:
        try:
            return stream_info(await self._hub.find(order.tenant, stream_id), base)
        except RequestError:
            generation = await self._ledger.generation(order.tenant, stream_id)
        if generation is None:
            raise RepeatedOrderError(stream_id)
        return generation_info(generation, order.request, base)

    def _remember(self, name: tuple[TenantId, str], request_hash: str, stream_id: StreamId) -> None:
        self._made[name] = request_hash, stream_id, self._now()
        if len(self._made) > self._kept:
            self._made.popitem(last=False)

    def _forget(self) -> None:
        horizon = self._now() - KEPT_SECONDS
        while self._made and next(iter(self._made.values()))[2] <= horizon:
            self._made.popitem(last=False)

    @asynccontextmanager
    async def _turn(self, name: tuple[TenantId, str]) -> AsyncIterator[None]:
        """One after another: what the first has bought, the others need not pay."""
        while (before := self._ordering.get(name)) is not None:
            await asyncio.wait([before])
        mine = self._ordering[name] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._ordering[name]
            mine.set_result(None)
