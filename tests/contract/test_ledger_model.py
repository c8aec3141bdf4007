"""The ledger in memory, on SQLite and on Redis against a plain model that adds its rows up again for every answer.

Invariant under test: whatever is asked in whatever order, with time going forwards and backwards, each answers as the
model does, and what is held and used is what the rows say.
It must not know a store.
"""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.accounting import Grant
from gateway.config.schema import Limits
from gateway.model import Principal, Status
from gateway.quota.policy import Rules
from gateway.redis.connection import Redis
from tests.support.ledger import ACME, DAY, NOON, OTHER, Time, answer, ended, new_ledger, order, stream
from tests.support.ledger_model import Model
from tests.support.redis import standing_redis

RULES = Rules(lease_seconds=60.0, default_estimate_seconds=40.0, minimum_seconds=10.0)
# Near the end of a day and of a month, so that both turn over.
START = NOON + 28 * DAY + DAY / 2 - 120

numbers = st.integers(0, 11)
seconds = st.integers(0, 60).map(float)


class Ledgers(RuleBasedStateMachine):
    forms: ClassVar[tuple[str, ...]] = ("memory", "sqlite")

    def place(self) -> Path | str:
        return Path(self.folder.name)

    @initialize(slots=st.integers(0, 3), rate=st.integers(0, 3), day=st.sampled_from([0, 5, 90, 200]))
    def build(self, slots: int, rate: int, day: int) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Time(START)
        limits = Limits(
            concurrent_streams=slots,
            streams_per_minute=rate,
            audio_seconds_per_day=day,
            audio_seconds_per_month=day * 3 // 2,
        )
        self.model = Model(limits, RULES, self.clock)
        self.ledgers = [new_ledger(form, self.place(), limits, RULES, self.clock) for form in self.forms]
        for ledger in self.ledgers:
            self.run(ledger.open())

    def run(self, asked: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(asked)

    def agree(self, expected: object, *asked: Coroutine[Any, Any, object]) -> None:
        assert [self.run(answer(one)) for one in asked] == [expected] * len(self.forms)

    @rule(number=numbers, who=st.sampled_from([ACME, OTHER]))
    def reserve(self, number: int, who: Principal) -> None:
        one = order(number, who)
        expected = self.model.reserve(one)
        for ledger in self.ledgers:
            got = self.run(answer(ledger.reserve(one)))
            if isinstance(got, Grant):
                got = "repeated" if got.repeated else (got.seconds, got.partial)
            assert got == expected

    @rule(number=numbers, received=seconds)
    def renew(self, number: int, received: float) -> None:
        expected = self.model.renew(stream(number), received)
        self.agree(expected, *(ledger.renew(stream(number), received) for ledger in self.ledgers))

    @rule(number=numbers, more=seconds)
    def extend(self, number: int, more: float) -> None:
        expected = self.model.extend(stream(number), more)
        self.agree(expected, *(ledger.extend(stream(number), more) for ledger in self.ledgers))

    @rule(
        number=numbers,
        status=st.sampled_from([Status.COMPLETED, Status.COMPLETED, Status.FAILED, Status.CANCELLED]),
        received=seconds,
        billed=st.none() | seconds,
    )
    def settle(self, number: int, status: Status, received: float, billed: float | None) -> None:
        settlement = ended(status, received, billed)
        expected = self.model.settle(stream(number), settlement)
        for ledger in self.ledgers:
            booked = self.run(ledger.settle(stream(number), settlement))
            assert (None if booked is None else booked.settled) == expected

    @rule(passed=st.sampled_from([0.5, 1.0, 20.0, 40.0, 60.0, 90.0]))
    def wait(self, passed: float) -> None:
        self.clock.at += passed

    @rule(back=st.sampled_from([0.5, 30.0, 3600.0]))
    def put_the_clock_back(self, back: float) -> None:
        self.clock.at -= back

    @rule()
    def sweep(self) -> None:
        ending = sum(row.running and row.expires <= self.clock.at for row in self.model.rows.values())
        self.model.tick()
        self.agree(ending, *(ledger.sweep() for ledger in self.ledgers))

    @invariant()
    def what_is_left_is_what_the_rows_say(self) -> None:
        for who in (ACME, OTHER):
            (_, month), (_, day) = self.model.spans(self.clock.at)
            expected = [self.model.held(who.tenant), *(self.model.used(who.tenant, span) for span in (day, month))]
            for ledger in self.ledgers:
                left = self.run(ledger.remaining(who.tenant))
                budgets = (left.concurrent_streams, left.audio_seconds_per_day, left.audio_seconds_per_month)
                assert [budget.used for budget in budgets] == expected

    def teardown(self) -> None:
        rows = self.model.rows
        for ledger in self.ledgers:
            usages = [self.run(ledger.usage(who.tenant, 0.0, START * 2)) for who in (ACME, OTHER)]
            found = {row.stream_id: row for usage in usages for row in usage.page.generations}
            assert found.keys() == rows.keys()
            for stream_id, row in rows.items():
                one = found[stream_id]
                expected = (row.created, row.reserved, row.received, 0.0 if row.running else row.settled)
                assert (one.created_at, one.reserved, one.received, one.settled) == expected
                assert row.state in (one.status.value, "queued" if one.status == "running" else "") or row.running
            assert sum(usage.totals.settled for usage in usages) == sum(row.settled for row in rows.values())
            self.run(ledger.close())
        self.runner.close()
        self.folder.cleanup()


Ledgers.TestCase.settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=40, deadline=None)
TestLedgers = Ledgers.TestCase


class SharedLedgers(Ledgers):
    forms = ("redis",)
    url: ClassVar[str]

    def place(self) -> Path | str:
        async def empty() -> None:
            async with Redis(self.url) as redis:
                await redis.call("FLUSHALL")

        self.run(empty())
        return self.url


@pytest.fixture(scope="module")
def redis_url(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as url:
        SharedLedgers.url = url
        yield url


@pytest.mark.usefixtures("redis_url")
class TestSharedLedgers(SharedLedgers.TestCase):  # type: ignore[misc]  # hypothesis makes it, without a type
    """Each answer is a way to a server and back, so there are fewer."""

    settings = settings(max_examples=10, stateful_step_count=40, deadline=None)
