"""The ledger on Redis or Valkey: one for all processes and nodes that share it, each operation one Lua script.

Invariant: a script is one step, between which and another nothing happens; it decides as `Book` does, and by the
server's own clock unless a clock is given, so that nodes need not agree on the time. A server that is away costs an
answer and nothing else: nothing is kept here that it would have to be told, but slots that may have been given to
nobody. It must not know how rows are kept there, nor streams or sockets.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from gateway.accounting import (
    Budget,
    Generation,
    Grant,
    Once,
    Page,
    Remaining,
    Reservation,
    Settlement,
    State,
    Totals,
    Traffic,
    Usage,
)
from gateway.config.schema import Limits
from gateway.errors import LimitError, ServiceError
from gateway.log import event as log_event
from gateway.model import Status, StreamId, TenantId
from gateway.quota import periods, policy
from gateway.quota.bucket import SECOND
from gateway.quota.entry import Entry, milliseconds, shown
from gateway.quota.ledger import conflict, unavailable
from gateway.quota.policy import Rules
from gateway.quota.prices import MILLION, Prices
from gateway.quota.redis_scripts import COLUMNS, SCRIPTS, WHOLE
from gateway.quota.store import Place, paged
from gateway.redis.connection import Redis, Value

logger = logging.getLogger("wavegate.ledger")

# Reservations whose answer was lost, past which their slots are left to their leases.
MOST_DOUBTFUL = 4096


class RedisLedger:
    """Implements `Ledger`, for one loop. `redis` is its own, and closed with it; `now` is wall time, None the server's.

    The server is one, with replicas or without: a Redis Cluster spreads keys that a script needs together.
    """

    def __init__(
        self,
        redis: Redis,
        limits_of: Callable[[TenantId], Limits],
        rules: Rules | None = None,
        prices: Prices | None = None,
        *,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._redis = redis
        self._limits_of = limits_of
        self._rules = rules or Rules()
        self._now = now
        table = (prices or Prices()).by_model.items()
        self._prices = json.dumps({model: [price.per_second, price.per_character] for model, price in table})
        self._doubtful: dict[StreamId, None] = {}

    async def open(self) -> None:
        """Sees that it is there, and says in the log if it may forget what it is told.

        Raises ServiceError `ledger_unavailable`, and is closed then.
        """
        try:
            await self.sweep()
            await self.check()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        # Nobody sweeps here any more: what is not given back now waits for the end of its lease.
        with suppress(ServiceError):
            await self._give_back()
        await self._redis.close()

    async def check(self) -> None:
        """Warns of a server that forgets for want of memory, or when it is restarted: bills would be lost with it."""
        try:
            memory, disk = await self._redis.batch([("INFO", "memory"), ("INFO", "persistence")])
        except ServiceError:
            # Who hosts it may keep that to themselves.
            return
        policy = memory.get("maxmemory_policy", "noeviction")
        if memory.get("maxmemory") and policy != "noeviction":
            log_event(logger, "ledger.may_be_evicted", policy=policy)
        if not disk.get("aof_enabled", True):
            log_event(logger, "ledger.may_be_forgotten", appendonly="no")

    async def ping(self) -> None:
        """Raises ServiceError `ledger_unavailable` while the server is away."""
        await self._answer(self._redis.call("PING"))

    async def reserve(self, reservation: Reservation) -> Grant:
        rules, principal, once = self._rules, reservation.principal, reservation.once
        estimate, minimum = reservation.estimate_seconds, milliseconds(rules.minimum_seconds)
        if reservation.whole:
            estimate = rules.default_estimate_seconds if estimate is None else estimate
            minimum = milliseconds(estimate)
        limits = self._limits_of(principal.tenant)
        self._doubtful.pop(reservation.stream_id, None)
        try:
            kind, *words = await self._ask(
                "reserve",
                *(reservation.stream_id, principal.tenant, principal.key_id, reservation.model),
                "" if estimate is None else milliseconds(estimate),
                milliseconds(rules.default_estimate_seconds),
                minimum,
                int(rules.lease_seconds * SECOND),
                *self._once(once),
                *_numbers(limits),
            )
        except BaseException:
            # Nobody waits for it any more, but it may have been granted: the next sweep takes it back.
            if len(self._doubtful) < MOST_DOUBTFUL:
                self._doubtful[reservation.stream_id] = None
            raise
        if kind == b"conflict":
            raise conflict()
        if kind == b"refused":
            raise _refusal(limits, *words)
        seconds = int(words[1]) / 1000
        if kind == b"repeated":
            return Grant(StreamId(words[0].decode()), seconds, repeated=True)
        return Grant(reservation.stream_id, seconds, partial=words[2] == b"1")

    async def ordered(self, tenant: TenantId, once: Once) -> StreamId | None:
        kind, *words = await self._ask("ordered", tenant, once.key, once.request_hash)
        if kind == b"conflict":
            raise conflict()
        return StreamId(words[0].decode()) if words else None

    async def withdraw(self, stream_id: StreamId) -> None:
        await self._ask("withdraw", stream_id)

    async def begin(self, stream_id: StreamId, provider_request_id: str | None) -> None:
        await self._ask("begin", stream_id, int(provider_request_id is not None), provider_request_id or "")

    async def renew(self, stream_id: StreamId, received_seconds: float) -> bool:
        (kind, *_), _ = await self._ask_by_limits("renew", stream_id, milliseconds(received_seconds))
        return bool(kind == b"kept")

    async def extend(self, stream_id: StreamId, seconds: float) -> float:
        (kind, *words), limits = await self._ask_by_limits("extend", stream_id, milliseconds(seconds))
        if kind == b"refused":
            raise _refusal(limits, *words)
        return int(words[0]) / 1000

    async def settle(self, stream_id: StreamId, settlement: Settlement) -> Generation | None:
        received = milliseconds(settlement.received_seconds)
        billed = settlement.billed_seconds
        complete = settlement.status is Status.COMPLETED and billed is not None
        amount = milliseconds(billed or 0.0) if complete else received
        characters = "" if settlement.characters is None else settlement.characters
        row = await self._ask("settle", stream_id, settlement.status.value, received, amount, characters)
        return None if row is None else shown(_entry(row))

    async def heard(self, traffic: Sequence[Traffic]) -> None:
        await self.heard_once(traffic, "")

    async def heard_once(self, traffic: Sequence[Traffic], told: str) -> None:
        """As `heard`. `told` names this telling: whoever got no answer may tell it again by that name, for a day."""
        words = [(one.stream_id, milliseconds(one.listener_seconds), one.egress_bytes) for one in traffic]
        await self._ask("heard", told, *(word for one in words for word in one))

    async def sweep(self) -> int:
        ended = int(await self._ask("sweep"))
        await self._give_back()
        return ended

    async def _give_back(self) -> None:
        """What may have been granted to somebody who never heard of it."""
        for stream_id in list(self._doubtful):
            await self.withdraw(stream_id)
            self._doubtful.pop(stream_id, None)

    async def carry(self, entry: Entry, once: Once | None = None, *, replace: bool = True) -> None:
        """Books a row that was kept elsewhere, as it stands: told again, it counts once.

        What is there already is left alone unless it is to `replace` it.
        """
        self._doubtful.pop(entry.stream_id, None)
        row = {name: value for name in COLUMNS if (value := getattr(entry, name)) is not None}
        await self._ask("carry", json.dumps(row), int(replace), *self._once(once))

    # -- looking things up -----------------------------------------------------------------------------------------

    async def remaining(self, tenant: TenantId) -> Remaining:
        limits = self._limits_of(tenant)
        now, held, day, month, egress = map(int, await self._ask("remaining", tenant))
        day_ends, month_ends = periods.day_ends(now) / SECOND, periods.month_ends(now) / SECOND
        return Remaining(
            concurrent_streams=Budget(limits.concurrent_streams, held),
            audio_seconds_per_day=Budget(limits.audio_seconds_per_day, day / 1000, day_ends),
            audio_seconds_per_month=Budget(limits.audio_seconds_per_month, month / 1000, month_ends),
            egress_bytes_per_day=Budget(limits.egress_bytes_per_day, egress, day_ends),
        )

    async def generation(self, tenant: TenantId, stream_id: StreamId) -> Generation | None:
        row = await self._ask("generation", stream_id)
        return shown(_entry(row)) if row[COLUMNS.index("tenant")] == tenant.encode() else None

    async def usage(self, tenant: TenantId, since: float, until: float, *, limit: int = 500) -> Usage:
        span = int(since * SECOND), int(until * SECOND)
        sums, rows = await self._ask("usage", tenant, *span, limit + 1)
        reserved, settled, refunded, listened, egress, cost, generations = map(int, sums)
        totals = Totals(
            reserved=reserved / 1000,
            settled=settled / 1000,
            refunded=refunded / 1000,
            listener_seconds=listened / 1000,
            egress_bytes=egress,
            cost=cost / MILLION,
            generations=generations,
        )
        return Usage(totals, paged([_entry(row) for row in rows], limit))

    async def generations(self, tenant: TenantId, since: float, until: float, after: str, limit: int = 500) -> Page:
        place = Place.told(after)
        span = int(since * SECOND), int(until * SECOND)
        rows = await self._ask("generations", tenant, *span, *place, limit + 1)
        return paged([_entry(row) for row in rows], limit)

    # -- asking ----------------------------------------------------------------------------------------------------

    async def _ask(self, operation: str, *words: Value) -> Any:
        now = "" if self._now is None else int(self._now() * SECOND)
        kept = self._rules.keep_days * 86400
        return await self._answer(self._redis.run(SCRIPTS[operation], (), (now, self._prices, kept, *words)))

    async def _answer(self, asked: Awaitable[Any]) -> Any:
        try:
            return await asked
        except ServiceError:
            # The connection has said in the log why.
            raise unavailable("does not answer") from None

    async def _ask_by_limits(self, operation: str, *words: Value) -> tuple[Any, Limits]:
        """What needs the limits of the row's tenant: the row says whose, and the step is asked for with them."""
        tenant, limits = "", Limits()
        while True:
            answer = await self._ask(operation, *words, tenant, *_numbers(limits))
            if answer[0] != b"whose":
                return answer, limits
            tenant = answer[1].decode()
            limits = self._limits_of(TenantId(tenant))

    def _once(self, once: Once | None) -> tuple[Value, Value, Value]:
        if once is None:
            return "", "", 0
        return once.key, once.request_hash, int(self._rules.idempotency_seconds * SECOND)


def _numbers(limits: Limits) -> tuple[int, int, int, int, int]:
    return (
        limits.concurrent_streams,
        limits.streams_per_minute,
        limits.audio_seconds_per_day,
        limits.audio_seconds_per_month,
        limits.egress_bytes_per_day,
    )


def _refusal(limits: Limits, reason: bytes, instant: bytes, now: bytes) -> LimitError:
    at, moment = int(instant), int(now)
    if reason == b"month":
        return policy.no_seconds_this_month(limits, at, moment)
    if reason == b"day":
        return policy.no_seconds_today(limits, at, moment)
    if reason == b"egress":
        return policy.no_bytes(limits, moment)
    return policy.no_slot(limits) if reason == b"slots" else policy.no_start(limits, at - moment)


def _entry(row: Sequence[bytes | None]) -> Entry:
    values: dict[str, Any] = {}
    for name, word in zip(COLUMNS, row, strict=True):
        values[name] = None if word is None else int(word) if name in WHOLE else word.decode()
    return Entry(**(values | {"status": State(values["status"])}))
