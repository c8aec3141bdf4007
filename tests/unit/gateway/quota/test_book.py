"""Tests of the book's steps on a store, where the contract suite does not look: sums, clocks, and tenants' limits.

Invariant under test: the sums that limits rest on are what the rows add up to, whatever happened.
It must not know how a step is made atomic.
"""

import pytest

from gateway.config.schema import Limits
from gateway.errors import LimitError
from gateway.quota import periods
from gateway.quota.book import Book
from gateway.quota.bucket import SECOND
from gateway.quota.memory_store import MemoryStore
from tests.support.ledger import ACME, DAY, FREE, NOON, OTHER, PRICES, RULES, Time, completed, order, stream

TENANT = ACME.tenant


def test_seconds_belong_to_the_day_of_creation() -> None:
    """A song that is settled tomorrow is today's, and so is what comes back of it."""
    clock, store = Time(NOON + DAY / 2 - 1), MemoryStore(9)
    book = Book(lambda _: FREE, RULES, PRICES, clock)
    book.reserve(store, order(1))
    clock.at += 30
    book.settle(store, stream(1), completed(20.0))
    days = [periods.day(int(at * SECOND)) for at in (NOON, NOON + DAY)]
    assert [store.used(TENANT, day).audio for day in days] == [20_000, 0]


def test_the_clock_is_read_in_the_step() -> None:
    """Once for each, so that a step has one time."""
    asked = []

    def now() -> float:
        asked.append(1)
        return NOON

    store = MemoryStore(9)
    book = Book(lambda _: FREE, RULES, PRICES, now)
    assert asked == []
    book.reserve(store, order(1))
    book.renew(store, stream(1), 1.0)
    assert len(asked) == 2


def test_each_tenant_has_its_own_limits() -> None:
    """They are looked up by the tenant whose generation it is, when it is extended, too."""
    limits = {TENANT: Limits(audio_seconds_per_day=200), OTHER.tenant: Limits(audio_seconds_per_day=0)}
    store = MemoryStore(9)
    book = Book(limits.__getitem__, RULES, PRICES, Time())
    book.reserve(store, order(1))
    book.reserve(store, order(2, OTHER))
    assert book.extend(store, stream(2), 9.0) == 9.0
    with pytest.raises(LimitError):
        book.extend(store, stream(1), 9.0)
