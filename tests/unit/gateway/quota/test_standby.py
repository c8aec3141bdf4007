"""Going on alone, on a real server that is killed, silenced and started again, with what it held and without.

Invariant under test: whatever was booked while it was away is there once when it is back, wherever carrying it over
was broken off; what runs is known again to a server that has lost it; nobody waits for one that is known to be away.
It must not know how rows are kept.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.accounting import Generation, Grant, Traffic
from gateway.config.schema import Limits
from gateway.errors import LimitError, RequestError, ServiceError
from gateway.model import Status
from gateway.quota.redis import RedisLedger
from gateway.quota.standby import StandbyLedger
from gateway.redis.connection import Redis
from tests.support.ledger import (
    ACME,
    DAY,
    FREE,
    NOON,
    PRICES,
    RULES,
    Time,
    completed,
    ended,
    once,
    order,
    some,
    stream,
    used,
)
from tests.support.redis import redis_server
from tests.support.redis_line import DEADLINE, Line

TENANT = ACME.tenant


def standby_on(redis: Redis, clock: Time, limits: Limits = FREE, *, alone: bool = True) -> StandbyLedger:
    shared = RedisLedger(redis, lambda _: limits, RULES, PRICES, now=clock)
    return StandbyLedger(shared, lambda _: limits, RULES, PRICES, alone=alone, now=clock)


@asynccontextmanager
async def elsewhere(url: str, clock: Time) -> AsyncIterator[RedisLedger]:
    """What another node sees."""
    async with Redis(url, timeout=DEADLINE) as redis:
        yield RedisLedger(redis, lambda _: FREE, RULES, PRICES, now=clock)


def line_ledger(line: Line, clock: Time) -> RedisLedger:
    return RedisLedger(line, lambda _: FREE, RULES, PRICES, now=clock)


async def unavailable(asked: object) -> str:
    with pytest.raises(ServiceError) as refusal:
        await asked  # type: ignore[misc]  # whatever is awaited
    assert refusal.value.code == "ledger_unavailable"
    return refusal.value.message


async def rows_of(ledger: RedisLedger) -> dict[str, Generation]:
    return {one.stream_id: one for one in (await ledger.usage(TENANT, 0.0, 1e11)).page.generations}


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_server_that_is_killed(
    need: Callable[[str], str], tmp_path: Path, clock: Time, keeps: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Songs go on, new ones begin, bills are booked; when it is back it knows all of it, also if it lost its data."""
    caplog.set_level(logging.INFO)
    async with redis_server(need("redis-server"), tmp_path if keeps else None) as server:
        ledger = standby_on(Redis(server.url, timeout=DEADLINE), clock, some(concurrent_streams=4))
        await ledger.open()
        for number in (1, 2, 3):
            await ledger.reserve(order(number, once=once(f"k{number}")))
        await ledger.begin(stream(1), "req-1")
        await ledger.settle(stream(3), completed(30.0))
        await server.kill()
        clock.at += 10
        assert await ledger.renew(stream(1), 9.0)
        assert ledger.alone
        # Limits begin anew: four more are running now than may.
        for number in (11, 12, 13, 14):
            assert await ledger.reserve(order(number, once=once(f"k{number}"))) == Grant(stream(number), 200.0)
        with pytest.raises(LimitError, match="All 4 streams"):
            await ledger.reserve(order(15))
        await ledger.begin(stream(2), "req-2")
        await ledger.begin(stream(11), "req-11")
        await ledger.settle(stream(11), completed(44.0, 45.0))
        await ledger.withdraw(stream(12))
        assert await ledger.extend(stream(13), 30.0) == 30.0
        await ledger.heard([Traffic(stream(13), 2.0, 20), Traffic(stream(1), 1.0, 10)])
        await ledger.heard([Traffic(stream(1), 0.5, 5)])
        assert "takes this bill" in await unavailable(ledger.settle(stream(1), completed(50.0, 51.0)))
        assert await ledger.sweep() == 0
        assert ledger.alone
        await server.start()
        await ledger.sweep()
        assert not ledger.alone
        async with elsewhere(server.url, clock) as other:
            rows = await rows_of(other)
            expected = {
                1: ("completed", 51.0, "req-1", 1.5, 15),
                2: ("running", 0.0, "req-2", 0.0, 0),
                11: ("completed", 45.0, "req-11", 0.0, 0),
                12: ("cancelled", 0.0, None, 0.0, 0),
                13: ("queued", 0.0, None, 2.0, 20),
                14: ("queued", 0.0, None, 0.0, 0),
            }
            if keeps:
                expected[3] = ("completed", 30.0, None, 0.0, 0)
            assert {
                number: (one.status, one.settled, one.provider_request_id, one.listener_seconds, one.egress_bytes)
                for number in expected
                if (one := rows[stream(number)])
            } == expected
            assert len(rows) == len(expected)
            assert await used(other) == (3, 51.0 + 45.0 + 200.0 + 230.0 + 200.0 + (30.0 if keeps else 0.0))
            assert (await other.remaining(TENANT)).egress_bytes_per_day.used == 35
            assert await other.ordered(TENANT, once("k13")) == stream(13)
            assert await other.ordered(TENANT, once("k12")) is None
            # A bill is asked for again until it is taken, and what ran alone goes on there.
            booked = await ledger.settle(stream(1), completed(50.0, 51.0))
            assert booked == rows[stream(1)]
            assert await ledger.renew(stream(13), 100.0)
            await ledger.settle(stream(13), completed(101.0))
            assert (await rows_of(other))[stream(13)].settled == 101.0
        await ledger.close()
    said = [record.message for record in caplog.records if record.message.startswith("ledger")]
    assert said == [*([] if keeps else ["ledger.may_be_forgotten"]), "ledger.alone", "ledger.together"]


