"""Ledgers for tests: makers of each form, a plain model of what any of them must answer, and programs to be killed.

The model keeps rows and nothing else: whatever it is asked, it adds them up again. Run as a program, this file is a
nursery: it loads the ledger once and forks a child for every line it is told, so that fifty can die in a second.
Invariant: a child says `settled ID MILLISECONDS` only after the ledger has said so.
It must not know a store from inside.
"""

import asyncio
import hashlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.accounting import Once, Reservation, Settlement
from gateway.config.schema import Limits
from gateway.errors import LimitError, WavegateError
from gateway.model import Principal, Status, StreamId, TenantId
from gateway.quota.ledger import Ledger
from gateway.quota.policy import Rules
from gateway.quota.prices import Price, Prices
from gateway.quota.sqlite import SqliteLedger
from gateway.quota.volatile import VolatileLedger
from tests.house.tree import ROOT

ACME = Principal(TenantId("acme"), "key-1")
OTHER = Principal(TenantId("other"), "key-2")
MODEL = "fun-music-v1"
FREE = Limits(
    concurrent_streams=0, streams_per_minute=0, audio_seconds_per_day=0, audio_seconds_per_month=0, listeners=0
)
RULES = Rules(lease_seconds=60.0, default_estimate_seconds=200.0, minimum_seconds=10.0)
PRICES = Prices({MODEL: Price(per_second=0.02), "speech": Price(per_character=0.0001)})
# A Tuesday noon, UTC.
NOON = datetime(2026, 3, 3, 12, tzinfo=UTC).timestamp()
DAY = 86400.0

FORMS = ("memory", "sqlite")


class Time:
    """A clock that stands until it is put forward, or back; seconds."""

    def __init__(self, at: float = NOON) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def new_ledger(
    form: str,
    folder: Path,
    limits: Limits | Callable[[TenantId], Limits] = FREE,
    rules: Rules = RULES,
    now: Callable[[], float] | None = None,
) -> Ledger:
    """A ledger that is not open yet; all of one folder are on the same file."""
    limits_of = limits if callable(limits) else lambda _: limits
    now = now or Time()
    if form == "memory":
        return VolatileLedger(limits_of, rules, PRICES, now=now)
    return SqliteLedger(str(folder / "usage.db"), limits_of, rules, PRICES, now=now)


class Ledgers:
    """Makes open ledgers of one form, on one clock and in one folder, and closes them."""

    def __init__(self, form: str, folder: Path, clock: Time) -> None:
        self._form, self._folder, self._clock = form, folder, clock
        self._made: list[Ledger] = []

    async def __call__(self, limits: Limits | Callable[[TenantId], Limits] = FREE, rules: Rules = RULES) -> Ledger:
        ledger = new_ledger(self._form, self._folder, limits, rules, self._clock)
        self._made.append(ledger)
        await ledger.open()
        return ledger

    async def close(self) -> None:
        for ledger in self._made:
            await ledger.close()


def some(**limits: int) -> Limits:
    """These limits and no others."""
    free = {"concurrent_streams": 0, "streams_per_minute": 0, "audio_seconds_per_day": 0, "audio_seconds_per_month": 0}
    return Limits(**(free | limits))


async def row(ledger: Ledger, number: int) -> tuple[str, float, float, float]:
    """Status, reserved, settled and refunded."""
    one = await ledger.generation(ACME.tenant, stream(number))
    assert one is not None
    return one.status.value, one.reserved, one.settled, one.refunded


async def used(ledger: Ledger) -> tuple[float, float]:
    """Slots held, and seconds of the day."""
    left = await ledger.remaining(ACME.tenant)
    assert left.audio_seconds_per_day.used == left.audio_seconds_per_month.used
    return left.concurrent_streams.used, left.audio_seconds_per_day.used


async def refused(ledger: Ledger, number: int) -> tuple[str, float | None, str]:
    """Code, time to wait and sentence of the refusal."""
    with pytest.raises(LimitError) as refusal:
        await ledger.reserve(order(number))
    return refusal.value.code, refusal.value.retry_after, refusal.value.message


def stream(number: int) -> StreamId:
    return StreamId(f"st_{number:06d}")


