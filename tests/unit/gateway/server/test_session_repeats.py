"""Orders on a WebSocket that are made again under their key, by a client whose connection broke before the answer.

Invariant under test: one key is one purchase, whichever session asks and however often; whoever repeats the order hears
the song from its start. How keys are remembered is test_repeats.py's.
"""

import asyncio
from typing import Any

import pytest

from gateway.config.schema import Limits
from gateway.model import Accepted, AudioDelta, Finished, Principal, SourceEvent
from gateway.quota.uses import MemoryUses
from gateway.quota.volatile import VolatileLedger
from gateway.server.services import Services
from gateway.server.session import ClientSession
from gateway.server.visitor import Visitor
from tests.support.relay import TENANT, mp3_frames
from tests.support.server import Talk, new_line, soon, talk

INPUT = {"prompt": "a song of five words"}
SONG: tuple[SourceEvent, ...] = (Accepted("r"), AudioDelta(b"".join(mp3_frames(40))), Finished(1.0))


def session(room: Services) -> Talk:
    """One more session of the same tenant."""
    line = new_line()
    visitor = Visitor(Principal(TENANT, "k"), MemoryUses())
    conversation = ClientSession(line.connection, room, visitor, None, "http://gateway.test")
    line.connection.conversation = conversation
    conversation.begin()
    return Talk(line, conversation, room)


async def test_an_order_that_is_made_again_gets_the_song_it_made() -> None:
    """The stream is there already: it is named again, heard from its start, and nothing else is bought."""
    async with talk(*SONG) as there:
        order: dict[str, Any] = {"type": "stream.create", "input": INPUT, "idempotency_key": "order-1"}
        there.line.say(**order, ref=1)
        first = (await there.answer("stream.created"))["stream"]["id"]
        await there.answer("stream.completed")
        there.line.say(**order, ref=2)
        told: list[dict[str, Any]] = []
        await soon(lambda: bool(told.extend(there.answers()) or len(told) >= 3))
        kinds = [message["type"] for message in told]
        assert kinds == ["stream.created", "stream.started", "stream.metadata", "stream.completed"]
        assert (told[0]["stream"]["id"], told[0]["ref"], told[1]["seq"]) == (first, 2, 0)
        assert [stream.id for stream in there.room.hub.streams] == [first]


async def test_an_order_whose_client_has_left_is_there_for_the_next() -> None:
    """What was being bought when the connection went is what the next connection gets."""
    async with talk(asyncio.Event()) as there:
        order: dict[str, Any] = {"type": "stream.create", "input": INPUT, "idempotency_key": "order-1"}
        there.line.say(**order)
        there.leave()
        await soon(lambda: there.session._worker is None)
        (stream,) = there.room.hub.streams
        later = session(there.room)
        later.line.say(**order)
        assert (await later.answer("stream.created"))["stream"]["id"] == stream.id
        assert list(there.room.hub.streams) == [stream]
        later.leave()


async def test_another_order_under_the_same_key_is_refused() -> None:
    """A key that was used for something else buys nothing, and says so."""
    async with talk(*SONG) as there:
        there.line.say(type="stream.create", input=INPUT, idempotency_key="order-1")
        await there.answer("stream.created")
        other = {"prompt": "quite another song than that"}
        there.line.say(type="stream.create", ref=2, input=other, idempotency_key="order-1")
        message = await there.answer("error")
        assert (message["ref"], message["error"]["code"]) == (2, "idempotency_conflict")
        assert len(list(there.room.hub.streams)) == 1


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "schlüssel"])
async def test_what_is_no_key_is_refused_before_anything_is_bought(key: str) -> None:
    """As at the other door."""
    async with talk(*SONG) as there:
        there.line.say(type="stream.create", ref=1, input=INPUT, idempotency_key=key)
        message = await there.answer("error")
        assert (message["ref"], message["error"]["code"]) == (1, "invalid_request")
        assert list(there.room.hub.streams) == []


async def test_a_song_that_is_no_longer_kept_is_not_bought_again() -> None:
    """After a restart the ledger alone knows the order: its song is gone, and the error says what became of it."""
    ledger = VolatileLedger(lambda _: Limits())
    order: dict[str, Any] = {"type": "stream.create", "input": INPUT, "idempotency_key": "order-1"}
    async with talk(*SONG, ledger=ledger) as there:
        there.line.say(**order)
        bought = (await there.answer("stream.created"))["stream"]["id"]
        await there.answer("stream.completed")
    async with talk(*SONG, ledger=ledger) as there:
        there.line.say(**order, ref=5)
        message = await there.answer("error")
        assert (message["ref"], message["error"]["code"]) == (5, "stream_not_found")
        assert bought in message["error"]["message"]
        assert list(there.room.hub.streams) == []