@pytest.mark.parametrize("alone", [True, False])
async def test_a_server_that_loses_its_data_unnoticed(line: Line, clock: Time, alone: bool) -> None:
    """It was away for less than a question: whoever runs is told of at its next word, with its slot and its name."""
    ledger = standby_on(line, clock, alone=alone)
    for number in (1, 2, 3):
        await ledger.reserve(order(number))
    await ledger.begin(stream(1), "req-1")
    assert await ledger.extend(stream(1), 30.0) == 30.0
    await line.call("FLUSHALL")
    assert await ledger.renew(stream(1), 12.0)
    booked = await ledger.settle(stream(2), completed(20.0))
    assert booked is not None
    assert booked.settled == 20.0
    one = await ledger.generation(TENANT, stream(1))
    assert one is not None
    assert (one.provider_request_id, one.reserved, one.received) == ("req-1", 230.0, 12.0)
    assert await used(line_ledger(line, clock)) == (1, 250.0)
    # What nobody here runs is not made up.
    assert not await ledger.renew(stream(9), 1.0)
    assert await ledger.settle(stream(9), completed(1.0)) is None
    assert not ledger.alone


# -- whatever is lost on the way ---------------------------------------------------------------------------------------


async def while_alone(ledger: StandbyLedger, line: Line) -> None:
    """Two rows that Redis knows and three that it does not, and every kind of word about them."""
    for number in (1, 2, 3):
        await ledger.reserve(order(number, once=once(f"k{number}")))
    line.cut = True
    for number in (4, 5, 6):
        await ledger.reserve(order(number, once=once(f"k{number}")))
    await ledger.begin(stream(1), "req-1")
    await ledger.renew(stream(1), 40.0)
    await unavailable(ledger.settle(stream(1), ended(Status.FAILED, 41.0)))
    await ledger.renew(stream(2), 42.0)
    await ledger.withdraw(stream(3))
    await ledger.settle(stream(4), completed(43.0))
    await ledger.renew(stream(5), 10.0)
    await ledger.withdraw(stream(6))
    await ledger.heard([Traffic(stream(number), number / 2, number) for number in (1, 4, 5)])
    line.cut = False


