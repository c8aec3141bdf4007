"""Generations bought with patience, from a source that does as each test says.

Invariant under test: tries are bounded and come before the first sound only, each has a permit of its own and none is
held in between, and whoever leaves, wherever, leaves nothing. Real sockets stand in test_governed_calls.py.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from gateway.config.schema import Upstream
from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, Queued, SongRequest, SourceEvent, TenantId, TriedAgain
from gateway.upstream.governed import GovernedSource
from gateway.upstream.governor import Governor
from gateway.upstream.keys import KeyRefusedError
from gateway.upstream.retry import RetryPolicy
from metrics.recorder import Recorder
from tests.support.governor import governor, guests, steps
from tests.support.relay import Clock, song

CIRCUIT_FAILURES = Upstream().circuit_failures

TENANT = TenantId("a")
SOUND, END = AudioDelta(b"la"), Finished(2.0)
BUSY = UpstreamError("upstream_busy", "Full.", retry_after=0.01)
BROKEN = UpstreamError("upstream_failed", "Broken.")
HOLD = asyncio.Event  # in a plan: wait here until cancelled

Step = SourceEvent | Exception | type[asyncio.Event]


class Plan:
    """A source whose calls go as planned, one after another; `open_now` is how many are open, `calls` how many were.

    The events tell that a call has come to a HOLD, and that one has begun or ended.
    """

    def __init__(self, *calls: tuple[Step, ...]) -> None:
        self._calls = calls
        self.calls = 0
        self.open_now = 0
        self.held, self.begun, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def open(self, song: SongRequest) -> AsyncIterator[AsyncIterator[SourceEvent]]:
        self.open_now += 1
        self.begun.set()
        try:
            async with aclosing(self._say(self._calls[self.calls])) as events:
                self.calls += 1
                yield events
        finally:
            self.open_now -= 1
            self.ended.set()

    async def _say(self, plan: tuple[Step, ...]) -> AsyncGenerator[SourceEvent]:
        for step in plan:
            await asyncio.sleep(0)
            if isinstance(step, Exception):
                raise step
            if isinstance(step, type):
                self.held.set()
                await asyncio.wait_for(step().wait(), 30)
            else:
                yield step


def governed(plan: Plan, of: Governor, *, attempts: int = 3, seconds: float = 60.0, **options: Any) -> GovernedSource:
    """The plan under this governor, whose back-offs are too short to be noticed."""
    policy = RetryPolicy(attempts, seconds, base=1e-4)
    return GovernedSource(plan, of, policy, Recorder(), **({"timeout": 60.0} | options))


async def told(source: GovernedSource) -> tuple[list[SourceEvent], str | None]:
    """Everything a generation says, and the code it ends in."""
    said: list[SourceEvent] = []
    try:
        async with asyncio.timeout(10), source.open(song(), TENANT) as events:
            async for event in events:
                said.append(event)  # noqa: PERF401 - what came before the error is wanted
    except UpstreamError as error:
        return said, error.code
    return said, None


def retries(source: GovernedSource) -> float | None:
    return source._recorder.registry.get_sample_value("wavegate_upstream_retries_total")


async def test_a_generation_that_goes_well_passes_unchanged() -> None:
    """With room, the source's events come as they are, and the permit is given back at the end."""
    of, plan = governor(), Plan((Accepted("r1"), SOUND, SOUND, END))
    source = governed(plan, of)
    assert await told(source) == ([Accepted("r1"), SOUND, SOUND, END], None)
    assert (of.used, plan.open_now, retries(source)) == (0, 0, 0.0)


async def test_failures_before_the_first_sound_are_borne() -> None:
    """Other tries follow, each with its own name at the provider, and the listener hears one song."""
    of, plan = governor(), Plan((BUSY,), (Accepted("r1"), BUSY), (Accepted("r2"), SOUND, END))
    source = governed(plan, of)
    said, code = await told(source)
    tries = [TriedAgain(2), Accepted("r1"), TriedAgain(3), Accepted("r2")]
    assert [event for event in said if not isinstance(event, Queued)] == [*tries, SOUND, END]
    assert (code, plan.calls, retries(source), of.used) == (None, 3, 2.0, 0)


