"""The ledger on Redis where it is more than a ledger: a server that goes away, keeps too much, or is asked often.

Invariant under test: a server that is away costs an answer and no slot, its clock is the one that counts, and no step
grows with the rows that are kept. What every ledger does is in the contract suites.
It must not know how rows are kept, but for what they leave behind.
"""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gateway.accounting import Generation, Grant, Reservation, Traffic
from gateway.config.schema import Limits
from gateway.errors import ServiceError
from gateway.model import Principal, Status, TenantId
from gateway.quota import entry as entries
from gateway.quota.bucket import SECOND
from gateway.quota.policy import Rules
from gateway.quota.redis import RedisLedger
from gateway.redis.connection import Redis
from tests.support.ledger import (
    ACME,
    DAY,
    FREE,
    MODEL,
    NOON,
    PRICES,
    RULES,
    Time,
    completed,
    ended,
    once,
    order,
    row,
    some,
    stream,
    used,
)
from tests.support.redis import redis_server
from tests.support.redis_line import Line

TENANT = ACME.tenant


@asynccontextmanager
async def ledger_on(
    redis: Redis, limits: Limits = FREE, rules: Rules = RULES, now: Callable[[], float] | None = None
) -> AsyncIterator[RedisLedger]:
    ledger = RedisLedger(redis, lambda _: limits, rules, PRICES, now=now)
    await ledger.open()
    yield ledger


# -- a server that is away ---------------------------------------------------------------------------------------------


async def test_away_and_back(need: Callable[[str], str]) -> None:
    """Every question ends in the ledger's own refusal, which says when to come again; then all is as it was."""
    async with (
        redis_server(need("redis-server")) as server,
        Redis(server.url, timeout=20.0) as redis,
        ledger_on(redis) as ledger,
    ):
        await ledger.reserve(order(1))
        await server.kill()
        for ask in (
            partial(ledger.reserve, order(2)),
            partial(ledger.ordered, TENANT, once("k")),
            partial(ledger.withdraw, stream(1)),
            partial(ledger.begin, stream(1), "req"),
            partial(ledger.renew, stream(1), 1.0),
            partial(ledger.extend, stream(1), 1.0),
            partial(ledger.settle, stream(1), completed(1.0)),
            partial(ledger.heard, [Traffic(stream(1), 1.0, 1)]),
            ledger.sweep,
            ledger.ping,
            partial(ledger.remaining, TENANT),
            partial(ledger.generation, TENANT, stream(1)),
            partial(ledger.usage, TENANT, 0.0, 1e10),
            partial(ledger.generations, TENANT, 0.0, 1e10, "1:st_1"),
        ):
            with pytest.raises(ServiceError) as refusal:
                await ask()
            assert (refusal.value.code, refusal.value.retry_after) == ("ledger_unavailable", 1.0)
        await server.start()
        await ledger.ping()
        assert await ledger.reserve(order(2)) == Grant(stream(2), 200.0)


async def test_nobody_there_at_the_start() -> None:
    """It is closed then, and says so."""
    with pytest.raises(ServiceError, match="does not answer"):
        await RedisLedger(Redis("redis://127.0.0.1:1", timeout=20.0), lambda _: FREE).open()


@pytest.mark.parametrize("answer", [True, False])
async def test_a_reservation_whose_answer_is_lost_holds_no_slot(line: Line, answer: bool) -> None:
    """Nobody will run it: the next sweep that gets through takes it back, and its key is free again."""
    async with ledger_on(line, some(concurrent_streams=1)) as ledger:
        line.lose(0, answer=answer)
        with pytest.raises(ServiceError):
            await ledger.reserve(order(1, once=once("k")))
        assert await used(ledger) == ((1, 200.0) if answer else (0, 0.0))
        line.lose(1)
        with pytest.raises(ServiceError):
            await ledger.sweep()
        await ledger.sweep()
        assert await used(ledger) == (0, 0.0)
        assert (await ledger.reserve(order(2, once=once("k", "another")))).stream_id == stream(2)


