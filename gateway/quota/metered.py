"""A ledger whose steps are measured, and whose money is counted as it is booked.

Invariant: it changes nothing of what the ledger within says or raises. What is reserved is counted when it is granted,
what is settled, refunded and owed when the ledger has taken the bill: once for each generation, whoever asks how often.
A refusal is an answer; a step that is not taken is an error. It must not know who keeps the books.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.accounting import Generation, Grant, Once, Page, Remaining, Reservation, Settlement, Traffic, Usage
from gateway.errors import LimitError, RequestError
from gateway.model import StreamId, TenantId
from gateway.quota.ledger import Ledger
from metrics.recorder import Recorder

T = TypeVar("T")


class MeteredLedger:
    """Implements `Ledger` by way of another. `now` is monotonic."""

    def __init__(self, inner: Ledger, recorder: Recorder, now: Callable[[], float] = time.monotonic) -> None:
        self._inner = inner
        self._recorder = recorder
        self._now = now
        # Of each generation that was reserved here and has no bill yet: whose it is, and what it was granted at first.
        self._open: dict[StreamId, tuple[TenantId, float]] = {}

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    # -- the life of a generation ----------------------------------------------------------------------------------

    async def reserve(self, reservation: Reservation) -> Grant:
        grant = await self._step("reserve", self._inner.reserve(reservation))
        if not grant.repeated:
            tenant, _ = self._open[grant.stream_id] = reservation.principal.tenant, grant.seconds
            self._recorder.audio_seconds(tenant, "reserved", grant.seconds)
        return grant

    async def ordered(self, tenant: TenantId, once: Once) -> StreamId | None:
        return await self._step("read", self._inner.ordered(tenant, once))

    async def withdraw(self, stream_id: StreamId) -> None:
        await self._step("withdraw", self._inner.withdraw(stream_id))
        if (known := self._open.pop(stream_id, None)) is not None:
            tenant, granted = known
            self._recorder.audio_seconds(tenant, "refunded", granted)

    async def begin(self, stream_id: StreamId, provider_request_id: str | None) -> None:
        await self._step("begin", self._inner.begin(stream_id, provider_request_id))

    async def renew(self, stream_id: StreamId, received_seconds: float) -> bool:
        return await self._step("renew", self._inner.renew(stream_id, received_seconds))

    async def extend(self, stream_id: StreamId, seconds: float) -> float:
        more = await self._step("extend", self._inner.extend(stream_id, seconds))
        if (known := self._open.get(stream_id)) is not None:
            self._recorder.audio_seconds(known[0], "reserved", more)
        return more

    async def settle(self, stream_id: StreamId, settlement: Settlement) -> Generation | None:
        booked = await self._step("settle", self._inner.settle(stream_id, settlement))
        if self._open.pop(stream_id, None) is not None and booked is not None:
            self._recorder.audio_seconds(booked.tenant, "settled", booked.settled)
            self._recorder.audio_seconds(booked.tenant, "refunded", booked.refunded)
            self._recorder.cost(booked.tenant, booked.cost)
        return booked

    async def heard(self, traffic: Sequence[Traffic]) -> None:
        await self._step("heard", self._inner.heard(traffic))

    async def sweep(self) -> int:
        return await self._step("sweep", self._inner.sweep())

    # -- looking things up -----------------------------------------------------------------------------------------

    async def remaining(self, tenant: TenantId) -> Remaining:
        return await self._step("remaining", self._inner.remaining(tenant))

    async def generation(self, tenant: TenantId, stream_id: StreamId) -> Generation | None:
        return await self._step("read", self._inner.generation(tenant, stream_id))

    async def usage(self, tenant: TenantId, since: float, until: float, *, limit: int = 500) -> Usage:
        return await self._step("read", self._inner.usage(tenant, since, until, limit=limit))

    async def generations(self, tenant: TenantId, since: float, until: float, after: str, limit: int = 500) -> Page:
        return await self._step("read", self._inner.generations(tenant, since, until, after, limit))

    async def _step(self, operation: str, asked: Awaitable[T]) -> T:
        begin, failed = self._now(), True
        try:
            answer = await asked
            failed = False
        except (LimitError, RequestError):
            failed = False
            raise
        finally:
            self._recorder.ledger_step(operation, self._now() - begin, failed=failed)
        return answer