async def test_an_acceptance_is_not_repeated() -> None:
    """Another try under the same name is the same news; under a new one it is told."""
    plan = Plan((Accepted("r1"), BUSY), (Accepted("r1"), BUSY), (Accepted("r2"), SOUND, END))
    said, _ = await told(governed(plan, governor()))
    assert [event for event in said if isinstance(event, Accepted)] == [Accepted("r1"), Accepted("r2")]


async def test_nothing_is_tried_again_after_sound() -> None:
    """A song that breaks off is over, and the failure is the listener's to know."""
    of, plan = governor(), Plan((Accepted("r1"), SOUND, BUSY), (SOUND, END))
    assert await told(governed(plan, of)) == ([Accepted("r1"), SOUND], "upstream_busy")
    assert (plan.calls, of.used, plan.open_now) == (1, 0, 0)


@pytest.mark.parametrize(
    ("failure", "calls"),
    [
        (BUSY, 3),
        (BROKEN, 2),
        (UpstreamError("content_rejected", "No."), 1),
        (UpstreamError("upstream_refused", "No."), 1),
    ],
)
async def test_patience_has_an_end(failure: UpstreamError, calls: int) -> None:
    """So many tries and no more; what may have cost money once more, what cannot become better not at all."""
    plan = Plan(*[(failure,)] * 5)
    _, code = await told(governed(plan, governor(), attempts=2))
    assert (code, plan.calls) == (failure.code, calls)


async def test_a_refused_key_costs_no_try() -> None:
    """Another key is tried at once and without counting, as long as there is one."""
    refused = KeyRefusedError("upstream_refused", "Not this key.")
    plan = Plan(*[(refused,)] * 4, (SOUND, END))
    assert await told(governed(plan, governor(), attempts=0)) == ([SOUND, END], None)
    plan = Plan((refused,), (UpstreamError("upstream_refused", "No key works."),))
    assert await told(governed(plan, governor())) == ([], "upstream_refused")


async def test_keys_are_not_tried_beyond_the_time() -> None:
    """A provider that takes its time to refuse each of many keys does not hold a listener for ever."""
    clock = Clock()

    class Slow(Plan):
        async def _say(self, plan: tuple[Step, ...]) -> AsyncGenerator[SourceEvent]:
            clock.at += 31.0
            async for event in super()._say(plan):
                yield event

    plan = Slow(*[(KeyRefusedError("upstream_refused", "Not this key."),)] * 5)
    source = governed(plan, governor(clock), now=clock)
    assert await told(source) == ([], "upstream_refused")
    assert plan.calls == 2


async def test_a_place_in_the_queue_is_told() -> None:
    """Whoever has to wait hears where it stands, and then its song."""
    of, plan = governor(max_concurrency=1), Plan((SOUND, END))
    async with guests(of, "b") as (first,):
        listening = asyncio.create_task(told(governed(plan, of)))
        await steps(5)
        assert plan.calls == 0
        await first.leave()
        assert await listening == ([Queued(1, None), SOUND, END], None)


async def test_no_permit_is_held_between_two_tries() -> None:
    """While a generation waits for its next try, somebody else may sing."""
    of, plan = governor(max_concurrency=1), Plan((UpstreamError("upstream_busy", "Full.", retry_after=0.2),), (END,))
    listening = asyncio.create_task(told(governed(plan, of)))
    await asyncio.wait_for(plan.ended.wait(), 5)
    await steps()
    assert (of.used, of.waiting) == (0, 0)
    said, code = await listening
    assert (said[-1], code, plan.calls) == (END, None, 2)


