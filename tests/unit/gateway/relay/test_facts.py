"""Tests of what a node tells of a stream: whatever a door shows of it is the same on every node.

Invariant under test: a replica that has learned the facts of a stream answers every door as the stream does.
It must not know how facts come over.
"""

import asyncio

import msgspec
import pytest

from gateway.errors import UpstreamError
from gateway.model import (
    Accepted,
    AudioDelta,
    Finished,
    Mode,
    Queued,
    SourceEvent,
    SpeechInput,
    SpeechRequest,
    Status,
    TriedAgain,
)
from gateway.relay.facts import facts_of
from gateway.relay.letters import Facts
from gateway.relay.order import Order
from gateway.server.view import stream_info
from tests.support.hub import SONG
from tests.support.nodes import nodes
from tests.support.relay import BUYER, TENANT, song, until, within

BASE = "http://gateway"
FAILURE = UpstreamError("upstream_busy", "Too many at once.", retry_after=7.0)


@pytest.mark.parametrize(
    "steps",
    [
        (Queued(3, 12.5), asyncio.Event()),
        (Accepted("req-1", simulated=True), AudioDelta(SONG), asyncio.Event()),
        (TriedAgain(2), Accepted("req-2"), AudioDelta(SONG), Finished(0.5, lyrics="[verse]\nNew words")),
        (Accepted("req-3"), AudioDelta(SONG), FAILURE),
        (FAILURE,),
    ],
    ids=["queued", "running", "completed", "failed", "silent"],
)
async def test_every_node_shows_the_same(steps: tuple[SourceEvent | Exception | asyncio.Event, ...]) -> None:
    """While it waits, sounds and when it has ended, however that was."""
    async with nodes(*steps) as (there, here):
        stream = await there.hub.create(Order(BUYER, song(lyrics="Old words"), warnings=["a warning"]))
        if any(isinstance(step, asyncio.Event) for step in steps):
            await until(lambda: stream.place is not None or stream.native.end > 0)
        else:
            await within(stream.wait())
        replica = await here.replica(stream.id)
        assert stream_info(replica, BASE) == stream_info(stream, BASE)
        [listed] = await here.hub.everywhere(TENANT)
        assert stream_info(listed, BASE) == stream_info(stream, BASE)
        for name in ("request", "tenant", "shareable", "silent", "tries", "request_id", "simulated", "place", "title"):
            assert getattr(replica, name) == getattr(stream, name), name
        assert replica.titles.newest == stream.titles.newest
        assert replica.native.rendition == stream.native.rendition


async def test_what_changes_is_learned() -> None:
    """With the next question: the status, the words, the title, the bill."""
    gate = asyncio.Event()
    async with nodes(Queued(1, None), gate, Accepted("req-1"), AudioDelta(SONG), Finished(0.5, lyrics="New words")) as (
        there,
        here,
    ):
        stream = await there.create()
        await until(lambda: stream.place is not None)
        replica = await here.replica(stream.id)
        assert replica.status is Status.QUEUED
        gate.set()
        await within(stream.wait())
        assert await here.replica(stream.id) is replica
        assert stream_info(replica, BASE) == stream_info(stream, BASE)
        assert (replica.title, replica.lyrics) == ("New words", "New words")


async def test_speech_is_told_as_speech() -> None:
    """A stream is one of both."""
    request = SpeechRequest("qwen-tts", Mode.STREAM, SpeechInput("Good morning", "Cherry"))
    async with nodes(Accepted("req-1"), AudioDelta(SONG), Finished(0.5, billed_characters=12)) as (there, _):
        stream = await there.hub.create(Order(BUYER, request))
        await within(stream.wait())
        told = msgspec.msgpack.decode(facts_of(stream).octets(), type=Facts)
        assert (told.song, told.speech, told.request) == (None, request, request)
        assert (told.bill, told.bill.characters) == (stream.bill, 12)
