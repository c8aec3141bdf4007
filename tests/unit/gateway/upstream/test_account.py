"""The account of one process: its timer, its share, and permits that others have given out.

Invariant under test: one timer, for the moment that matters, and none when time does not help.
What every account does stands in tests/contract/test_account.py, and how the governor uses it in test_governor.py.
"""

import asyncio
from typing import Any

from gateway.config.schema import Upstream
from gateway.upstream.account import LocalAccount, Permit
from tests.support.relay import Clock


def account(clock: Clock, *, share: int = 1, held: set[Permit] | None = None, **settings: Any) -> LocalAccount:
    one = LocalAccount(Upstream(**settings), now=clock, share=share, held=held)
    one.bind(lambda: None, lambda: None)
    return one


async def test_a_permit_is_given_while_there_is_room_and_the_pace_allows_it() -> None:
    """And it is back when it is given back, once."""
    clock = Clock()
    one = account(clock, max_concurrency=2, requests_per_minute=60)
    first = one.take()
    assert first is not None
    assert one.take() is None
    assert one.gap - 1e-9 < one.closed_for() < 1.001
    clock.at += 1.001
    assert one.take() is not None
    clock.at += 1.001
    assert (one.free, one.take()) == (0, None)
    one.give_back(first)
    one.give_back(first)
    assert one.free == 1
    assert one.take() is not None
    assert one.refusal() is None
    assert one.place(3) == 3


async def test_a_share_is_of_both_limits_and_never_nothing() -> None:
    """A third of 10 at once and 60 a minute is 3 and 20; what others gave out counts."""
    one = account(Clock(), share=3, max_concurrency=10, requests_per_minute=60, held={Permit(0)})
    assert (one.limit, one.free, round(one.gap, 3)) == (3, 2, 3.0)
    assert account(Clock(), share=30, max_concurrency=10).limit == 1


async def test_who_waits_is_looked_at_when_it_may_start() -> None:
    """Not before the pause is over, nor before the caller's own time; not at all when nobody waits or all is full."""
    calls: list[float] = []
    loop = asyncio.get_running_loop()
    one = LocalAccount(Upstream(max_concurrency=1))
    one.bind(lambda: calls.append(loop.time()), lambda: None)
    one.pause(0.03)
    began = loop.time()
    one.expect(0.0)
    one.expect(0.06)
    async with asyncio.timeout(5):
        while not calls:  # noqa: ASYNC110  # the timer is what is tested
            await asyncio.sleep(0.001)
    assert len(calls) == 1
    assert calls[0] - began >= 0.05
    one.expect(0.0)
    one.expect(None)
    assert one.take() is not None
    one.expect(0.0)
    await asyncio.sleep(0.02)
    assert len(calls) == 1


async def test_one_era_s_refusals_are_one_piece_of_news() -> None:
    """The limit shrinks once for all of them, and grows by one that is heard while all are out."""
    one = account(Clock(), max_concurrency=2, requests_per_minute=10**9)
    permit = one.take()
    assert permit is not None
    one.throttled(permit.era, 5.0)
    one.throttled(permit.era, 5.0)
    assert (one.limit, one.closed_for()) == (1, 5.0)
    one.heard()
    assert one.limit == 2
