"""News of a budget: who is told, how often, and what of a ledger that is away.

Invariant under test: the last change is always told, and never two within a second. Time is an event that the test
sets. It must not know how a session says it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.accounting import Budget, Remaining
from gateway.config.schema import Limits
from gateway.errors import ServiceError
from gateway.model import TenantId
from gateway.protocol.events import QuotaUpdated
from gateway.quota.volatile import VolatileLedger
from gateway.server.quotanews import INTERVAL_SECONDS, QuotaNews, quota_updated
from tests.support.relay import until

ACME, OTHER = TenantId("acme"), TenantId("other")


class Ear:
    """A session that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[QuotaUpdated] = []

    def tell_owner(self, message: QuotaUpdated) -> None:
        self.heard.append(message)


class BrokenEar(Ear):
    """A session whose socket fails."""

    def tell_owner(self, message: QuotaUpdated) -> None:
        raise RuntimeError("the socket is closed")


class Books(VolatileLedger):
    """Counts how often it is read, and can be away."""

    def __init__(self) -> None:
        super().__init__(lambda _: Limits(concurrent_streams=3))
        self.read: list[TenantId] = []
        self.away = False

    async def remaining(self, tenant: TenantId) -> Remaining:
        self.read.append(tenant)
        if self.away:
            raise ServiceError("ledger_unavailable", "The ledger is away.")
        return await super().remaining(tenant)


class Town:
    """News with its sessions, and a second that passes when the test says so."""

    def __init__(self) -> None:
        self.books = Books()
        self.ears: dict[TenantId, list[Ear]] = {ACME: [Ear(), Ear()]}
        self.slept: list[float] = []
        self.second = asyncio.Event()
        self.news = QuotaNews(lambda tenant: self.ears.get(tenant, []), self.books, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.second.wait()
        self.second.clear()

    @property
    def told(self) -> list[int]:
        return [len(ear.heard) for ear in self.ears[ACME]]


@asynccontextmanager
async def town() -> AsyncIterator[Town]:
    place = Town()
    task = asyncio.create_task(place.news.run())
    try:
        yield place
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_first_change_is_told_at_once_and_many_as_one_a_second_later() -> None:
    """Every session of the tenant hears it; what changes meanwhile is told in one."""
    async with town() as place:
        place.news.changed(ACME)
        await until(lambda: place.told == [1, 1])
        for _ in range(100):
            place.news.changed(ACME)
        await until(lambda: place.slept == [INTERVAL_SECONDS])
        assert place.told == [1, 1]
        place.second.set()
        await until(lambda: place.told == [2, 2])
        await until(lambda: len(place.slept) == 2)
        place.second.set()
        await until(lambda: not place.second.is_set())
        assert place.told == [2, 2], "nothing has changed since"
    assert place.books.read == [ACME, ACME]


async def test_of_who_is_not_connected_nothing_is_looked_up() -> None:
    """The ledger is asked for those alone who hear the answer."""
    async with town() as place:
        place.news.changed(OTHER)
        place.news.changed(ACME)
        await until(lambda: place.told == [1, 1])
    assert place.books.read == [ACME]


async def test_a_ledger_that_is_away_costs_news_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next change is told."""
    async with town() as place:
        place.books.away = True
        place.news.changed(ACME)
        await until(lambda: len(place.slept) == 1)
        place.books.away = False
        place.news.changed(ACME)
        place.second.set()
        await until(lambda: place.told == [1, 1])
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_session_that_cannot_be_told_keeps_nobody_from_the_news(caplog: pytest.LogCaptureFixture) -> None:
    """The others hear it, and the next one, too."""
    async with town() as place:
        place.ears[ACME].insert(0, BrokenEar())
        place.news.changed(ACME)
        await until(lambda: place.told == [0, 1, 1])
        place.news.changed(ACME)
        place.second.set()
        await until(lambda: place.told == [0, 2, 2])
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_what_is_left_and_what_is_nearly_used_up() -> None:
    """A limit of which four fifths are used is named; one that is none has nothing left to tell."""
    message = quota_updated(
        Remaining(Budget(5, 4), Budget(100, 79.9994, 1e9), Budget(100, 120.0, 2e9), Budget(0, 1e12, 1e9))
    )
    assert message.warnings == ["concurrent_streams", "audio_seconds_per_month"]
    assert (message.concurrent_streams.remaining, message.concurrent_streams.resets_at) == (1.0, None)
    assert (message.audio_seconds_per_day.used, message.audio_seconds_per_day.resets_at) == (79.999, 1e9)
    assert message.audio_seconds_per_month.remaining == 0.0
    assert message.egress_bytes_per_day.remaining is None
