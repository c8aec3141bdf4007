"""Tests of the rules in Lua against those in Python, where the contract suites would take years to come by.

Invariant under test: every instant is in the month that the calendar says, every amount is rounded as Python rounds,
and numbers keep every digit. It must not know what an operation does.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from gateway.quota import periods
from gateway.quota.bucket import SECOND
from gateway.quota.prices import Price, Prices
from gateway.quota.redis_scripts import COLUMNS, OPERATIONS, SCRIPTS, WHOLE, by_the_rules
from gateway.redis.connection import Redis
from tests.support.redis import standing_redis


@pytest.fixture(scope="module")
def url(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as address:
        yield address


@pytest.fixture
async def redis(url: str) -> AsyncIterator[Redis]:
    async with Redis(url, timeout=20.0) as line:
        yield line


def test_every_operation_has_the_rules_in_front_of_it() -> None:
    """And all of them have the same; a row's columns are an Entry's, of which these are words."""
    assert SCRIPTS.keys() == set(OPERATIONS)
    assert len({script.sha for script in SCRIPTS.values()}) == len(OPERATIONS)
    assert all("local function settle_lapsed" in script.text for script in SCRIPTS.values())
    assert set(COLUMNS) - WHOLE == {"stream_id", "tenant", "key_id", "model", "request_id", "status"}


async def test_months(redis: Redis) -> None:
    """They turn when the calendar's do, leap years and centuries included, to the microsecond."""
    months = [datetime(year, month, 1, tzinfo=UTC) for year in range(1999, 2105) for month in range(1, 13)]
    days = [first + timedelta(days=offset) for first in months for offset in (-1, 0)]
    instants = [int(day.timestamp()) * SECOND + edge for day in days for edge in (0, 86_400 * SECOND - 1)]
    script = by_the_rules(
        "local found = {} for place = 4, #ARGV do local at = tonumber(ARGV[place]) "
        "found[#found + 1] = month(at) found[#found + 1] = day(at) end return found"
    )
    found = await redis.run(script, (), (0, "{}", 1, *instants))
    named = list(zip(instants, found[::2], found[1::2], strict=True))
    for (before, month, day), (after, next_month, next_day) in pairwise(named):
        assert next_month - month == (periods.month(after) != periods.month(before))
        assert (next_day == day) == (periods.day(after) == periods.day(before))


async def test_money_is_rounded_as_in_python(redis: Redis) -> None:
    """Halves to the even one, prices to the last digit of a float, and nothing for a model without a price."""
    table = {"half": Price(per_second=0.0005), "odd": Price(0.1 + 0.2, 1e-7 / 3), "dear": Price(9999.99, 12.5)}
    words = [(model, amount, 3 * amount) for model in (*table, "free") for amount in (*range(40), 10**6 + 1, 10**8)]
    script = by_the_rules(
        "local found = {} for place = 4, #ARGV, 3 do found[#found + 1] = "
        "whole(cost(ARGV[place], tonumber(ARGV[place + 1]), tonumber(ARGV[place + 2]))) end return found"
    )
    prices = '{"half": [0.0005, 0.0], "odd": [0.30000000000000004, 3.3333333333333334e-08], "dear": [9999.99, 12.5]}'
    found = await redis.run(script, (), (0, prices, 1, *(word for one in words for word in one)))
    assert [int(one) for one in found] == [Prices(table).cost(*one) for one in words]


async def test_numbers_keep_their_digits(redis: Redis) -> None:
    """Up to 2^53, which is the year 2255 in microseconds; and zero has no sign."""
    numbers = [0, 1, 10**15, 1_800_000_000_000_001, 2**53 - 1, -(2**53) + 1]
    script = by_the_rules(
        "local found = { whole(-1 * 0) } for place = 4, #ARGV do found[#found + 1] = whole(tonumber(ARGV[place])) end "
        "return found"
    )
    assert [int(one) for one in await redis.run(script, (), (0, "{}", 1, *numbers))] == [0, *numbers]
    assert await redis.run(by_the_rules("return whole(-1 * 0)"), (), (0, "{}", 1)) == b"0"
