"""The governor: who is admitted, who waits and what they are told, and what the provider's words change.

Invariant under test: never more at once than the limit, nobody waits behind another tenant's crowd, and whoever is
refused is told when to come back. What cancels leave behind stands in test_governor_cancels.py.
"""

import asyncio

import pytest

from gateway.config.schema import Upstream
from gateway.errors import UpstreamError
from gateway.model import Queued, TenantId
from gateway.upstream.governor import Governor
from tests.support.governor import Guest, governor, guests, steps
from tests.support.relay import Clock
from tests.support.verbs import value

CIRCUIT_FAILURES = Upstream().circuit_failures
CIRCUIT_SECONDS = Upstream().circuit_seconds

BUSY = UpstreamError("upstream_busy", "Full.")
BROKEN = UpstreamError("upstream_failed", "Broken.")
EMPTY = UpstreamError("upstream_empty", "Nothing to hear.")


def admitted(present: list[Guest]) -> list[str]:
    return [guest.tenant for guest in present if guest.turn is not None]


def gauge(of: Governor, state: str) -> float | None:
    return of._recorder.registry.get_sample_value("wavegate_upstream_concurrency", {"state": state})


async def fail(of: Governor, error: UpstreamError, times: int = 1) -> None:
    for _ in range(times):
        async with of.admission(TenantId("a"), again=True) as turn, asyncio.timeout(5):
            assert [queued async for queued in turn] == []
            turn.failed(error)


async def test_whoever_need_not_wait_hears_nothing_of_a_queue() -> None:
    """With room, admission is at once and without news, and what is used is to be seen."""
    of = governor(max_concurrency=2)
    async with guests(of, "a", "b") as present:
        assert admitted(present) == ["a", "b"]
        assert present[0].news == present[1].news == []
        assert (of.used, of.waiting, gauge(of, "used"), gauge(of, "limit")) == (2, 0, 2.0, 2.0)
    assert (of.used, gauge(of, "used")) == (0, 0.0)


async def test_who_waits_is_counted_and_how_long_it_took() -> None:
    """While it waits, and when it has got its turn; a circuit is open until its time is over, also if nobody asks."""
    clock = Clock()
    of = governor(clock, max_concurrency=1)
    async with guests(of, "a", "b") as (first, second):
        assert value(of._recorder, "upstream_queue") == 1.0
        assert value(of._recorder, "upstream_queue_seconds_count") == 1.0
        await first.leave()
        await steps()
        assert second.turn is not None
        assert value(of._recorder, "upstream_queue") == 0.0
        assert value(of._recorder, "upstream_queue_seconds_count") == 2.0
        assert 0.0 <= (value(of._recorder, "upstream_queue_seconds_sum") or 0.0) < 5.0
    await fail(of, BROKEN, CIRCUIT_FAILURES)
    assert value(of._recorder, "upstream_circuit_open") == 1.0
    clock.at += CIRCUIT_SECONDS
    of.measure()
    assert value(of._recorder, "upstream_circuit_open") == 0.0


async def test_the_waiting_are_told_their_place_whenever_it_changes() -> None:
    """Positions count down as others are admitted, in an order that is fair between tenants."""
    of = governor(max_concurrency=1)
    async with guests(of, "a", "a", "a", "b") as (first, second, third, other):
        assert [guest.positions for guest in (second, third, other)] == [[1], [3], [2]]
        await first.leave()
        await steps()
        assert second.turn is not None
        assert (third.positions, other.positions) == ([3, 2], [2, 1])
        await second.leave()
        await steps()
        assert other.turn is not None


async def test_a_crowd_does_not_delay_a_single_tenant() -> None:
    """Who comes behind a hundred of another tenant is admitted with the second place that becomes free."""
    of = governor(max_concurrency=1, max_queue_per_tenant=100)
    async with guests(of, *["crowd"] * 100, "single") as present:
        order = []
        for _ in range(3):
            (inside,) = [guest for guest in present if guest.turn is not None and not guest.task.done()]
            order.append(inside.tenant)
            await inside.leave()
            await steps()
    assert order == ["crowd", "crowd", "single"]


async def test_weights_are_kept() -> None:
    """A tenant of weight 3 is admitted three times for once of another."""
    of = governor(max_concurrency=1, max_queue_per_tenant=100)
    of = Governor(of._config, of._recorder, weight={TenantId("a"): 3.0, TenantId("b"): 1.0}.__getitem__)
    order = []
    async with guests(of, *["a", "b"] * 12) as present:
        for _ in range(12):
            (inside,) = [guest for guest in present if guest.turn is not None and not guest.task.done()]
            order.append(inside.tenant)
            await inside.leave()
            await steps()
    assert 8 <= order.count("a") <= 10


