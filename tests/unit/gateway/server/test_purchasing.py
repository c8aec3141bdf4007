"""Buying for a visitor: what an order costs the ticket, whatever becomes of it.

Invariant under test: seconds are taken before the order and are settled once, or given back when nothing was bought.
It must not know how a store counts.
"""

import asyncio
from typing import Any

import pytest

from gateway.config.schema import Limits
from gateway.errors import LimitError, WavegateError
from gateway.model import AudioDelta, Finished, Principal
from gateway.protocol.messages import CreateBody, InputSpec
from gateway.quota.uses import MemoryUses
from gateway.server.ordering import order_of
from gateway.server.purchasing import bought
from gateway.server.services import Services
from gateway.server.tickets import Wanted
from gateway.server.visitor import Visitor
from tests.support.relay import BUYER, TENANT, Clock, ScriptedSource, mp3_frames
from tests.support.server import services
from tests.support.tickets import NOW, office

SONG = (AudioDelta(b"".join(mp3_frames(20))), Finished(60.0))

ESTIMATE_SECONDS = 240.0


def guest(**wanted: Any) -> Visitor:
    clock = Clock(NOW)
    ticket = office(clock).mint(BUYER, Wanted(allow=["create"], uses=0, **wanted)).ticket
    return Visitor(Principal(BUYER, "k"), MemoryUses(now=clock), ticket, now=clock)


async def buys(room: Services, visitor: Visitor, *, share: bool = False) -> tuple[Any, bool]:
    order = order_of(
        CreateBody(InputSpec(prompt="A quiet song about the rain"), share=share), BUYER, "finish", "fun-music-v1"
    )
    return await bought(visitor, room.hub, room.tasks, order, ESTIMATE_SECONDS)


async def left(visitor: Visitor, seconds: float) -> bool:
    """Whether exactly so many seconds can still be taken."""
    with pytest.raises(LimitError):
        await visitor.buy(seconds + 0.1)
    await (await visitor.buy(seconds)).undo()
    return True


async def test_a_shorter_song_gives_the_rest_back() -> None:
    """When it has its bill."""
    visitor = guest(max_audio_seconds=300)
    async with services(ScriptedSource(*SONG)) as room:
        stream, shared = await buys(room, visitor)
        assert not shared
        assert await left(visitor, 300.0 - ESTIMATE_SECONDS)
        await stream.wait()
    assert await left(visitor, 240.0)


async def test_an_order_that_is_refused_costs_nothing() -> None:
    """The tenant has no slot left."""
    visitor = guest(max_audio_seconds=300)
    async with services(ScriptedSource(asyncio.Event()), limits=Limits(concurrent_streams=1)) as room:
        await buys(room, Visitor(Principal(TENANT, "k"), MemoryUses()))
        with pytest.raises(WavegateError):
            await buys(room, visitor)
        assert await left(visitor, 300.0)


async def test_a_song_that_is_there_already_costs_no_seconds() -> None:
    """Somebody has paid for it."""
    visitor = guest(max_audio_seconds=300)
    async with services(ScriptedSource(asyncio.Event())) as room:
        first, _ = await buys(room, Visitor(Principal(TENANT, "k"), MemoryUses()), share=True)
        second, shared = await buys(room, visitor, share=True)
        assert shared
        assert second is first
        assert await left(visitor, 300.0)


@pytest.mark.parametrize(("ceiling", "seconds"), [(6, 5.8), (7, 7.0), (1, 1.0), (None, 24.0), (100, 24.0)])
async def test_a_song_ends_with_what_its_ticket_may_buy(ceiling: int | None, seconds: float) -> None:
    """However much longer it is than it was taken for, and however much the tenant has left."""
    visitor = guest(max_audio_seconds=ceiling)
    long = [AudioDelta(b"".join(mp3_frames(20))) for _ in range(50)]
    async with services(ScriptedSource(*long, Finished(24.0))) as room:
        order = order_of(CreateBody(InputSpec(prompt="A quiet song about the rain")), BUYER, "finish", "fun-music-v1")
        stream, _ = await bought(visitor, room.hub, room.tasks, order, 1.0)
        await stream.wait()
    assert seconds <= stream.audio_seconds < seconds + 0.53, "up to the end of a chunk"
    assert stream.status.value == ("completed" if seconds == 24.0 else "cancelled")
    assert stream.error is None or stream.error.code == "quota_exceeded"


@pytest.mark.parametrize(("second", "seconds"), [(None, 24.0), (50, 1.9)])
async def test_a_song_that_is_shared_does_not_end_with_the_smaller_purse(second: int | None, seconds: float) -> None:
    """Whoever began it had little to spend: for who has the tenant's budget it goes on, for another such guest not."""
    visitor, more = guest(max_audio_seconds=2), asyncio.Event()
    pieces = [AudioDelta(b"".join(mp3_frames(20))) for _ in range(50)]
    async with services(ScriptedSource(pieces[0], more, *pieces[1:], Finished(24.0))) as room:
        spec = CreateBody(InputSpec(prompt="A quiet song about the rain"), share=True)
        order = order_of(spec, BUYER, "finish", "fun-music-v1")
        stream, _ = await bought(visitor, room.hub, room.tasks, order, 1.0)
        assert await bought(guest(max_audio_seconds=second), room.hub, room.tasks, order, 1.0) == (stream, True)
        more.set()
        await stream.wait()
    assert stream.audio_seconds == pytest.approx(seconds, abs=0.53)
