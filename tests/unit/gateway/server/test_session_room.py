"""A client's session where there is no room: its place among those of its tenant, and orders when memory is full.

Invariant under test: a place is free again when its session ends, whatever way; who is in is never put out.
It must not know how memory is measured.
"""

import pytest

from gateway.config.schema import Limits
from gateway.errors import ServiceError
from gateway.model import Accepted, AudioDelta, Finished, SourceEvent
from gateway.relay.order import Order
from tests.support.relay import BUYER, TENANT, mp3_frames, song
from tests.support.server import KEY, Room, soon, talk

INPUT = {"prompt": "a song of five words"}
SONG: tuple[SourceEvent, ...] = (Accepted("r"), AudioDelta(b"".join(mp3_frames(40))), Finished(1.0))


@pytest.mark.parametrize("known", [True, False])
async def test_a_session_holds_its_place_until_its_socket_is_gone(known: bool) -> None:
    """Whether the key came with the handshake or in the first message; who has said nothing holds none."""
    async with talk(known=known) as there:
        assert there.room.seats.taken(TENANT) == known
        if not known:
            there.line.say(type="session.authenticate", key=KEY)
        assert there.room.seats.taken(TENANT) == 1
        there.leave()
        assert there.room.seats.taken(TENANT) == 0


async def test_a_session_that_is_closed_holds_no_place() -> None:
    """Its client may never answer the close: the place is free at once, and freed once."""
    async with talk() as there:
        there.session.close(ServiceError("going_away", "The gateway has stopped."))
        assert there.room.seats.taken(TENANT) == 0
        there.room.seats.take(TENANT, object())
        there.leave()
        assert there.room.seats.taken(TENANT) == 1


async def test_the_first_message_needs_a_place_too() -> None:
    """Without one it is answered, and the session closes with 4100 and the time to wait."""
    async with talk(known=False, limits=Limits(connections=1)) as there:
        there.room.seats.take(TENANT, object())
        there.line.say(type="session.authenticate", key=KEY, ref=7)
        (message,) = there.answers()
        assert (message["error"]["code"], message["ref"]) == ("concurrency_exceeded", 7)
        closed = there.line.browser.close_rcvd
        assert closed is not None
        assert (closed.code, closed.reason) == (4100, "concurrency_exceeded;retry_after_ms=2000")
        there.leave()
        assert there.room.seats.taken(TENANT) == 1


async def test_with_memory_full_no_song_is_ordered_and_every_one_is_heard() -> None:
    """An order is refused and may come again; a stream that is there is joined, and heard to its end."""
    room = Room(memory=100, resident=101, occupied=10**6)
    async with talk(*SONG, room=room) as there:
        there.answers()
        there.line.say(type="stream.create", input=INPUT, ref=1)
        error = await there.answer("error")
        assert (error["error"]["code"], error["error"]["retry_after_ms"], error["ref"]) == ("overloaded", 2000, 1)
        assert list(there.room.hub.streams) == []
        stream = await there.room.hub.create(Order(BUYER, song()))
        there.line.say(type="stream.attach", stream_id=stream.id)
        await there.answer("stream.completed")
        room.resident = 0
        room.clock.at += 1.0
        there.line.say(type="stream.create", input=INPUT, ref=2)
        assert (await there.answer("stream.created"))["ref"] == 2


async def test_with_connections_full_who_is_in_orders_on() -> None:
    """The place is its own already."""
    async with talk(*SONG, room=Room(limit=1, occupied=5)) as there:
        there.line.say(type="stream.create", input=INPUT, ref=1)
        await there.answer("stream.created")
        await soon(lambda: all(stream.status.final for stream in there.room.hub.streams))
