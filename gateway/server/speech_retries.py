"""Orders that OpenAI's SDKs send again by themselves: they name no order, they only say that they are at it again.

An SDK asks anew after a connection that broke or kept silent for too long, with the same body and a count of its tries
(`X-Stainless-Retry-Count`), but without a key. Invariant: such a repetition is the newest order with that body of the
same caller, so it buys nothing; how much is remembered, and for how long, is bounded.
It must not know streams, nor what is answered.
"""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec

from gateway.model import StreamId
from gateway.protocol.openai import SpeechBody
from gateway.server.visitor import Visitor

HEADER = "X-Stainless-Retry-Count"
# An SDK waits ten minutes for an answer, unless it is told otherwise.
KEPT_SECONDS = 900.0
KEPT_ORDERS = 10_000

_COUNT = re.compile(r"\d{1,6}", re.ASCII)
_encoder = msgspec.json.Encoder(order="deterministic")

Name = tuple[str, str, bytes]


def tries_of(headers: Mapping[str, str]) -> int | None:
    """How often this order was sent before; None when whoever sends it does not count."""
    said = headers.get(HEADER, "")
    return int(said) if _COUNT.fullmatch(said) else None


def name_of(visitor: Visitor, body: SpeechBody) -> Name:
    """Whose order of what it is: a guest's is its ticket's own."""
    caller = visitor.principal.key_id if visitor.ticket is None else visitor.ticket.id.hex()
    return visitor.principal.tenant, caller, hashlib.sha256(_encoder.encode(body)).digest()


class Retries:
    """What was ordered lately by those who count their tries. `now` is monotonic."""

    def __init__(self, kept: int = KEPT_ORDERS, now: Callable[[], float] = time.monotonic) -> None:
        self._kept = kept
        self._now = now
        self._made: OrderedDict[Name, tuple[StreamId, float]] = OrderedDict()
        self._ordering: dict[Name, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def turn(self, name: Name) -> AsyncIterator[None]:
        """One after another: a repetition may come while the order itself is still being made."""
        while (before := self._ordering.get(name)) is not None:
            await asyncio.wait([before])
        mine = self._ordering[name] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._ordering[name]
            mine.set_result(None)

    def remember(self, name: Name, stream_id: StreamId) -> None:
        """This order has made this stream."""
        self._made.pop(name, None)
        self._made[name] = stream_id, self._now()
        if len(self._made) > self._kept:
            self._made.popitem(last=False)

    def known(self, name: Name) -> StreamId | None:
        """The stream that this order made before."""
        horizon = self._now() - KEPT_SECONDS
        while self._made and next(iter(self._made.values()))[1] <= horizon:
            self._made.popitem(last=False)
        made = self._made.get(name)
        return made[0] if made is not None else None
