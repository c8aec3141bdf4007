"""One row of the ledger in exact numbers, and everything that can become of it, as pure functions.

Invariant: audio is whole milliseconds, time whole microseconds and money whole millionths, so that sums never drift;
a generation that has ended by its owner's word never changes again, but for what its listeners take.
`charge` is what a row takes of its tenant's budget. It must not know a clock, a store or a limit.
"""

from dataclasses import dataclass, replace

from gateway.accounting import Generation, Reservation, Settlement, State, Traffic
from gateway.model import Status, StreamId, TenantId
from gateway.quota.bucket import SECOND
from gateway.quota.prices import MILLION, Prices


@dataclass(frozen=True, slots=True)
class Entry:
    """`expires_at` is the end of its lease and `lease` its length, `created_at` and `finished_at` are instants too."""

    stream_id: StreamId
    tenant: TenantId
    key_id: str
    model: str
    request_id: str | None
    status: State
    created_at: int
    finished_at: int | None
    expires_at: int
    lease: int
    reserved: int
    received: int
    settled: int
    refunded: int
    characters: int | None
    cost: int
    listened: int
    egress: int

    @property
    def open(self) -> bool:
        """Whether it holds a slot."""
        return self.status in (State.QUEUED, State.RUNNING)

    @property
    def charge(self) -> int:
        """Milliseconds of the tenant's budget: reserved, or received where that is more, until it is settled."""
        return max(self.reserved, self.received) if self.open else self.settled


def milliseconds(seconds: float) -> int:
    """To the nearest millisecond; nothing is less than nothing."""
    return max(0, round(seconds * 1000))


def opened(reservation: Reservation, reserved: int, lease: int, now: int) -> Entry:
    """A new row."""
    return Entry(
        stream_id=reservation.stream_id,
        tenant=reservation.principal.tenant,
        key_id=reservation.principal.key_id,
        model=reservation.model,
        request_id=None,
        status=State.QUEUED,
        created_at=now,
        finished_at=None,
        expires_at=now + lease,
        lease=lease,
        reserved=reserved,
        received=0,
        settled=0,
        refunded=0,
        characters=None,
        cost=0,
        listened=0,
        egress=0,
    )


def begun(entry: Entry, request_id: str | None) -> Entry:
    """The provider has begun; an ended row only learns its name for it."""
    return replace(entry, request_id=request_id, status=State.RUNNING if entry.open else entry.status)


def renewed(entry: Entry, received: int, now: int) -> Entry:
    """An open row with a whole lease from now on."""
    return replace(entry, received=max(entry.received, received), expires_at=now + entry.lease)


def extended(entry: Entry, more: int) -> Entry:
    """An open row with more reserved."""
    return replace(entry, reserved=entry.reserved + more)


def reopened(entry: Entry, received: int, now: int) -> Entry:
    """An expired row as if its lease had never ended."""
    again = replace(entry, status=State.RUNNING, finished_at=None, settled=0, refunded=0, cost=0)
    return renewed(again, received, now)


def lapsed(entry: Entry, prices: Prices, now: int) -> Entry:
    """An open row whose lease is over has expired, and is charged what was received by the last renewal.

    One whose lease reaches further than a lease can was made before the clock was put back: it gets a lease from now.
    """
    if entry.expires_at > now:
        return replace(entry, expires_at=min(entry.expires_at, now + entry.lease))
    return _charged(replace(entry, status=State.EXPIRED, finished_at=entry.expires_at), entry.received, prices)


def outlived(entry: Entry, received: int, prices: Prices) -> Entry:
    """An expired row whose owner is still there, but has no slot: it is charged what it has received since."""
    entry = replace(entry, received=max(entry.received, received))
    return _charged(entry, entry.received, prices)


def settled(entry: Entry, settlement: Settlement, prices: Prices, now: int) -> Entry:
    """The end by its owner's word, once: what is billed if it completed, else what was received and no more."""
    if not entry.open and entry.status is not State.EXPIRED:
        return entry
    received = milliseconds(settlement.received_seconds)
    complete = settlement.status is Status.COMPLETED and settlement.billed_seconds is not None
    cost = milliseconds(settlement.billed_seconds or 0.0) if complete else received
    entry = replace(
        entry,
        status=State(settlement.status.value),
        finished_at=now,
        received=max(entry.received, received),
        characters=settlement.characters,
    )
    return _charged(entry, cost, prices)


def heard(entry: Entry, traffic: Traffic) -> Entry:
    """What listeners took is added, also after its end."""
    listened = entry.listened + milliseconds(traffic.listener_seconds)
    return replace(entry, listened=listened, egress=entry.egress + traffic.egress_bytes)


def _charged(entry: Entry, amount: int, prices: Prices) -> Entry:
    cost = prices.cost(entry.model, amount, entry.characters)
    return replace(entry, settled=amount, refunded=max(0, entry.reserved - amount), cost=cost)


def shown(entry: Entry) -> Generation:
    """The row as it is shown to its owner, in seconds."""
    return Generation(
        stream_id=entry.stream_id,
        tenant=entry.tenant,
        key_id=entry.key_id,
        model=entry.model,
        provider_request_id=entry.request_id,
        status=entry.status,
        created_at=entry.created_at / SECOND,
        finished_at=None if entry.finished_at is None else entry.finished_at / SECOND,
        reserved=entry.reserved / 1000,
        received=entry.received / 1000,
        settled=entry.settled / 1000,
        refunded=entry.refunded / 1000,
        characters=entry.characters,
        cost=entry.cost / MILLION,
        listener_seconds=entry.listened / 1000,
        egress_bytes=entry.egress,
    )
