"""Tests of a stream that is heard on several nodes, as its owner sees it, and of what every node asks of one.

Invariant under test: a listener elsewhere is one, for patience and for the news, and costs nothing here.
It must not know how nodes talk.
"""

import asyncio

import pytest

from gateway.errors import LimitError, RequestError, ServiceError, WavegateError
from gateway.model import AudioDelta, Status
from gateway.protocol.messages import FormatSpec
from gateway.relay.order import Order
from gateway.relay.stream import status_of
from gateway.relay.wishes import possible
from tests.support.hub import SONG, House
from tests.support.relay import BUYER, Pipe, song, until, within


async def test_listeners_elsewhere_are_listeners() -> None:
    """They keep it from being cancelled; what they take is counted where they are."""
    house = House(AudioDelta(SONG), asyncio.Event())
    async with house.hub:
        stream = await house.hub.create(Order(BUYER, song(), grace=0.0))
        pipe = Pipe()
        listener = house.attach(stream, pipe)
        listener.join()
        await until(lambda: len(pipe.chunks) > 0)
        stream.elsewhere["n1"] = 2
        assert (stream.here, stream.listeners) == (1, 3)
        stream.tick()
        await until(lambda: pipe.said[-1][0] == "news")
        assert b'"listeners":3' in pipe.said[-1][1]  # type: ignore[operator] # the text
        house.hub.detach(stream.tenant, listener)
        house.now.at += 1.0
        took = stream.traffic()
        assert took is not None
        assert took.listener_seconds == 0.0
        stream.tick()
        assert stream.status is Status.RUNNING
        stream.elsewhere.clear()
        stream.tick()
        await within(stream.wait())
        assert stream.status is Status.CANCELLED


async def test_what_is_made_already_can_be_looked_for() -> None:
    """Nothing is made for it; how much is granted is told."""
    house = House(AudioDelta(SONG), asyncio.Event())
    async with house.hub:
        stream = await house.create()
        await until(lambda: stream.native.end > 0)
        assert await stream.look(possible([FormatSpec("mp3")])) is stream.native
        assert await stream.look(possible([FormatSpec("pcm")])) is None
        pcm = await stream.obtain(possible([FormatSpec("pcm")]))
        assert await stream.look(possible([FormatSpec("pcm")])) is pcm
        assert stream.granted_seconds == house.ledger.granted
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gateway.relay.hub.FINISH_SECONDS", 0.01)
            await house.hub.drain(0.0)
            stream.renditions.close(ServiceError("going_away", "Enough."))


async def test_a_song_that_may_use_more_is_not_faded() -> None:
    """More is granted when less is left than is prudent, and it goes on."""
    house = House()
    house.ledger.granted, house.ledger.budget = 1.0, 100.0
    async with house.hub:
        stream = await house.finish()
        assert stream.status is Status.COMPLETED
        assert stream.granted_seconds > 1.0


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, Status.COMPLETED),
        (RequestError("cancelled", "So it was wished."), Status.CANCELLED),
        (LimitError("quota_exceeded", "The budget has ended."), Status.CANCELLED),
        (ServiceError("owner_lost", "Gone."), Status.FAILED),
    ],
)
def test_an_end_has_one_status(error: WavegateError | None, status: Status) -> None:
    """On every node the same."""
    assert status_of(error) is status