def order(number: int, principal: Principal = ACME, *, model: str = MODEL, **more: object) -> Reservation:
    """Pass `once=` and `estimate_seconds=` by name."""
    return Reservation(stream(number), principal, model, **more)  # type: ignore[arg-type] # passed on by name


def once(key: str, request: str = "a song") -> Once:
    return Once(key, hashlib.sha256(request.encode()).hexdigest())


def completed(received: float, billed: float | None = None, characters: int | None = None) -> Settlement:
    return Settlement(Status.COMPLETED, received, billed, characters)


def ended(status: Status, received: float, billed: float | None = None) -> Settlement:
    return Settlement(status, received, billed)


async def answer(asked: Awaitable[object]) -> object:
    """What was given, or the code of the refusal with the time to wait, so that two answers can be compared."""
    try:
        return await asked
    except WavegateError as refusal:
        return refusal.code, refusal.retry_after


# -- the plain model ---------------------------------------------------------------------------------------------------


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


class Nursery:
    """The program below, seen from a test. Ended by the end of its input, or by its id."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> "Nursery":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.ledger",
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return cls(process)

    async def bear(self, what: str) -> int:
        """A child that does this; its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n".encode())
        word, number = (await self.hear()).split()
        assert word == "child"
        return int(number)

    async def hear(self) -> str:
        """The next line that it or its child says; empty when it has ended."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20.0):
            line = (await self._process.stdout.readline()).decode().strip()
        assert not line.startswith("failed"), line
        return line

    async def last_words(self) -> list[str]:
        """What the child has said until it was gone."""
        lines = []
        while (line := await self.hear()) != "gone":
            assert line, "the nursery has ended before its child"
            lines.append(line)
        return lines

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(10.0):
                await self._process.communicate()
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.communicate()


# -- the programs ------------------------------------------------------------------------------------------------------


def say(line: str) -> None:
    """In one write, so that a line is there whole or not at all when its program is killed."""
    os.write(1, f"{line}\n".encode())


def nursery() -> None:
    """Forks a child for each line of standard input: `spend FILE NAME` or `grab FILE NAME COUNT LIMIT`."""
    for line in sys.stdin:
        what, *arguments = line.split()
        child = os.fork()
        if child == 0:
            # It says so itself: its parent might come too late with it.
            say(f"child {os.getpid()}")
            try:
                asyncio.run({"spend": _spend, "grab": _grab}[what](*arguments))
            except BaseException as trouble:
                say(f"failed {trouble!r}")
            finally:
                os._exit(0)  # whatever happens, it is not to go on as a second nursery
        os.waitpid(child, 0)
        say("gone")


async def _spend(file: str, name: str) -> None:
    """Reserves, renews, extends and settles until it is killed; eight streams at once."""
    ledger = SqliteLedger(file, lambda _: FREE, RULES, PRICES, now=time.time)
    await ledger.open()

    async def spend(worker: int) -> None:
        for number in range(10_000):
            stream_id = StreamId(f"st_{name}_{worker}_{number}")
            await ledger.reserve(Reservation(stream_id, ACME, MODEL, estimate_seconds=3.0))
            await ledger.renew(stream_id, 1.0)
            await ledger.extend(stream_id, 2.0)
            milliseconds = 4000 + number
            await ledger.settle(stream_id, completed(4.5, milliseconds / 1000))
            say(f"settled {stream_id} {milliseconds}")

    await asyncio.gather(*(spend(worker) for worker in range(8)))


async def _grab(file: str, name: str, count: str, limit: str) -> None:
    """Tries for `count` slots at once, of which there are `limit` for everybody, and says how many it got."""
    limits = Limits(concurrent_streams=int(limit), streams_per_minute=0)
    ledger = SqliteLedger(file, lambda _: limits, RULES, PRICES, now=time.time)
    await ledger.open()
    orders = [Reservation(StreamId(f"st_{name}_{number}"), ACME, MODEL) for number in range(int(count))]
    answers = await asyncio.gather(*(ledger.reserve(one) for one in orders), return_exceptions=True)
    await ledger.close()
    refusals = [one for one in answers if isinstance(one, WavegateError)]
    assert all(refusal.code == "concurrency_exceeded" for refusal in refusals)
    say(f"granted {len(answers) - len(refusals)}")


if __name__ == "__main__":
    nursery()