@pytest.mark.parametrize("cut", [False, True])
async def test_at_its_end_what_nobody_heard_of_is_given_back(line: Line, cut: bool) -> None:
    """For there is no next sweep; where nobody answers it ends all the same, and the lease gives it back."""
    async with ledger_on(line) as ledger:
        line.lose(0)
        with pytest.raises(ServiceError):
            await ledger.reserve(order(1))
        line.cut = cut
        await ledger.close()
    async with Redis(line.url, timeout=20.0) as redis, ledger_on(redis) as ledger:
        assert await used(ledger) == ((1, 200.0) if cut else (0, 0.0))


async def test_whoever_asks_again_keeps_its_reservation(line: Line) -> None:
    """By the same name it is the same reservation, and no sweep takes it back."""
    async with ledger_on(line) as ledger:
        line.lose(0)
        with pytest.raises(ServiceError):
            await ledger.reserve(order(1))
        assert await ledger.reserve(order(1)) == Grant(stream(1), 200.0, repeated=True)
        await ledger.sweep()
        assert await used(ledger) == (1, 200.0)


async def test_what_it_remembers_of_lost_answers_is_bounded(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is more than that is left to its lease."""
    monkeypatch.setattr("gateway.quota.redis.MOST_DOUBTFUL", 1)
    async with ledger_on(line) as ledger:
        for number in (1, 2):
            line.lose(0)
            with pytest.raises(ServiceError):
                await ledger.reserve(order(number))
        await ledger.sweep()
        assert await used(ledger) == (1, 200.0)


@pytest.mark.parametrize("answer", [True, False])
async def test_what_is_told_again_by_a_name_counts_once(line: Line, answer: bool) -> None:
    """Whether it was the question that was lost or its answer."""
    async with ledger_on(line) as ledger:
        await ledger.reserve(order(1))
        line.lose(0, answer=answer)
        with pytest.raises(ServiceError):
            await ledger.heard_once([Traffic(stream(1), 1.0, 10)], "a")
        await ledger.heard_once([Traffic(stream(1), 1.0, 10)], "a")
        await ledger.heard_once([Traffic(stream(1), 1.0, 10)], "b")
        one = await ledger.generation(TENANT, stream(1))
        assert one is not None
        assert (one.listener_seconds, one.egress_bytes) == (2.0, 20)
        assert (await ledger.remaining(TENANT)).egress_bytes_per_day.used == 20


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_server_that_may_forget_is_warned_of(
    need: Callable[[str], str], tmp_path: Path, keeps: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start: what it throws away when it is full, or has only in its memory, are bills."""
    async with (
        redis_server(need("redis-server"), tmp_path if keeps else None) as server,
        Redis(server.url, timeout=20.0) as redis,
    ):
        for policy, octets in (("noeviction", "100mb"), ("allkeys-lru", "0"), ("allkeys-lru", "100mb")):
            await redis.batch([("CONFIG", "SET", "maxmemory-policy", policy), ("CONFIG", "SET", "maxmemory", octets)])
            async with ledger_on(redis):
                pass
    said = [record.message for record in caplog.records if record.name == "wavegate.ledger"]
    assert said.count("ledger.may_be_evicted") == 1
    assert said.count("ledger.may_be_forgotten") == (0 if keeps else 3)


async def test_a_server_that_tells_nothing_of_itself(line: Line) -> None:
    """As a hosted one that allows it to nobody: the ledger opens all the same."""
    await line.batch([("ACL", "SETUSER", "guest", "on", ">guest", "~*", "+@all", "-info"), ("PING",)])
    async with Redis(line.url.replace("//", "//guest:guest@"), timeout=20.0) as redis, ledger_on(redis) as ledger:
        await ledger.reserve(order(1))
    await line.call("ACL", "DELUSER", "guest")


# -- several nodes -----------------------------------------------------------------------------------------------------


async def test_the_clock_is_the_server_s(line: Line) -> None:
    """Nodes need not agree on the time: a lease that one gave ends for all at the same moment."""
    async with ledger_on(line, rules=replace(RULES, lease_seconds=0.05)) as ledger, ledger_on(line) as other:
        before = time.time()
        await ledger.reserve(order(1))
        one = await other.generation(TENANT, stream(1))
        assert one is not None
        assert before - 1.0 < one.created_at < time.time() + 1.0
        deadline = time.monotonic() + 20.0
        while await other.sweep() == 0:
            assert time.monotonic() < deadline
        assert (await row(ledger, 1))[0] == "expired"


async def test_limits_are_those_of_the_row_s_tenant(line: Line, clock: Time) -> None:
    """Whoever renews or extends by the id alone is judged by them, also on a node that has not reserved it."""
    limits = {ACME.tenant: some(audio_seconds_per_day=230), TenantId("other"): some(audio_seconds_per_day=900)}
    first = RedisLedger(line, limits.__getitem__, RULES, PRICES, now=clock)
    second = RedisLedger(line, limits.__getitem__, RULES, PRICES, now=clock)
    await first.reserve(order(1))
    await first.reserve(order(2, Principal(TenantId("other"), "k")))
    assert await second.extend(stream(1), 100.0) == 30.0
    assert await second.extend(stream(2), 100.0) == 100.0
    clock.at += 61
    await first.reserve(order(3))
    assert not await second.renew(stream(1), 20.0)
    assert await second.renew(stream(2), 20.0)


# -- rows from elsewhere -----------------------------------------------------------------------------------------------


async def test_carrying_a_row(line: Line, clock: Time) -> None:
    """It is booked as it stands, once; what is there already is replaced, or left alone; what has ended stays so."""
    async with ledger_on(line, now=clock) as ledger:
        queued = entries.opened(order(1), 200_000, 60 * SECOND, int(NOON) * SECOND)
        for _ in range(2):
            await ledger.carry(queued, once("k"))
        assert await used(ledger) == (1, 200.0)
        assert await ledger.ordered(TENANT, once("k")) == stream(1)
        clock.at += 10
        heard = entries.heard(queued, Traffic(stream(1), 3.0, 30))
        done = entries.settled(heard, completed(50.0), PRICES, int(clock.at) * SECOND)
        await ledger.carry(done, replace=False)
        assert await used(ledger) == (1, 200.0)
        for entry in (done, done, queued, replace(done, created_at=done.created_at + 5 * 86400 * SECOND)):
            await ledger.carry(entry)
            assert await used(ledger) == (0, 50.0)
            assert await row(ledger, 1) == ("completed", 200.0, 50.0, 150.0)
        assert (await ledger.remaining(TENANT)).egress_bytes_per_day.used == 30
        usage = await ledger.usage(TENANT, NOON, NOON + 1)
        assert (usage.totals.settled, usage.totals.egress_bytes, usage.totals.generations) == (50.0, 30, 1)
        assert (await ledger.reserve(order(2))).seconds == 50.0


# -- what is kept ------------------------------------------------------------------------------------------------------


def summed(rows: list[Generation]) -> tuple[float, ...]:
    return (
        len(rows),
        *(
            pytest.approx(sum(getattr(one, name) for one in rows), abs=1e-6)
            for name in ("reserved", "settled", "refunded", "listener_seconds", "egress_bytes", "cost")
        ),
    )


async def test_totals_are_what_the_rows_add_up_to(line: Line, clock: Time) -> None:
    """Over whatever span: within an hour, over hours and days, from before the first row to after the last."""
    chance = random.Random(5)
    async with ledger_on(line, now=clock) as ledger:
        for number in range(120):
            await ledger.reserve(order(number))
            await ledger.heard([Traffic(stream(number), number / 8, number)])
            if number % 5:
                await ledger.settle(stream(number), completed(chance.randrange(300_000) / 1000))
            clock.at += chance.choice([0.0, 60.0, 1800.0, 7200.0, 43200.0])
        rows = (await ledger.usage(TENANT, 0.0, 1e10)).page.generations
        assert len(rows) == 120
        edges = [0.0, 1e10, *(chance.uniform(NOON - DAY, clock.at + DAY) for _ in range(40)), NOON + DAY / 2]
        edges += [one.created_at for one in rows[::7]]
        for _ in range(150):
            since, until = chance.choice(edges), chance.choice(edges)
            totals = (await ledger.usage(TENANT, since, until, limit=1)).totals
            assert summed([one for one in rows if since <= one.created_at < until]) == (
                totals.generations,
                *(totals.reserved, totals.settled, totals.refunded),
                *(totals.listener_seconds, totals.egress_bytes, totals.cost),
            )


async def test_nothing_is_left_of_what_is_too_old(line: Line, clock: Time) -> None:
    """Rows go a bounded number at a time, with their part of the sums; whatever else is kept ends by itself."""
    async with ledger_on(line, rules=Rules(keep_days=32), now=clock) as ledger:
        for number in range(250):
            await ledger.reserve(order(number, once=once(str(number)) if number < 3 else None))
            if number < 249:
                await ledger.settle(stream(number), completed(number / 10))
        clock.at += 31 * DAY
        await ledger.reserve(order(500))
        clock.at += 2 * DAY
        counted = []
        for _ in range(3):
            await ledger.sweep()
            counted.append((await ledger.usage(TENANT, 0.0, 1e10)).totals.generations)
        assert counted == [51, 1, 1]
        for key in await line.call("KEYS", "*"):
            assert key.startswith(b"wavegate:ledger:")
            if b":used:" in key or b":once:" in key or b":took:" in key:
                assert await line.call("TTL", key) > 0
            else:
                name = key.removeprefix(b"wavegate:ledger:").partition(b":")[0]
                assert name in {b"row", b"rows", b"created", b"sums", b"held"}, key
        clock.at += 40 * DAY
        await ledger.sweep()
        left = {key for key in await line.call("KEYS", "*") if b":used:" not in key and b":took:" not in key}
        assert left <= {b"wavegate:ledger:held"} | {key for key in left if b":once:" in key}


async def test_a_row_that_the_server_has_thrown_away_stops_nobody(line: Line, clock: Time) -> None:
    """As one does that is short of memory and was told to: the others are still there."""
    async with ledger_on(line, now=clock) as ledger:
        for number in (1, 2):
            await ledger.reserve(order(number))
        await line.call("DEL", f"wavegate:ledger:row:{stream(1)}")
        clock.at += 61
        assert await ledger.sweep() == 2
        assert await ledger.sweep() == 0
        assert (await row(ledger, 2))[0] == "expired"


async def steps(line: Line) -> int:
    """Commands that the server has carried out, those within scripts too."""
    return sum(command["calls"] for command in (await line.call("INFO", "commandstats")).values())


async def test_no_step_grows_with_the_rows(line: Line, clock: Time) -> None:
    """A song with everything in it, and a month's bill, cost the server as many commands after 300 rows as after 30."""
    limits = some(streams_per_minute=100, concurrent_streams=50, audio_seconds_per_day=10**7)
    costs = []
    async with ledger_on(line, limits, now=clock) as ledger:
        for number in range(300):
            await ledger.reserve(order(number, estimate_seconds=9.0))
            await ledger.settle(stream(number), completed(5.0))
            clock.at += 12.0 if number != 150 else DAY
            if number in (29, 299):
                before = await steps(line)
                await ledger.reserve(Reservation(stream(1000 + number), ACME, MODEL, once(f"k{number}")))
                await ledger.begin(stream(1000 + number), "req")
                await ledger.renew(stream(1000 + number), 3.0)
                await ledger.extend(stream(1000 + number), 5.0)
                await ledger.heard([Traffic(stream(1000 + number), 1.0, 1)])
                await ledger.settle(stream(1000 + number), ended(Status.FAILED, 4.0))
                await ledger.sweep()
                costs.append(await steps(line) - before)
        # One more look: a sweep stops at the first row that is not too old.
        assert abs(costs[1] - costs[0]) <= 2, costs
        before = await steps(line)
        await ledger.usage(TENANT, NOON - DAY, clock.at + 30 * DAY, limit=1)
        assert await steps(line) - before < 150
