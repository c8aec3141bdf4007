"""What is said of money: how a generation is reserved, granted, settled and shown, as plain frozen values.

Invariant: seconds are seconds of audio, times are seconds since the epoch, days and months are UTC and those of a
generation's creation. Whoever keeps the books and whoever buys meet in these values.
It must not know a store, a stream or a door.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.model import Principal, Status, StreamId, TenantId

# From this share of a limit on its owner is warned.
WARNING_SHARE = 0.8


class State(StrEnum):
    """What has become of a generation: a stream's status, or that its owner was not heard of for a whole lease."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Once:
    """An `Idempotency-Key`, and a hash of the request that it stands for."""

    key: str
    request_hash: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """A generation that somebody wants to start. `estimate_seconds` replaces what the ledger has learned.

    One that is `whole` cannot be ended early: it gets all the seconds that it is taken for, or none, and what others
    took, who may have wanted short ones for that, is no measure.
    """

    stream_id: StreamId
    principal: Principal
    model: str
    once: Once | None = None
    estimate_seconds: float | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """It may start, with `seconds` reserved. `repeated`: it has been asked for before, as `stream_id`; start nothing.

    `partial`: less than the estimate was left, and when that is used up `extend` will refuse.
    """

    stream_id: StreamId
    seconds: float
    partial: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a generation ended: what the provider bills for, if it said so, and what was received of it."""

    status: Status
    received_seconds: float
    billed_seconds: float | None = None
    characters: int | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was heard of a stream since the last time: seconds times listeners, and bytes to all of them."""

    stream_id: StreamId
    listener_seconds: float
    egress_bytes: int

    def __add__(self, other: "Traffic | None") -> "Traffic":
        """Both of them, of the same stream."""
        if other is None:
            return self
        seconds, size = self.listener_seconds + other.listener_seconds, self.egress_bytes + other.egress_bytes
        return Traffic(self.stream_id, seconds, size)


@dataclass(frozen=True, slots=True)
class Generation:
    """A row of the ledger. `settled` and `refunded` are 0 while it runs; `received` is as of the last renewal."""

    stream_id: StreamId
    tenant: TenantId
    key_id: str
    model: str
    provider_request_id: str | None
    status: State
    created_at: float
    finished_at: float | None
    reserved: float
    received: float
    settled: float
    refunded: float
    characters: int | None
    cost: float
    listener_seconds: float
    egress_bytes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the generations created in a span of time, running ones included."""

    reserved: float
    settled: float
    refunded: float
    listener_seconds: float
    egress_bytes: int
    cost: float
    generations: int


@dataclass(frozen=True, slots=True)
class Page:
    """Generations by time of creation; `after` is what to ask for the next ones with, None when these are the last."""

    generations: Sequence[Generation]
    after: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Totals of the whole span, and its first page: of one and the same moment."""

    totals: Totals
    page: Page


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit and how much of it is used, reservations included; a `limit` of 0 is none."""

    limit: int
    used: float
    resets_at: float | None = None

    @property
    def remaining(self) -> float | None:
        """What is left, never less than 0; None without a limit."""
        return max(0.0, self.limit - self.used) if self.limit else None

    @property
    def low(self) -> bool:
        """Whether it is time to warn its owner."""
        return bool(self.limit) and self.used >= WARNING_SHARE * self.limit


@dataclass(frozen=True, slots=True)
class Remaining:
    """What a tenant has left, limit by limit."""

    concurrent_streams: Budget
    audio_seconds_per_day: Budget
    audio_seconds_per_month: Budget
    egress_bytes_per_day: Budget