async def test_starts_keep_the_pace() -> None:
    """With room for all, the second start waits for its share of the minute, and is told how long."""
    clock = Clock()
    of = governor(clock, requests_per_minute=600)
    async with guests(of, "a", "b", "c") as (first, second, third):
        assert first.turn is not None
        assert second.news == [Queued(1, 0.1)]
        assert third.news == [Queued(2, 0.2)]
        clock.at += 0.1001
        await asyncio.wait_for(second.admitted.wait(), 5)
        assert third.turn is None


async def test_the_eta_comes_from_what_generations_took() -> None:
    """Nothing is known before the first has ended; then a place costs what one took, shared by the limit."""
    clock = Clock()
    of = governor(clock, max_concurrency=2)
    async with guests(of, *"abcdef") as present:
        assert present[2].news == [Queued(1, None)]
        clock.at += 80.0
        await present[0].leave()
        await steps()
        assert [guest.news[-1] for guest in present[3:]] == [Queued(1, 40.0), Queued(2, 80.0), Queued(3, 120.0)]
        clock.at += 20.0
        await present[1].leave()
        await steps()
        assert present[5].news[-1] == Queued(2, 84.0)


async def test_the_queue_is_bounded_for_a_tenant_and_as_a_whole() -> None:
    """One too many is refused at once and told when to come back; the others' places stay."""
    of = governor(max_concurrency=1, max_queue=3, max_queue_per_tenant=2)
    async with guests(of, "a", "a", "a"), guests(of, "a") as (crowding,), guests(of, "b", "c") as (last, late):
        for refused in (crowding, late):
            with pytest.raises(UpstreamError, match="waiting for the provider already") as caught:
                await refused.task
            assert (caught.value.code, caught.value.retry_after) == ("upstream_busy", 30.0)
        assert last.positions == [2]
    assert of.waiting == 0


async def test_a_wait_has_an_end() -> None:
    """After max_queue_seconds the wait is refused, with a time to come back; its place is free at once."""
    of = governor(max_concurrency=1, max_queue_seconds=0.05)
    async with guests(of, "a", "b") as (_, second), asyncio.timeout(5):
        with pytest.raises(UpstreamError, match="no room") as caught:
            await second.task
        assert (caught.value.code, caught.value.retry_after) == ("upstream_busy", 30.0)
        assert of.waiting == 0


async def test_another_try_is_the_next_of_its_tenant_and_has_its_own_patience() -> None:
    """It goes before those of its tenant who were never admitted, and waits no longer than it says."""
    of = governor(max_concurrency=1)
    async with guests(of, "a", "a", "a") as (_, second, _), guests(of, "a", again=True, within=0.05) as (again,):
        assert again.positions == [1]
        assert second.positions == [1, 2]
        with pytest.raises(UpstreamError, match="no room"):
            await asyncio.wait_for(again.task, 5)


async def test_being_full_lowers_the_limit_and_pauses_all() -> None:
    """A refusal for want of room shrinks what is allowed once, and nobody is admitted for a second."""
    clock = Clock()
    of = governor(clock, max_concurrency=10)
    async with guests(of, *"abcdefghij") as present:
        for guest in present[5:]:
            assert guest.turn is not None
            guest.turn.failed(BUSY)
            await guest.leave()
        assert of.limit == 7
        assert gauge(of, "limit") == 7.0
        async with guests(of, "k") as (late,):
            assert late.news == [Queued(1, 1.0)]
            clock.at += 1.1
            await asyncio.wait_for(late.admitted.wait(), 5)


async def test_the_provider_s_own_pause_is_for_all() -> None:
    """Retry-After holds back every tenant, up to a minute; sound at the limit lets it grow again."""
    clock = Clock()
    of = governor(clock, max_concurrency=1)
    await fail(of, UpstreamError("upstream_busy", "Full.", retry_after=7.0))
    async with guests(of, "b") as (guest,):
        assert guest.news == [Queued(1, 7.0)]
    clock.at += 7
    await fail(of, UpstreamError("upstream_busy", "Full.", retry_after=9e9))
    async with guests(of, "b") as (guest,):
        assert guest.news == [Queued(1, 60.0)]


async def test_sound_lets_the_limit_grow() -> None:
    """A generation that is heard at the limit makes room, once for each, and the next one enters by it."""
    clock = Clock()
    of = governor(clock, max_concurrency=2)
    await fail(of, BUSY)
    assert of.limit == 1
    clock.at += 2
    async with guests(of, "a", "b") as (first, second):
        assert second.turn is None
        assert first.turn is not None
        first.turn.heard()
        first.turn.heard()
        await steps()
        assert (of.limit, second.turn is not None) == (2, True)