async def test_the_wait_for_another_try_is_within_our_patience() -> None:
    """When there is no room for it within the time of all tries, the generation ends."""
    of, plan = governor(max_concurrency=1), Plan((UpstreamError("upstream_unavailable", "Away."),), (END,))
    source = governed(plan, of, seconds=0.1)
    listening = asyncio.create_task(told(source))
    await asyncio.wait_for(plan.begun.wait(), 5)
    async with guests(of, "b"):
        said, code = await listening
    assert (plan.calls, code) == (1, "upstream_busy")
    assert {type(event) for event in said} == {Queued, TriedAgain}


async def test_a_generation_has_a_bound_as_a_whole() -> None:
    """A provider that keeps the line alive without coming to an end is left, with its permit given back."""
    of, plan = governor(), Plan((Accepted("r1"), SOUND, HOLD))
    assert await told(governed(plan, of, timeout=0.05)) == ([Accepted("r1"), SOUND], "upstream_timeout")
    assert (of.used, plan.open_now) == (0, 0)


async def test_the_governor_hears_how_it_goes() -> None:
    """Failures open the circuit; then nothing is called any more, and the listener is told when to come back."""
    of = governor()
    plan = Plan(*[(SOUND, UpstreamError("upstream_interrupted", "Cut."))] * 10)
    for _ in range(CIRCUIT_FAILURES):
        assert await told(governed(plan, of)) == ([SOUND], "upstream_interrupted")
    assert await told(governed(plan, of)) == ([], "upstream_unavailable")
    assert plan.calls == CIRCUIT_FAILURES


async def test_an_end_without_a_last_word_is_no_success() -> None:
    """A source that simply stops gives back its permit and says nothing for or against the provider."""
    of, plan = governor(), Plan(*[(BROKEN,)] * (CIRCUIT_FAILURES - 1), (SOUND,), (BROKEN,))
    source = governed(plan, of, attempts=0)
    for _ in range(CIRCUIT_FAILURES - 1):
        await told(source)
    assert await told(source) == ([SOUND], None)
    assert of.trouble() is None
    await told(source)
    assert of.trouble() is not None


async def test_a_fault_of_ours_leaves_nothing_behind() -> None:
    """What is no UpstreamError is not tried again and passes through; permit and call are given back."""
    of, plan = governor(), Plan((RuntimeError("bug"),))
    with pytest.raises(RuntimeError, match="bug"):
        await told(governed(plan, of))
    assert (of.used, plan.open_now) == (0, 0)


async def test_leaving_in_the_middle_leaves_nothing_behind() -> None:
    """A listener who breaks off the iteration has let go of the call and the permit when the context is left."""
    of, plan = governor(), Plan((Accepted("r1"), SOUND, SOUND, END))
    async with governed(plan, of).open(song(), TENANT) as events:
        async for event in events:
            if event == SOUND:
                break
    assert (of.used, plan.open_now) == (0, 0)


@pytest.mark.parametrize("step", range(25))
async def test_a_cancel_at_any_step_leaves_nothing_behind(step: int) -> None:
    """In the queue, before and amid the song, between tries: cancelled is gone, and the next one is served."""
    of = governor(max_concurrency=1)
    plan = Plan((BROKEN,), (Accepted("r1"), SOUND, HOLD))
    async with guests(of, "b") as (first,):
        task = asyncio.create_task(told(governed(plan, of)))
        await steps(step // 4)
        await first.leave()
        await steps(step)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()
    assert (of.used, of.waiting, plan.open_now) == (0, 0, 0)
    async with guests(of, "c") as (after,):
        await asyncio.wait_for(after.admitted.wait(), 5)


async def test_a_cancel_amid_the_song_ends_the_call() -> None:
    """The call is let go before the cancelled task ends."""
    of, plan = governor(), Plan((SOUND, HOLD))
    task = asyncio.create_task(told(governed(plan, of)))
    await asyncio.wait_for(plan.held.wait(), 5)
    assert (of.used, plan.open_now) == (1, 1)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert (of.used, plan.open_now) == (0, 0)
