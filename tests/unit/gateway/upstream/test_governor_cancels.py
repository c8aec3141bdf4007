"""What cancels leave behind at the governor's: nothing, whenever they come.

Invariant under test: a permit or a place in the queue ends with its owner, at every step of the loop and in every
mixture; whoever is next is admitted. Time plays no part, the steps of the loop do.
"""

import asyncio
import random

import pytest

from gateway.errors import UpstreamError
from gateway.model import TenantId
from gateway.upstream.governor import Governor
from tests.support.governor import Guest, governor, guests, steps
from tests.support.relay import Clock


def empty(of: Governor) -> bool:
    return of.used == of.waiting == len(of._queue.order()) == 0


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("waits", [False, True])
async def test_a_cancel_at_any_step_leaves_nothing(step: int, waits: bool) -> None:
    """Before it asks, while it waits, as it is admitted and while it holds its permit."""
    of = governor(max_concurrency=1)
    async with guests(of, *(["first"] if waits else [])) as others:
        guest = Guest(of, "a")
        await steps(step)
        guest.task.cancel()
        await asyncio.wait([guest.task], timeout=5)
        assert (of.used, of.waiting) == (len(others), 0)
    assert empty(of)


@pytest.mark.parametrize("step", range(6))
async def test_a_cancel_around_an_admission_passes_the_place_on(step: int) -> None:
    """Cancelled just before, with or just after its admission, its place goes to the next."""
    of = governor(max_concurrency=1)
    async with guests(of, "a", "b", "c") as (first, second, third):
        leaving = asyncio.create_task(first.leave())
        await steps(step)
        second.task.cancel()
        await asyncio.wait([leaving, second.task], timeout=5)
        await steps()
        assert third.turn is not None
        assert (of.used, of.waiting) == (1, 0)
    assert empty(of)


async def test_leaving_the_queue_moves_the_others_up_at_once() -> None:
    """A place that is given up is told to those behind it, and may be taken by somebody new."""
    of = governor(max_concurrency=1, max_queue=2)
    async with guests(of, "a", "b", "c") as (_, second, third):
        second.task.cancel()
        await steps()
        assert third.positions == [2, 1]
        async with guests(of, "d") as (late,):
            assert late.positions == [2]


async def test_giving_a_turn_back_twice_does_nothing() -> None:
    """The second time frees nobody else's permit."""
    of = governor(max_concurrency=2)
    async with guests(of, "a", "b") as (first, second):
        assert first.turn is not None
        of.leave(first.turn)
        of.leave(first.turn)
        assert of.used == 1
        await first.leave()
        assert of.used == 1
        assert second.turn is not None
        async with guests(of, "c"):
            assert of.used == 2


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 4))])
async def test_ten_thousand_random_cancels_leave_nothing(seed: int) -> None:
    """Tenants come, wait, sing, fail, leave and are cancelled at random; the limit holds all the while.

    In four parts, since one that counts coverage on a busy machine would come near to the limit of time.
    """
    dice = random.Random(seed)
    clock = Clock()
    of = governor(clock, max_concurrency=8, max_queue=64, max_queue_per_tenant=24)
    codes = ["upstream_busy", "upstream_failed", "upstream_refused", "content_rejected"]
    most = 0

    async def visit() -> None:
        nonlocal most
        try:
            async with of.admission(TenantId(f"t{dice.randrange(6)}"), again=dice.random() < 0.3) as turn:
                async for _ in turn:
                    pass
                most = max(most, of.used)
                await steps(dice.randrange(6))
                if dice.random() < 0.6:
                    turn.heard()
                await steps(dice.randrange(4))
                if dice.random() < 0.1:
                    turn.failed(UpstreamError(dice.choice(codes), "No."))
                else:
                    turn.finished()
        except UpstreamError:
            pass

    cancelled = 0
    while cancelled < 2_500:
        tasks = [asyncio.create_task(visit()) for _ in range(40)]
        while tasks:
            await steps(dice.randrange(3))
            clock.at += 2.0
            task = tasks.pop(dice.randrange(len(tasks)))
            cancelled += task.cancel()
            if len(tasks) < 20:
                tasks += [asyncio.create_task(visit()) for _ in range(20)] if cancelled < 2_500 else []
    await steps(10)
    assert 2 <= most <= 8
    assert empty(of)
    assert of._probe is None
    async with guests(of, "late", again=True) as (late,):
        async with asyncio.timeout(5):
            while late.turn is None:
                clock.at += 10.0
                await asyncio.sleep(0.001)
