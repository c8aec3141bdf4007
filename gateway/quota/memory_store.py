"""A store in plain dictionaries, for tests and for `memory:`.

Invariant: it holds a bounded number of ended rows, the newest; the sums of budgets outlive the rows, so that limits
stay exact. One step at a time: whoever calls it must not be interrupted between two calls of a step.
It must not know limits, prices or a clock.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from gateway.accounting import State, Totals
from gateway.model import StreamId, TenantId
from gateway.quota.bucket import WINDOW
from gateway.quota.entry import Entry
from gateway.quota.policy import Used
from gateway.quota.prices import MILLION
from gateway.quota.store import HISTORY, Place, Remembered


class MemoryStore:
    """`keep` is how many rows are kept for looking at; rows that run, or count for the rate, are kept beyond it."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._entries: dict[StreamId, Entry] = {}
        self._open: dict[TenantId, dict[StreamId, Entry]] = {}
        self._places: dict[TenantId, list[Place]] = {}
        self._used: dict[tuple[str, TenantId], Used] = {}
        self._histories: dict[tuple[TenantId | None, str], list[tuple[int, str, int]]] = {}
        self._remembered: dict[tuple[TenantId, str], Remembered] = {}

    def entry(self, stream_id: StreamId) -> Entry | None:
        return self._entries.get(stream_id)

    def add(self, entry: Entry, remembered: tuple[str, Remembered] | None) -> None:
        insort(self._places.setdefault(entry.tenant, []), Place(entry.created_at, entry.stream_id))
        self._put(entry)
        if remembered is not None:
            self._remembered[entry.tenant, remembered[0]] = remembered[1]
        self._bound(entry.created_at - 2 * WINDOW)

    def change(self, before: Entry, after: Entry) -> None:
        self._put(after)
        if after.status is State.COMPLETED and before.status is not State.COMPLETED and after.settled:
            for tenant in (after.tenant, None):
                history = self._histories.setdefault((tenant, after.model), [])
                insort(history, (after.finished_at or 0, after.stream_id, after.settled))
                del history[:-HISTORY]

    def use(self, tenant: TenantId, period: str, audio: int, egress: int) -> None:
        used = self.used(tenant, period)
        self._used[period, tenant] = replace(used, audio=used.audio + audio, egress=used.egress + egress)

    def used(self, tenant: TenantId, period: str) -> Used:
        return self._used.get((period, tenant), Used())

    def held(self, tenant: TenantId) -> int:
        return len(self._open.get(tenant, ()))

    def lapsed(self, now: int) -> Sequence[Entry]:
        return [
            entry
            for rows in self._open.values()
            for entry in rows.values()
            if not now < entry.expires_at <= now + entry.lease
        ]

    def nth_start(self, tenant: TenantId, number: int, after: int, until: int) -> int | None:
        places = self._places.get(tenant, [])
        index = bisect_left(places, Place(until + 1, "")) - number
        return places[index].created_at if index >= 0 and places[index].created_at > after else None

    def durations(self, tenant: TenantId | None, model: str) -> Sequence[int]:
        return [duration for _, _, duration in self._histories.get((tenant, model), ())]

    def remembered(self, tenant: TenantId, key: str) -> Remembered | None:
        return self._remembered.get((tenant, key))

    def forget(self, stream_id: StreamId) -> None:
        self._remembered = {key: one for key, one in self._remembered.items() if one.stream_id != stream_id}

    def prune(self, now: int, horizon: int, oldest_day: str) -> None:
        self._remembered = {key: one for key, one in self._remembered.items() if one.expires_at > now}
        self._used = {key: used for key, used in self._used.items() if key[0] >= oldest_day}
        for entry in [entry for entry in self._entries.values() if not entry.open and entry.created_at < horizon]:
            self._drop(entry)

    def totals(self, tenant: TenantId, since: int, until: int) -> Totals:
        rows = [self._entries[StreamId(place.stream_id)] for place in self._between(tenant, since, until, None)]
        return Totals(
            reserved=sum(row.reserved for row in rows) / 1000,
            settled=sum(row.settled for row in rows) / 1000,
            refunded=sum(row.refunded for row in rows) / 1000,
            listener_seconds=sum(row.listened for row in rows) / 1000,
            egress_bytes=sum(row.egress for row in rows),
            cost=sum(row.cost for row in rows) / MILLION,
            generations=len(rows),
        )

    def page(self, tenant: TenantId, since: int, until: int, after: Place | None, limit: int) -> Sequence[Entry]:
        places = self._between(tenant, since, until, after)[:limit]
        return [self._entries[StreamId(place.stream_id)] for place in places]

    def _between(self, tenant: TenantId, since: int, until: int, after: Place | None) -> Sequence[Place]:
        places = self._places.get(tenant, [])
        start = bisect_left(places, Place(since, ""))
        if after is not None:
            start = max(start, bisect_right(places, after))
        return places[start : bisect_left(places, Place(until, ""))]

    def _put(self, entry: Entry) -> None:
        self._entries[entry.stream_id] = entry
        if entry.open:
            self._open.setdefault(entry.tenant, {})[entry.stream_id] = entry
        else:
            self._open.get(entry.tenant, {}).pop(entry.stream_id, None)

    def _bound(self, horizon: int) -> None:
        for entry in list(islice(self._entries.values(), max(0, len(self._entries) - self._keep))):
            if not entry.open and entry.created_at < horizon:
                self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        del self._entries[entry.stream_id]
        places = self._places[entry.tenant]
        del places[bisect_left(places, Place(entry.created_at, entry.stream_id))]
