"""Who may start, and with how many seconds: the decisions of the ledger, as pure functions of what is used.

Invariant: a decision is made on one consistent look at every limit at once, and a refusal says which limit it is and
when to come again. Where less is left than a song is expected to take, it gets what is left, down to a minimum, and
is ended softly when that is used up: a tenant can spend its budget to the last seconds.
It must not know a clock or a store.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.config.schema import Limits
from gateway.errors import LimitError
from gateway.quota import bucket, periods

# Nobody knows when a song will end, so this only keeps clients from asking all the time.
CONCURRENCY_RETRY_SECONDS = 5.0
# The estimate is long enough for nine songs in ten: a few too long cost less than each too short.
PERCENTILE = 0.9


@dataclass(frozen=True, slots=True)
class Rules:
    """How reservations are made. `keep_days` is how long rows are kept, and is longer than any month."""

    lease_seconds: float = 60.0
    default_estimate_seconds: float = 240.0
    minimum_seconds: float = 10.0
    idempotency_seconds: float = 86400.0
    keep_days: int = 400

    def __post_init__(self) -> None:
        if self.keep_days < 32:
            raise ValueError("a ledger keeps its rows for 32 days or more: a month's budget rests on them")


@dataclass(frozen=True, slots=True)
class Used:
    """What a tenant has used in a day or a month: milliseconds of audio, reservations included, and bytes."""

    audio: int = 0
    egress: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a decision rests on. `nth_start`: when the tenant's latest start but limit minus one was."""

    held: int
    nth_start: int | None
    day: Used
    month: Used


def estimate(durations: Sequence[int], default: int) -> int:
    """Milliseconds to reserve: the 90th percentile (nearest rank) of what such generations took."""
    if not durations:
        return default
    return sorted(durations)[math.ceil(PERCENTILE * len(durations)) - 1]


def admit(limits: Limits, standing: Standing, wanted: int, minimum: int, now: int) -> int:
    """Milliseconds to reserve, at most `wanted`. Raises LimitError; of several reasons, the one that lasts longest."""
    granted = grant(limits, standing.day, standing.month, wanted, minimum, now, now)
    if 0 < limits.egress_bytes_per_day <= standing.day.egress:
        raise no_bytes(limits, now)
    if 0 < limits.concurrent_streams <= standing.held:
        raise no_slot(limits)
    wait = bucket.wait(standing.nth_start, now)
    if wait:
        raise no_start(limits, wait)
    return granted


def readmit(limits: Limits, standing: Standing, wanted: int) -> bool:
    """Whether a lease that has ended may be taken up again: there is a slot, and all the seconds that it wants."""
    room = _room(limits, standing.day, standing.month)
    return (not limits.concurrent_streams or standing.held < limits.concurrent_streams) and (
        room is None or wanted <= room
    )


def grant(limits: Limits, day: Used, month: Used, wanted: int, minimum: int, created_at: int, now: int) -> int:
    """What is left of `wanted` milliseconds, at least `minimum`. Raises LimitError until the budget turns over.

    A minimum never asks for more than is wanted, nor than a limit that is smaller would ever give.
    """
    for limit, used, refusal in (
        (limits.audio_seconds_per_month, month, no_seconds_this_month),
        (limits.audio_seconds_per_day, day, no_seconds_today),
    ):
        if limit and limit * 1000 - used.audio < max(1, min(minimum, wanted, limit * 1000)):
            raise refusal(limits, created_at, now)
    room = _room(limits, day, month)
    return wanted if room is None else min(wanted, room)


# -- the refusals, as everybody words them who decides -----------------------------------------------------------------


def no_seconds_this_month(limits: Limits, created_at: int, now: int) -> LimitError:
    return _no_seconds(limits.audio_seconds_per_month, "month", periods.month_ends(created_at) - now)


def no_seconds_today(limits: Limits, created_at: int, now: int) -> LimitError:
    """Of the day of `created_at`, which may be over."""
    return _no_seconds(limits.audio_seconds_per_day, "day", periods.day_ends(created_at) - now)


def no_bytes(limits: Limits, now: int) -> LimitError:
    sentence = f"The {limits.egress_bytes_per_day} bytes that may be sent to this tenant's listeners a day are used up."
    return LimitError("quota_exceeded", sentence, retry_after=_seconds(periods.day_ends(now) - now))


def no_slot(limits: Limits) -> LimitError:
    limit = limits.concurrent_streams
    sentence = f"All {limit} streams this tenant may run at once are running: wait for one to end, or cancel one."
    return LimitError("concurrency_exceeded", sentence, retry_after=CONCURRENCY_RETRY_SECONDS)


def no_start(limits: Limits, wait: int) -> LimitError:
    """For `wait` microseconds."""
    sentence = f"This tenant may start {limits.streams_per_minute} streams a minute, and has."
    return LimitError("rate_exceeded", sentence, retry_after=_seconds(wait))


def _no_seconds(limit: int, name: str, wait: int) -> LimitError:
    sentence = f"The {limit} seconds of audio that this tenant may use a {name} are used up or reserved."
    return LimitError("quota_exceeded", sentence, retry_after=_seconds(max(0, wait)))


def _room(limits: Limits, day: Used, month: Used) -> int | None:
    rooms = [
        limit * 1000 - used.audio
        for limit, used in ((limits.audio_seconds_per_day, day), (limits.audio_seconds_per_month, month))
        if limit
    ]
    return min(rooms, default=None)


def _seconds(microseconds: int) -> float:
    """Rounded up to whole milliseconds, which is what clients are told: who waits that long has waited long enough."""
    return -(-microseconds // 1000) / 1000