async def what_is_booked(line: Line, clock: Time) -> object:
    shared = line_ledger(line, clock)
    left = await shared.remaining(TENANT)
    keys = [await shared.ordered(TENANT, once(f"k{number}")) for number in range(1, 7)]
    return await rows_of(shared), await shared.usage(TENANT, 0.0, 1e11), left, keys


@pytest.mark.parametrize("answer", [True, False])
async def test_carrying_over_may_be_broken_off_anywhere(line: Line, clock: Time, answer: bool) -> None:
    """At each question in turn, before the server has heard it or after it has done it: the books are the same."""
    expected, number, broken = None, 0, 0
    while True:
        await line.call("FLUSHALL")
        ledger = standby_on(line, clock)
        await while_alone(ledger, line)
        line.lose(number if expected is not None else None, answer=answer)
        await ledger.sweep()
        if expected is None:
            assert not ledger.alone
            expected = await what_is_booked(line, clock)
            continue
        broken += ledger.alone
        if not ledger.alone:
            break
        await ledger.sweep()
        assert not ledger.alone
        assert await what_is_booked(line, clock) == expected
        number += 1
    # A ping, three rows that may be lost, three words with four more in them, three rows and what was heard.
    assert number == broken >= 12


async def test_two_that_sweep_at_once(line: Line, clock: Time) -> None:
    """One carries over, and the other finds it done."""
    ledger = standby_on(line, clock)
    line.cut = True
    await ledger.reserve(order(1))
    line.cut = False
    await asyncio.gather(ledger.sweep(), ledger.sweep())
    assert not ledger.alone
    assert await used(line_ledger(line, clock)) == (1, 200.0)


async def test_a_question_that_was_heard_while_its_answer_was_lost(line: Line, clock: Time) -> None:
    """Reserved there and here, it is one row; and what was heard is not counted again."""
    ledger = standby_on(line, clock, some(concurrent_streams=2))
    await ledger.reserve(order(1))
    line.lose(0)
    await ledger.heard([Traffic(stream(1), 1.0, 100)])
    await ledger.sweep()
    assert not ledger.alone
    line.lose(0)
    assert await ledger.reserve(order(2, once=once("k"))) == Grant(stream(2), 200.0)
    assert ledger.alone
    await ledger.sweep()
    await ledger.sweep()
    shared = line_ledger(line, clock)
    assert await used(shared) == (2, 400.0)
    assert await ledger.ordered(TENANT, once("k")) == stream(2)
    assert (await shared.remaining(TENANT)).egress_bytes_per_day.used == 100


async def test_rows_that_change_while_they_are_carried_over(line: Line, clock: Time) -> None:
    """What is booked between two questions is carried over as well, and a key that was given back is free."""
    ledger = standby_on(line, clock)
    line.cut = True
    for number in (1, 2):
        await ledger.reserve(order(number, once=once(f"k{number}")))
    line.cut = False
    line.lose(2, answer=False)
    await ledger.sweep()
    assert ledger.alone
    await ledger.withdraw(stream(1))
    await ledger.settle(stream(2), completed(5.0))
    await ledger.sweep()
    assert not ledger.alone
    shared = line_ledger(line, clock)
    assert await used(shared) == (0, 5.0)
    assert await shared.ordered(TENANT, once("k1")) is None
    assert await shared.ordered(TENANT, once("k2")) == stream(2)


# -- while it is away --------------------------------------------------------------------------------------------------


async def test_nobody_waits_for_a_server_that_is_known_to_be_silent(need: Callable[[str], str], clock: Time) -> None:
    """Whoever finds out waits for the deadline, and whoever sweeps; the others are answered at once."""
    async with redis_server(need("redis-server")) as server:
        ledger = standby_on(Redis(server.url, timeout=0.3), clock)
        await ledger.open()
        server.stop_answering()
        began = time.monotonic()
        await ledger.reserve(order(0))
        assert 0.2 < time.monotonic() - began < DEADLINE
        began = time.monotonic()
        for number in range(1, 100):
            await ledger.reserve(order(number))
            await ledger.settle(stream(number), completed(1.0))
        assert time.monotonic() - began < 99 * 0.3
        server.answer_again()
        deadline = time.monotonic() + DEADLINE
        while ledger.alone:
            assert time.monotonic() < deadline
            await ledger.sweep()
        async with elsewhere(server.url, clock) as other:
            assert await used(other) == (1, 299.0)
        await ledger.close()


