"""A plain model of what any ledger must answer.

It keeps rows and nothing else: whatever it is asked, it adds them up again, in whole seconds.
Invariant: no sum is kept, and no answer rests on an earlier one. It must not know a store.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.accounting import Reservation, Settlement
from gateway.config.schema import Limits
from gateway.model import Status, StreamId, TenantId
from gateway.quota.policy import Rules
from tests.support.ledger import DAY, Time


@dataclass
class Row:
    tenant: TenantId
    created: float
    expires: float
    reserved: float
    state: str = "queued"
    received: float = 0.0
    settled: float = 0.0
    key: str | None = None

    @property
    def running(self) -> bool:
        return self.state in ("queued", "running")

    @property
    def charge(self) -> float:
        return max(self.reserved, self.received) if self.running else self.settled


class Model:
    """What a ledger must answer, in whole seconds, by adding up its rows each time; one model of song."""

    def __init__(self, limits: Limits, rules: Rules, now: Time) -> None:
        self.limits, self.rules, self.now = limits, rules, now
        self.rows: dict[StreamId, Row] = {}
        self.done: list[tuple[float, StreamId, TenantId, float]] = []

    def tick(self) -> None:
        """What time alone does."""
        for row in self.rows.values():
            if row.running and row.expires <= self.now.at:
                row.state, row.settled = "expired", row.received
            elif row.running:
                row.expires = min(row.expires, self.now.at + self.rules.lease_seconds)

    def mine(self, tenant: TenantId) -> list[Row]:
        return [row for row in self.rows.values() if row.tenant == tenant]

    def held(self, tenant: TenantId) -> int:
        return sum(row.running for row in self.mine(tenant))

    def used(self, tenant: TenantId, span: tuple[float, float]) -> float:
        return sum(row.charge for row in self.mine(tenant) if span[0] <= row.created < span[1])

    def spans(self, at: float) -> tuple[tuple[int, tuple[float, float]], ...]:
        """The limits on audio, the month's first, each with its span of time."""
        midnight = datetime.fromtimestamp(at, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        first = midnight.replace(day=1)
        return (
            (
                self.limits.audio_seconds_per_month,
                (first.timestamp(), (first + timedelta(days=32)).replace(day=1).timestamp()),
            ),
            (self.limits.audio_seconds_per_day, (midnight.timestamp(), midnight.timestamp() + DAY)),
        )

    def estimate(self, tenant: TenantId) -> float:
        own = [seconds for _, _, who, seconds in sorted(self.done) if who == tenant][-20:]
        known = sorted(own or [seconds for _, _, _, seconds in sorted(self.done)][-20:])
        return known[-(len(known) // 10) - 1] if known else self.rules.default_estimate_seconds

    def reserve(self, one: Reservation) -> object:
        self.tick()
        now, tenant = self.now.at, one.principal.tenant
        if one.stream_id in self.rows:
            return "repeated"
        wanted = self.estimate(tenant)
        granted = wanted
        for limit, span in self.spans(now):
            if limit:
                left = limit - self.used(tenant, span)
                if left < min(self.rules.minimum_seconds, wanted, limit):
                    return "quota_exceeded", span[1] - now
                granted = min(granted, left)
        if self.limits.concurrent_streams and self.held(tenant) >= self.limits.concurrent_streams:
            return "concurrency_exceeded", 5.0
        recent = sorted(row.created for row in self.mine(tenant) if now - 60 < row.created <= now + 60)
        rate = self.limits.streams_per_minute
        if rate and len(recent) >= rate:
            return "rate_exceeded", recent[-rate] + 60 - now
        self.rows[one.stream_id] = Row(tenant, now, now + self.rules.lease_seconds, granted)
        return granted, granted < wanted

    def renew(self, stream_id: StreamId, received: float) -> bool:
        self.tick()
        row = self.rows.get(stream_id)
        if row is None or not (row.running or row.state == "expired"):
            return False
        if row.state == "expired":
            more = max(row.reserved, row.received, received) - row.charge
            full = self.held(row.tenant) >= self.limits.concurrent_streams > 0
            poor = any(limit and self.used(row.tenant, span) + more > limit for limit, span in self.spans(row.created))
            if full or poor:
                row.received = row.settled = max(row.received, received)
                return False
            row.state, row.settled = "running", 0.0
        row.received = max(row.received, received)
        row.expires = self.now.at + self.rules.lease_seconds
        return True

    def extend(self, stream_id: StreamId, seconds: float) -> object:
        if not self.renew(stream_id, 0.0):
            return 0.0
        row = self.rows[stream_id]
        covered = row.charge - row.reserved
        if seconds > covered:
            for limit, span in self.spans(row.created):
                left = limit - self.used(row.tenant, span)
                if limit and left <= 0:
                    return "quota_exceeded", max(0.0, span[1] - self.now.at)
            lefts = [limit - self.used(row.tenant, span) for limit, span in self.spans(row.created) if limit]
            seconds = min([seconds, *(covered + left for left in lefts)])
        row.reserved += seconds
        return seconds

    def settle(self, stream_id: StreamId, settlement: Settlement) -> float | None:
        self.tick()
        row = self.rows.get(stream_id)
        if row is None:
            return None
        if row.running or row.state == "expired":
            billed = settlement.billed_seconds
            whole = settlement.status is Status.COMPLETED
            row.settled = billed if whole and billed is not None else settlement.received_seconds
            row.received = max(row.received, settlement.received_seconds)
            row.state = settlement.status.value
            if whole and row.settled:
                self.done.append((self.now.at, stream_id, row.tenant, row.settled))
        return row.settled
