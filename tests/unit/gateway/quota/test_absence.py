"""What is booked alone, taken by itself: which rows are its own, what is noted of others, and what is left to tell.

Invariant under test: what was carried over is not left, and what comes after it is. The whole of it, on a server that
goes and comes, is in test_standby.py. It must not know when a ledger is away.
"""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from gateway.accounting import Traffic
from gateway.errors import ServiceError
from gateway.model import StreamId
from gateway.quota.absence import Absence
from gateway.quota.book import Book
from gateway.quota.redis import RedisLedger
from tests.support.ledger import ACME, FREE, PRICES, RULES, Time, completed, once, order, row, stream, used
from tests.support.redis import standing_redis
from tests.support.redis_line import Line


@pytest.fixture(scope="module")
def url(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as address:
        yield address


@pytest.fixture
async def shared(url: str) -> AsyncIterator[RedisLedger]:
    line = Line(url)
    await line.call("FLUSHALL")
    ledger = RedisLedger(line, lambda _: FREE, RULES, PRICES, now=Time())
    yield ledger
    await ledger.close()


@pytest.fixture
def absence() -> Absence:
    return Absence(Book(lambda _: FREE, RULES, PRICES, Time()), "here:1")


async def test_its_own_rows(absence: Absence, shared: RedisLedger) -> None:
    """They are there at once, may be told again while they change, and are no other's."""
    absence.reserve(order(1))
    assert absence.reserve(order(1)).repeated
    assert absence.keeps(stream(1))
    assert not absence.keeps(stream(2))
    assert absence.left == 1
    await absence.carry_over(shared)
    assert absence.left == 0
    absence.begin(stream(1), "req")
    assert absence.renew(stream(1), 7.0)
    assert absence.extend(stream(1), 5.0) == 5.0
    assert absence.left == 1
    await absence.carry_over(shared)
    assert await row(shared, 1) == ("running", 205.0, 0.0, 0.0)
    assert [entry.received for entry in absence.rows] == [7000]


async def test_words_about_other_rows(absence: Absence, shared: RedisLedger) -> None:
    """The latest of each kind is kept, the first bill counts, and traffic is added up."""
    for number in (1, 2):
        await shared.reserve(order(number))
    absence.begin(stream(1), "req")
    assert absence.renew(stream(1), 7.0)
    assert absence.renew(stream(1), 9.0)
    absence.note_settlement(stream(1), completed(11.0))
    absence.note_settlement(stream(1), completed(99.0))
    absence.withdraw(stream(2))
    for octets in (10, 5):
        absence.heard([Traffic(stream(1), 1.0, octets)])
    absence.note_telling("here:0", [Traffic(stream(2), 1.0, 7)])
    assert absence.left == 4
    with pytest.raises(ServiceError, match="is away"):
        absence.extend(stream(1), 5.0)
    await absence.carry_over(shared)
    assert absence.left == 0
    assert await row(shared, 1) == ("completed", 200.0, 11.0, 189.0)
    assert await row(shared, 2) == ("cancelled", 200.0, 0.0, 200.0)
    assert await used(shared) == (0, 11.0)
    assert (await shared.remaining(ACME.tenant)).egress_bytes_per_day.used == 22


async def test_a_row_that_was_told_and_is_withdrawn(absence: Absence, shared: RedisLedger) -> None:
    """Its key is free here and there."""
    absence.reserve(order(1, once=once("k")))
    await absence.carry_over(shared)
    assert await shared.ordered(ACME.tenant, once("k")) == stream(1)
    absence.withdraw(stream(1))
    await absence.carry_over(shared)
    assert await shared.ordered(ACME.tenant, once("k")) is None
    assert await used(shared) == (0, 0.0)


async def test_a_word_that_comes_while_another_is_told(
    absence: Absence, shared: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as well."""
    await shared.reserve(order(1))
    absence.begin(stream(1), "req")
    begin = shared.begin

    async def and_meanwhile(stream_id: StreamId, request_id: str | None) -> None:
        monkeypatch.undo()
        await begin(stream_id, request_id)
        absence.note_settlement(stream_id, completed(3.0))

    monkeypatch.setattr(shared, "begin", and_meanwhile)
    await absence.carry_over(shared)
    assert await row(shared, 1) == ("completed", 200.0, 3.0, 197.0)
