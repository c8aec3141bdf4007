"""Ledgers for tests: makers of each form, short words for what is asked of them, and programs to be killed.

Run as a program, this file is a nursery: it loads the ledger once and forks a child for every line it is told, so that
fifty can die in a second.
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
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.accounting import Once, Reservation, Settlement
from gateway.config.schema import Limits
from gateway.errors import LimitError, WavegateError
from gateway.model import Principal, Status, StreamId, TenantId
from gateway.quota.ledger import Ledger
from gateway.quota.policy import Rules
from gateway.quota.prices import Price, Prices
from gateway.quota.redis import RedisLedger
from gateway.quota.sqlite import SqliteLedger
from gateway.quota.standby import StandbyLedger
from gateway.quota.volatile import VolatileLedger
from gateway.redis.connection import Redis
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

FORMS = ("memory", "sqlite", "redis")
# Longer than a busy machine takes for an answer.
DEADLINE = 20.0


class Time:
    """A clock that stands until it is put forward, or back; seconds."""

    def __init__(self, at: float = NOON) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def new_ledger(
    form: str,
    place: Path | str,
    limits: Limits | Callable[[TenantId], Limits] = FREE,
    rules: Rules = RULES,
    now: Callable[[], float] | None = None,
) -> Ledger:
    """A ledger that is not open yet; all of one folder, or of one address, keep the same rows."""
    limits_of = limits if callable(limits) else lambda _: limits
    now = now or Time()
    if form == "memory":
        return VolatileLedger(limits_of, rules, PRICES, now=now)
    if isinstance(place, str):
        shared = RedisLedger(Redis(place, timeout=DEADLINE), limits_of, rules, PRICES, now=now)
        return StandbyLedger(shared, limits_of, rules, PRICES, now=now) if form == "standby" else shared
    return SqliteLedger(str(place / "usage.db"), limits_of, rules, PRICES, now=now)


async def place_for(request: pytest.FixtureRequest, form: str) -> Path | str:
    """Where a ledger of this form keeps nothing yet: the test's folder, or the module's `redis_url`, emptied."""
    if form in ("memory", "sqlite"):
        folder: Path = request.getfixturevalue("tmp_path")
        return folder
    url: str = request.getfixturevalue("redis_url")
    async with Redis(url, timeout=DEADLINE) as redis:
        await redis.call("FLUSHALL")
    return url


class Ledgers:
    """Makes open ledgers of one form, on one clock and in one place, and closes them."""

    def __init__(self, form: str, place: Path | str, clock: Time) -> None:
        self._form, self._place, self._clock = form, place, clock
        self._made: list[Ledger] = []

    async def __call__(self, limits: Limits | Callable[[TenantId], Limits] = FREE, rules: Rules = RULES) -> Ledger:
        ledger = new_ledger(self._form, self._place, limits, rules, self._clock)
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
    """Forks a child for each line of standard input: `spend PLACE NAME` or `grab PLACE NAME COUNT LIMIT`."""
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


def _ledger(place: str, limits: Limits) -> Ledger:
    """Of this folder, or at this address."""
    if place.startswith("redis:"):
        return new_ledger("redis", place, limits, now=time.time)
    return new_ledger("sqlite", Path(place), limits, now=time.time)


async def _spend(place: str, name: str) -> None:
    """Reserves, renews, extends and settles until it is killed; eight streams at once."""
    ledger = _ledger(place, FREE)
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


async def _grab(place: str, name: str, count: str, limit: str) -> None:
    """Tries for `count` slots at once, of which there are `limit` for everybody, and says how many it got."""
    limits = Limits(concurrent_streams=int(limit), streams_per_minute=0)
    ledger = _ledger(place, limits)
    await ledger.open()
    orders = [Reservation(StreamId(f"st_{name}_{number}"), ACME, MODEL) for number in range(int(count))]
    answers = await asyncio.gather(*(ledger.reserve(one) for one in orders), return_exceptions=True)
    await ledger.close()
    refusals = [one for one in answers if isinstance(one, WavegateError)]
    assert all(refusal.code == "concurrency_exceeded" for refusal in refusals)
    say(f"granted {len(answers) - len(refusals)}")


if __name__ == "__main__":
    nursery()
