"""The book: every operation of the ledger as one step on a store.

Invariant: a step first settles leases that have ended, then looks, decides, and writes; a refusal writes nothing of its
own. The sums of a tenant's day and month are at every moment what its rows add up to. The clock is read inside the
step, so that of two processes the later step has the later time. It must not know how a step is made atomic.
"""

from collections.abc import Callable, Sequence

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
    Traffic,
    Usage,
)
from gateway.config.schema import Limits
from gateway.model import Status, StreamId, TenantId
from gateway.quota import bucket, periods, policy
from gateway.quota import entry as entries
from gateway.quota.bucket import SECOND
from gateway.quota.entry import Entry
from gateway.quota.ledger import conflict
from gateway.quota.policy import Rules, Standing
from gateway.quota.prices import Prices
from gateway.quota.store import Place, Remembered, Store, paged

DAY = 86400 * SECOND


class Book:
    """`limits_of` is a plain look-up, called in whatever thread makes the step; `now` is wall time in seconds."""

    def __init__(
        self, limits_of: Callable[[TenantId], Limits], rules: Rules, prices: Prices, now: Callable[[], float]
    ) -> None:
        self._limits_of = limits_of
        self._rules = rules
        self._prices = prices
        self._now = now

    # -- the life of a generation ----------------------------------------------------------------------------------

    def reserve(self, store: Store, reservation: Reservation) -> Grant:
        now = self._settle_lapsed(store)
        tenant = reservation.principal.tenant
        if reservation.once is not None and (known := self._ordered(store, tenant, reservation.once, now)):
            entry = store.entry(known)
            return Grant(known, entry.reserved / 1000 if entry else 0.0, repeated=True)
        if (there := store.entry(reservation.stream_id)) is not None:
            return Grant(there.stream_id, there.reserved / 1000, repeated=True)
        wanted = self._estimate(store, reservation)
        limits = self._limits_of(tenant)
        standing = self._standing(store, tenant, limits, now, now)
        minimum = wanted if reservation.whole else entries.milliseconds(self._rules.minimum_seconds)
        granted = policy.admit(limits, standing, wanted, minimum, now)
        entry = entries.opened(reservation, granted, int(self._rules.lease_seconds * SECOND), now)
        remembered = None
        if reservation.once is not None:
            until = now + int(self._rules.idempotency_seconds * SECOND)
            remembered = (reservation.once.key, Remembered(reservation.once.request_hash, entry.stream_id, until))
        store.add(entry, remembered)
        self._use(store, entry, granted)
        return Grant(entry.stream_id, granted / 1000, partial=granted < wanted)

    def ordered(self, store: Store, tenant: TenantId, once: Once) -> StreamId | None:
        return self._ordered(store, tenant, once, self._instant())

    def withdraw(self, store: Store, stream_id: StreamId) -> None:
        now = self._settle_lapsed(store)
        entry = store.entry(stream_id)
        if entry is not None and entry.status is State.QUEUED and not entry.received:
            store.forget(stream_id)
            self._change(store, entry, entries.settled(entry, Settlement(Status.CANCELLED, 0.0), self._prices, now))

    def begin(self, store: Store, stream_id: StreamId, provider_request_id: str | None) -> None:
        entry = store.entry(stream_id)
        if entry is not None:
            self._change(store, entry, entries.begun(entry, provider_request_id))

    def renew(self, store: Store, stream_id: StreamId, received_seconds: float) -> bool:
        now = self._settle_lapsed(store)
        entry = store.entry(stream_id)
        return entry is not None and self._renewed(store, entry, received_seconds, now) is not None

    def extend(self, store: Store, stream_id: StreamId, seconds: float) -> float:
        now = self._settle_lapsed(store)
        entry = store.entry(stream_id)
        if entry is None or (entry := self._renewed(store, entry, 0.0, now)) is None:
            return 0.0
        limits = self._limits_of(entry.tenant)
        standing = self._standing(store, entry.tenant, limits, entry.created_at, now)
        # Sound that came before it was asked for is charged already, and needs no room.
        covered = entry.charge - entry.reserved
        wanted = entries.milliseconds(seconds)
        if wanted > covered:
            wanted = covered + policy.grant(
                limits, standing.day, standing.month, wanted - covered, 1, entry.created_at, now
            )
        self._change(store, entry, entries.extended(entry, wanted))
        return wanted / 1000

    def settle(self, store: Store, stream_id: StreamId, settlement: Settlement) -> Generation | None:
        now = self._settle_lapsed(store)
        entry = store.entry(stream_id)
        if entry is None:
            return None
        after = entries.settled(entry, settlement, self._prices, now)
        self._change(store, entry, after)
        return entries.shown(after)

    def heard(self, store: Store, traffic: Sequence[Traffic]) -> None:
        today = periods.day(self._instant())
        for one in traffic:
            entry = store.entry(one.stream_id)
            if entry is not None:
                store.change(entry, entries.heard(entry, one))
                store.use(entry.tenant, today, 0, one.egress_bytes)

    def sweep(self, store: Store) -> int:
        before = self._instant()
        ended = sum(entry.expires_at <= before for entry in store.lapsed(before))
        now = self._settle_lapsed(store)
        horizon = now - self._rules.keep_days * DAY
        store.prune(now, horizon, periods.day(max(0, horizon)))
        return ended

    # -- looking things up -----------------------------------------------------------------------------------------

    def remaining(self, store: Store, tenant: TenantId) -> Remaining:
        now = self._instant()
        limits = self._limits_of(tenant)
        standing = self._standing(store, tenant, limits, now, now)
        day_ends, month_ends = periods.day_ends(now) / SECOND, periods.month_ends(now) / SECOND
        return Remaining(
            concurrent_streams=Budget(limits.concurrent_streams, standing.held),
            audio_seconds_per_day=Budget(limits.audio_seconds_per_day, standing.day.audio / 1000, day_ends),
            audio_seconds_per_month=Budget(limits.audio_seconds_per_month, standing.month.audio / 1000, month_ends),
            egress_bytes_per_day=Budget(limits.egress_bytes_per_day, standing.day.egress, day_ends),
        )

    def generation(self, store: Store, tenant: TenantId, stream_id: StreamId) -> Generation | None:
        entry = store.entry(stream_id)
        return entries.shown(entry) if entry is not None and entry.tenant == tenant else None

    def usage(self, store: Store, tenant: TenantId, since: float, until: float, limit: int) -> Usage:
        totals = store.totals(tenant, int(since * SECOND), int(until * SECOND))
        return Usage(totals, self._page(store, tenant, since, until, None, limit))

    def generations(self, store: Store, tenant: TenantId, since: float, until: float, after: str, limit: int) -> Page:
        return self._page(store, tenant, since, until, Place.told(after), limit)

    # -- the parts of a step ---------------------------------------------------------------------------------------

    def _instant(self) -> int:
        return int(self._now() * SECOND)

    def _settle_lapsed(self, store: Store) -> int:
        now = self._instant()
        for entry in store.lapsed(now):
            self._change(store, entry, entries.lapsed(entry, self._prices, now))
        return now

    def _ordered(self, store: Store, tenant: TenantId, once: Once, now: int) -> StreamId | None:
        known = store.remembered(tenant, once.key)
        if known is None or known.expires_at <= now:
            return None
        if known.request_hash != once.request_hash:
            raise conflict()
        return known.stream_id

    def _estimate(self, store: Store, reservation: Reservation) -> int:
        if reservation.estimate_seconds is not None:
            return entries.milliseconds(reservation.estimate_seconds)
        if reservation.whole:
            return entries.milliseconds(self._rules.default_estimate_seconds)
        durations = store.durations(reservation.principal.tenant, reservation.model) or store.durations(
            None, reservation.model
        )
        return policy.estimate(durations, entries.milliseconds(self._rules.default_estimate_seconds))

    def _standing(self, store: Store, tenant: TenantId, limits: Limits, created_at: int, now: int) -> Standing:
        rate = limits.streams_per_minute
        return Standing(
            held=store.held(tenant),
            nth_start=store.nth_start(tenant, rate, bucket.earliest(now), bucket.latest(now)) if rate else None,
            day=store.used(tenant, periods.day(created_at)),
            month=store.used(tenant, periods.month(created_at)),
        )

    def _renewed(self, store: Store, entry: Entry, received_seconds: float, now: int) -> Entry | None:
        """The row with a new lease; None if it has ended, or has expired and there is no room to take it up again."""
        received = entries.milliseconds(received_seconds)
        after: Entry | None = None
        if entry.open:
            after = entries.renewed(entry, received, now)
        elif entry.status is State.EXPIRED:
            limits = self._limits_of(entry.tenant)
            standing = self._standing(store, entry.tenant, limits, entry.created_at, now)
            again = entries.reopened(entry, received, now)
            if policy.readmit(limits, standing, again.charge - entry.charge):
                after = again
            else:
                self._change(store, entry, entries.outlived(entry, received, self._prices))
        if after is not None:
            self._change(store, entry, after)
        return after

    def _change(self, store: Store, before: Entry, after: Entry) -> None:
        if before != after:
            store.change(before, after)
            self._use(store, before, after.charge - before.charge)

    def _use(self, store: Store, entry: Entry, amount: int) -> None:
        if amount:
            store.use(entry.tenant, periods.day(entry.created_at), amount, 0)
            store.use(entry.tenant, periods.month(entry.created_at), amount, 0)

    def _page(
        self, store: Store, tenant: TenantId, since: float, until: float, after: Place | None, limit: int
    ) -> Page:
        rows = store.page(tenant, int(since * SECOND), int(until * SECOND), after, limit + 1)
        return paged(rows, limit)