async def test_failures_in_a_row_open_the_circuit() -> None:
    """New generations are refused with the time that is left, readiness says so, and a success before resets it."""
    clock = Clock()
    of = governor(clock)
    await fail(of, BROKEN, CIRCUIT_FAILURES - 1)
    async with of.admission(TenantId("a")) as turn:
        turn.finished()
    await fail(of, BROKEN, CIRCUIT_FAILURES - 1)
    assert of.trouble() is None
    await fail(of, BROKEN)
    assert of.trouble() == "upstream circuit open"
    assert value(of._recorder, "upstream_circuit_open") == 1.0
    clock.at += 5
    with pytest.raises(UpstreamError) as caught:
        await of.admission(TenantId("a")).__aenter__()
    assert (caught.value.code, caught.value.retry_after) == ("upstream_unavailable", CIRCUIT_SECONDS - 5)
    clock.at += CIRCUIT_SECONDS
    assert of.trouble() is None


@pytest.mark.parametrize("code", ["upstream_busy", "content_rejected", "upstream_refused"])
async def test_an_answer_about_the_song_is_no_sign_of_illness(code: str) -> None:
    """A provider that is full, or that objects to a text or a key, is alive."""
    of = governor(max_concurrency=100, max_queue_seconds=0.1)
    async with guests(of, *["a"] * 20) as present:
        for guest in present:
            assert guest.turn is not None
            guest.turn.failed(UpstreamError(code, "No."))
        assert of.trouble() is None


async def test_songs_without_sound_pause_their_tenant_alone() -> None:
    """A text can be chosen for it; all others go on, and so does whoever wrote it, after the pause or after a song."""
    clock = Clock()
    of = governor(clock, max_concurrency=100)
    await fail(of, EMPTY, CIRCUIT_FAILURES - 1)
    async with guests(of, "a", "b") as (mine, other):
        assert mine.turn is not None
        assert other.turn is not None
    await fail(of, EMPTY)
    assert of.trouble() is None
    with pytest.raises(UpstreamError, match="without any sound") as caught:
        await of.admission(TenantId("a")).__aenter__()
    assert (caught.value.code, caught.value.retry_after) == ("upstream_unavailable", CIRCUIT_SECONDS)
    async with guests(of, "b") as (other,):
        assert other.turn is not None
    clock.at += CIRCUIT_SECONDS
    async with guests(of, "a") as (mine,):
        assert mine.turn is not None
        mine.turn.heard()
    await fail(of, EMPTY, CIRCUIT_FAILURES - 1)
    async with guests(of, "a") as (mine,):
        assert mine.turn is not None


async def open_circuit(clock: Clock) -> Governor:
    of = governor(clock, first_event_timeout=300.0)
    await fail(of, BROKEN, CIRCUIT_FAILURES)
    return of


async def test_another_try_waits_for_the_circuit_and_is_its_probe() -> None:
    """What was admitted before is not turned away: it waits, and the first one tries the provider out, alone."""
    clock = Clock()
    of = await open_circuit(clock)
    async with guests(of, "a", again=True) as (probe,):
        assert probe.news == [Queued(1, CIRCUIT_SECONDS)]
        clock.at += CIRCUIT_SECONDS
        async with guests(of, "b", "c") as (second, third):
            assert probe.turn is not None
            assert second.turn is third.turn is None
            probe.turn.heard()
            await steps()
            assert second.turn is not None
            assert third.turn is not None


async def test_a_probe_that_fails_shuts_the_circuit_again() -> None:
    """Those who were waiting behind it go on waiting; new ones are refused."""
    clock = Clock()
    of = await open_circuit(clock)
    clock.at += CIRCUIT_SECONDS
    async with guests(of, "a", "b") as (probe, second):
        assert probe.turn is not None
        probe.turn.failed(BROKEN)
        await probe.leave()
        assert of.trouble() == "upstream circuit open"
        await steps()
        assert second.turn is None


@pytest.mark.parametrize("news", [True, False])
async def test_a_probe_without_a_verdict_frees_its_place_at_once(news: bool) -> None:
    """A probe that is cancelled, or that was refused for its key, leaves the trying-out to the next."""
    clock = Clock()
    of = await open_circuit(clock)
    clock.at += CIRCUIT_SECONDS
    async with guests(of, "a", "b") as (probe, second):
        assert probe.turn is not None
        if news:
            probe.turn.failed(UpstreamError("upstream_refused", "No."))
        await probe.leave()
        await steps()
        assert second.turn is not None
        assert of.trouble() is None


async def test_a_probe_that_stays_silent_is_not_waited_for_for_ever() -> None:
    """When the first event is overdue another one may try, and the first one's end changes nothing of that."""
    clock = Clock()
    of = await open_circuit(clock)
    clock.at += CIRCUIT_SECONDS
    async with guests(of, "a", "b", "c") as (probe, second, third):
        clock.at += 301.0
        third.task.cancel()
        await steps()
        assert second.turn is not None
        await probe.leave()
        async with guests(of, "d") as (late,):
            assert late.turn is None
            second.turn.finished()
            await second.leave()
            await steps()
            assert late.turn is not None
