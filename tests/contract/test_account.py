"""What the governor may expect of the provider's account, that of one process and that which nodes share in Redis.

Invariant under test: never more at once than the limit, never faster than the pace, nobody during a pause, and what is
over is over, however it ended.
What only several nodes, or a store that goes away, can show stands in test_account_nodes.py.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from gateway.config.schema import Upstream
from gateway.errors import UpstreamError
from gateway.model import Queued, TenantId
from gateway.redis.connection import Redis
from gateway.upstream.governor import Governor
from metrics.recorder import Recorder
from tests.support.governor import AT_ONCE, Guest, guests, node, steps, until
from tests.support.redis import standing_redis

# Loops differ in their sockets, not in what an account decides: one test has both.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

Open = Callable[..., AbstractAsyncContextManager[Governor]]


def busy(seconds: float | None = None) -> UpstreamError:
    return UpstreamError("upstream_busy", "Full.", retry_after=seconds)


@pytest.fixture(scope="module")
def url(need: Callable[[str], str]) -> Iterator[str]:
    with standing_redis(need("redis-server")) as address:
        yield address


@pytest.fixture(params=["local", "shared"])
def governed(request: pytest.FixtureRequest) -> Open:
    """A governor on an account that nobody has used, with these settings."""

    @asynccontextmanager
    async def local(weight: Callable[[TenantId], float] = lambda _: 1.0, **settings: Any) -> AsyncIterator[Governor]:
        config = Upstream(**({"requests_per_minute": AT_ONCE} | settings))
        yield Governor(config, Recorder(), weight=weight)

    @asynccontextmanager
    async def shared(**settings: Any) -> AsyncIterator[Governor]:
        url: str = request.getfixturevalue("url")
        async with Redis(url, timeout=5.0) as redis:
            await redis.call("FLUSHALL")
        async with node(url, **settings) as governor:
            yield governor

    return local if request.param == "local" else shared


def inside(present: list[Guest]) -> list[Guest]:
    return [guest for guest in present if guest.turn is not None and not guest.task.done()]


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_never_more_at_once_than_the_limit_and_all_get_in(governed: Open) -> None:
    """30 who want in, and room for 4."""
    most = served = 0
    full = asyncio.Event()

    async def visit(of: Governor, tenant: str) -> None:
        nonlocal most, served
        async with of.admission(TenantId(tenant)) as turn, asyncio.timeout(20):
            async for _ in turn:
                pass
            most = max(most, of.used)
            if of.used == 4:
                full.set()
            # The first ones stay until there is no room, so that it is seen to be used.
            await full.wait()
            await asyncio.sleep(0.002)
            turn.heard()
            turn.finished()
            served += 1

    async with governed(max_concurrency=4) as of:
        await asyncio.gather(*(visit(of, "abc"[number % 3]) for number in range(30)))
        assert (most, served, of.used, of.waiting) == (4, 30, 0, 0)


async def test_the_pace_is_kept(governed: Open) -> None:
    """Starts are a minute's share apart, whoever waits."""
    began = time.monotonic()
    async with governed(requests_per_minute=1500) as of, guests(of, *"abcaba") as present:
        await until(lambda: len(inside(present)) == 6)
        assert time.monotonic() - began >= 5 * 0.04


async def test_weights_are_kept(governed: Open) -> None:
    """A tenant of weight 3 is admitted three times for once of another."""
    order = []
    weight = {"a": 3.0, "b": 1.0}.__getitem__
    async with governed(weight=weight, max_concurrency=1) as of, guests(of, *["a", "b"] * 12) as present:
        for _ in range(12):
            await until(lambda: len(inside(present)) == 1)
            (guest,) = inside(present)
            order.append(guest.tenant)
            await guest.leave()
    assert 8 <= order.count("a") <= 10


async def test_being_full_lowers_the_limit_once_and_pauses_all(governed: Open) -> None:
    """All refusals of one era are one piece of news; the pause is what the provider says."""
    async with governed(max_concurrency=10) as of, guests(of, *"abcdefghij") as present:
        await until(lambda: len(inside(present)) == 10)
        began = time.monotonic()
        for guest in present[5:]:
            assert guest.turn is not None
            guest.turn.failed(busy(0.3))
            await guest.leave()
        async with guests(of, "k") as (late,):
            await until(lambda: late.turn is not None)
            assert time.monotonic() - began >= 0.3 - 0.005
            assert of.limit == 7
            assert late.news[0].position == 1
        # Those of the era before teach nothing any more.
        assert present[0].turn is not None
        present[0].turn.failed(busy(0.001))
        await present[0].leave()
        async with guests(of, "k") as (late,):
            await until(lambda: late.turn is not None)
            assert of.limit == 7