async def test_what_is_known_alone(line: Line, clock: Time) -> None:
    """What was booked here is told; what only Redis knows is refused at once, and is no reason to wait."""
    ledger = standby_on(line, clock, some(audio_seconds_per_day=1000))
    await ledger.reserve(order(1, once=once("before")))
    line.cut = True
    await ledger.reserve(order(2, once=once("k")))
    sent = line.sent
    assert await ledger.ordered(TENANT, once("k")) == stream(2)
    assert await ledger.ordered(TENANT, once("before")) is None
    with pytest.raises(RequestError):
        await ledger.ordered(TENANT, once("k", "another"))
    assert (await ledger.reserve(order(3, once=once("k")))).repeated
    assert (await ledger.remaining(TENANT)).audio_seconds_per_day.used == 200.0
    one = await ledger.generation(TENANT, stream(2))
    assert one is not None
    assert one.reserved == 200.0
    for asked in (
        ledger.generation(TENANT, stream(1)),
        ledger.usage(TENANT, NOON, NOON + DAY),
        ledger.generations(TENANT, NOON, NOON + DAY, "1:st_1"),
        ledger.extend(stream(1), 30.0),
    ):
        assert "is away" in await unavailable(asked)
    assert line.sent == sent
    clock.at += 61
    assert await ledger.sweep() == 1
    line.cut = False
    await ledger.sweep()
    assert (await ledger.usage(TENANT, NOON, NOON + DAY)).totals.generations == 2
    page = await ledger.generations(TENANT, NOON, NOON + DAY, f"{int(NOON * 1e6)}:{stream(1)}")
    assert [row.stream_id for row in page.generations] == [stream(2)]


async def test_reading_alone_does_not_part_it(line: Line, clock: Time) -> None:
    """A month that takes too long to add up is no reason to book alone."""
    ledger = standby_on(line, clock)
    line.lose(0)
    await unavailable(ledger.usage(TENANT, NOON, NOON + DAY))
    assert not ledger.alone


async def test_what_may_be_kept_alone_is_bounded(line: Line, clock: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past it, new work is refused; nothing that was booked is let go for it."""
    monkeypatch.setattr("gateway.quota.absence.MOST_ROWS", 2)
    ledger = standby_on(line, clock)
    line.cut = True
    for number in (1, 2):
        await ledger.reserve(order(number))
        await ledger.settle(stream(number), completed(1.0))
    assert "may keep alone is full" in await unavailable(ledger.reserve(order(3)))
    line.cut = False
    await ledger.sweep()
    assert (await ledger.usage(TENANT, NOON, NOON + DAY)).totals.settled == 2.0


async def test_a_refusal_is_no_fault(line: Line, clock: Time) -> None:
    """Redis is there, and has said no."""
    ledger = standby_on(line, clock, some(concurrent_streams=1))
    await ledger.reserve(order(1))
    with pytest.raises(LimitError):
        await ledger.reserve(order(2))
    assert (await ledger.reserve(order(1))).repeated
    assert not ledger.alone
    await ledger.withdraw(stream(1))
    assert await used(line_ledger(line, clock)) == (0, 0.0)


# -- the beginning and the end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [True, False])
async def test_from_the_start_to_the_end_alone(
    url: str, line: Line, clock: Time, back: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is away stops no start; at the end there is one more try, and what is lost is said, once."""
    own = Line(url)
    ledger = standby_on(own, clock)
    own.cut = True
    await ledger.open()
    await ledger.reserve(order(1))
    own.cut = not back
    await ledger.close()
    await ledger.close()
    assert await used(line_ledger(line, clock)) == ((1, 200.0) if back else (0, 0.0))
    assert ("ledger.closed_alone" in caplog.text) == (not back)