async def test_sound_lets_the_limit_grow_again(governed: Open) -> None:
    """A generation that is heard while all permits are out makes room for one more, and no more than are allowed."""
    async with governed(max_concurrency=2) as of:
        async with guests(of, "a") as (guest,):
            await until(lambda: guest.turn is not None)
            assert guest.turn is not None
            guest.turn.failed(busy(0.001))
        await until(lambda: of.limit == 1)
        async with guests(of, "a", "b") as present:
            await until(lambda: len(inside(present)) == 1)
            first = inside(present)[0].turn
            assert first is not None
            first.heard()
            await until(lambda: len(inside(present)) == 2)
            assert of.limit == 2
            for guest in present:
                assert guest.turn is not None
                guest.turn.heard()
        async with guests(of, "c") as (guest,):
            await until(lambda: guest.turn is not None)
            assert of.limit == 2


async def test_the_waiting_are_told_their_place(governed: Open) -> None:
    """And the time that a place costs, once one has ended."""
    async with governed(max_concurrency=1) as of, guests(of, "a", "b", "c") as present:
        first, second, third = present
        await until(lambda: second.news[-1:] == [Queued(1, None)] and third.news[-1:] == [Queued(2, None)])
        assert first.turn is not None
        await first.leave()
        await until(lambda: second.turn is not None and third.positions[-1] == 1)
        assert third.news[-1].eta_seconds is not None


@pytest.mark.parametrize("waits", [False, True])
async def test_a_cancel_at_any_step_leaves_nothing(governed: Open, waits: bool) -> None:
    """Before it asks, while it waits, as it is admitted and while it holds its permit; the next one is admitted."""
    async with governed(max_concurrency=1) as of:
        for step in range(8):
            async with guests(of, *(["first"] if waits else [])) as others:
                await until(lambda others=others: len(inside(others)) == len(others))  # type: ignore[misc]  # of this round
                guest = Guest(of, "a")
                await steps(step)
                guest.task.cancel()
                await asyncio.wait([guest.task], timeout=5)
                assert (of.used, of.waiting) == (len(others), 0)
        async with guests(of, "late") as (late,):
            await until(lambda: late.turn is not None)
        assert (of.used, of.waiting) == (0, 0)


async def test_giving_a_turn_back_twice_does_nothing(governed: Open) -> None:
    """The second time frees nobody else's permit."""
    async with governed(max_concurrency=2) as of, guests(of, "a", "b") as present:
        await until(lambda: len(inside(present)) == 2)
        turn = present[0].turn
        assert turn is not None
        of.leave(turn)
        of.leave(turn)
        async with guests(of, "c", "d") as more:
            await until(lambda: len(inside(more)) == 1)
            assert of.used == 2


async def test_random_cancels_leave_nothing(governed: Open) -> None:
    """Tenants come, wait, sing, fail, leave and are cancelled at random; the limit holds all the while."""
    dice = random.Random(1)
    most = 0

    async def visit(of: Governor) -> None:
        nonlocal most
        try:
            async with of.admission(TenantId(f"t{dice.randrange(6)}"), again=dice.random() < 0.3) as turn:
                async for _ in turn:
                    pass
                most = max(most, of.used)
                await asyncio.sleep(dice.random() * 0.002)
                if dice.random() < 0.6:
                    turn.heard()
                if dice.random() < 0.1:
                    code = dice.choice(["upstream_busy", "upstream_failed", "content_rejected"])
                    turn.failed(UpstreamError(code, "No.", retry_after=0.001))
                else:
                    turn.finished()
        except UpstreamError:
            pass

    async with governed(max_concurrency=8, max_queue=64, circuit_seconds=0.002) as of:
        tasks = [asyncio.create_task(visit(of)) for _ in range(30)]
        for _ in range(200):
            await asyncio.sleep(0 if dice.random() < 0.8 else 0.001)
            tasks.pop(dice.randrange(len(tasks))).cancel()
            tasks.append(asyncio.create_task(visit(of)))
        for task in tasks[:15]:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)
        assert 2 <= most <= 8
        assert (of.used, of.waiting) == (0, 0)
        async with guests(of, *"abcdefgh", again=True) as present:
            # As many get in as are still allowed: no permit was left behind.
            await until(lambda: len(inside(present)) == min(8, of.limit))
