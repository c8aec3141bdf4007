"""A client's session and its ends: mistakes that end nothing, a gateway that is stopping, a listener that is cut.

Invariant under test: only a close ends a session, and it has the code of its reason.
It must not know how audio is framed.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.config.schema import Config, Relay, Tenant
from gateway.config.secret import key_hash
from gateway.errors import LimitError
from gateway.model import Accepted, AudioDelta
from gateway.relay.channel import Channel
from gateway.relay.order import Order
from gateway.relay.since import Since
from gateway.relay.stream import Stream
from gateway.relay.wishes import Wished
from tests.support.relay import BUYER, TENANT, mp3_frames, song, within
from tests.support.server import KEY, soon, talk

INPUT = {"prompt": "a song of five words"}


# -- mistakes ----------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_read_is_answered_and_ends_nothing() -> None:
    """No JSON, an unknown type, a wrong field and a binary message; the ref is echoed where it could be read."""
    async with talk() as there:
        there.answers()
        there.session.received(b"{")
        there.session.received(b"\xff")
        there.line.say(type="stream.dance", ref=1)
        there.line.say(type="stream.attach", ref=2, stream_id=3)
        there.line.browser.send_binary(b"\x00")
        there.line.deliver()
        there.line.say(type="ping", t=None)
        messages = there.answers()
        assert [message["error"]["code"] for message in messages[:-1]] == [
            "invalid_json",
            "invalid_json",
            "unknown_type",
            "invalid_request",
            "invalid_message",
        ]
        assert [message.get("ref") for message in messages[:-1]] == [None, None, 1, 2, None]
        assert messages[-1]["type"] == "pong"


# -- the gateway stops -------------------------------------------------------------------------------------------------


async def test_a_gateway_that_stops_lets_things_end_and_nothing_begin() -> None:
    """The message has both times; orders and attaches are told to go elsewhere; detach, cancel and ping still work."""
    async with talk(Accepted("r"), AudioDelta(b"".join(mp3_frames(40))), asyncio.Event()) as there:
        streams = [await there.room.hub.create(Order(BUYER, song())) for _ in range(2)]
        for stream in streams:
            there.line.say(type="stream.attach", stream_id=stream.id)
        await soon(lambda: all(stream.native.end for stream in streams))
        there.answers()
        there.session.go_away(29.9996, 0.75)
        there.line.say(type="stream.create", ref=1, input=INPUT)
        there.line.say(type="stream.attach", ref=2, stream_id=streams[0].id)
        there.line.say(type="session.authenticate", ref=3, key=KEY)
        there.line.say(type="ping", t=4)
        there.line.say(type="stream.detach", ref=5, stream_id=streams[0].id)
        goodbye, *refusals, pong, detached = there.answers()
        assert goodbye == {"type": "session.goaway", "time_left_ms": 30000, "reconnect_after_ms": 750}
        assert [(message["ref"], message["error"]["code"]) for message in refusals] == [
            (1, "going_away"),
            (2, "going_away"),
            (3, "already_authenticated"),
        ]
        assert refusals[0]["error"]["retry_after_ms"] == 1000
        assert (pong["t"], detached["ref"]) == (4, 5)
        there.line.say(type="stream.cancel", stream_id=streams[1].id)
        assert (await there.answer("stream.failed"))["stream_id"] == streams[1].id


@pytest.mark.parametrize("kind", ["stream.cancel", "stream.detach"])
async def test_a_stranger_may_do_nothing_while_the_gateway_stops(kind: str) -> None:
    """A client that had not said who it is when the drain began is refused, not the reason for a fault."""
    async with talk(known=False) as there:
        there.session.go_away(30.0, 1.0)
        there.line.say(type=kind, ref=1, stream_id="st_none")
        goodbye, refused = there.answers()
        assert goodbye["type"] == "session.goaway"
        assert (refused["type"], refused["ref"]) == ("error", 1)


# -- closing -----------------------------------------------------------------------------------------------------------


async def test_a_close_has_the_code_and_reason_of_its_error() -> None:
    """The reason is a slug, with the time to wait where there is one."""
    async with talk() as there:
        there.session.close(LimitError("rate_exceeded", "Too many.", retry_after=0.5))
        there.answers()
        closed = there.line.browser.close_rcvd
        assert closed is not None
        assert (closed.code, closed.reason) == (4101, "rate_exceeded;retry_after_ms=500")


async def test_a_listener_whose_audio_is_gone_takes_the_session_along() -> None:
    """A connection that stalled past what is retained hears why, and is closed with 4102 and no audio in between."""
    gate = asyncio.Event()
    steps = (Accepted("r"), AudioDelta(b"".join(mp3_frames(20))), gate, AudioDelta(b"".join(mp3_frames(400, 20))))
    config = Config(relay=Relay(max_stream_bytes=20 * 417))
    async with talk(*steps, asyncio.Event(), config=config) as there:
        stream = await there.room.hub.create(Order(BUYER, song()))
        there.line.say(type="stream.attach", stream_id=stream.id, ref="r")
        await there.answer("stream.started")
        there.line.heard()
        there.line.connection.pause_writing()
        gate.set()
        await soon(lambda: stream.native.first > 10)
        assert there.line.heard() == []
        there.line.connection.resume_writing()
        (message,) = there.answers()
        assert (message["ref"], message["error"]["code"]) == ("r", "too_slow")
        assert there.line.browser.close_rcvd is not None
        assert there.line.browser.close_rcvd.code == 4102
        assert (stream.listeners, there.line.connection.listeners) == (0, [])
        assert not stream.status.final


# -- where to begin ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wish",
    [
        {"since": {"seconds_ago": 1e9}},
        {"since": {"seconds_ago": 1e308}},
        {"since": "live", "burst_ms": 10**18},
        {"since": "live", "burst_ms": 10**400},
    ],
)
async def test_a_time_before_all_time_is_no_fault(wish: dict[str, Any]) -> None:
    """A number too large to count in samples means the start, or is refused; the session goes on in either case."""
    async with talk(Accepted("r"), AudioDelta(b"".join(mp3_frames(40))), asyncio.Event()) as there:
        stream = await there.room.hub.create(Order(BUYER, song()))
        await soon(lambda: stream.native.end > 0)
        there.answers()
        there.line.say(type="stream.attach", stream_id=stream.id, framing="json", **wish)
        first = there.answers()[0]
        assert (first["type"], first.get("seq")) in (("stream.started", 0), ("error", None))
        there.line.say(type="ping", t=1)
        assert (await there.answer("pong"))["t"] == 1


async def test_who_has_gone_while_another_node_was_asked_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The song is made all the same; no listener is left at a connection that is not there any more."""
    asked, answered = asyncio.Event(), asyncio.Event()
    obtain = Stream.obtain

    async def slowly(self: Stream, wishes: Sequence[Wished], since: Since | None = None) -> Channel:
        asked.set()
        await answered.wait()
        return await obtain(self, wishes, since)

    monkeypatch.setattr(Stream, "obtain", slowly)
    async with talk(Accepted("r"), asyncio.Event()) as there:
        there.line.say(type="stream.create", input=INPUT)
        await within(asked.wait())
        there.leave()
        answered.set()
        await soon(lambda: there.session._worker is None)
        [stream] = there.room.hub.list(TENANT)
        assert (stream.listeners, there.line.connection.listeners) == (0, [])


async def test_who_came_with_a_key_that_is_gone_is_sent_away() -> None:
    """With 4001, and the sentence before it; who is still known, or has not said yet who it is, stays."""
    async with talk() as there:
        there.answers()
        there.room.tenants.replace([Tenant(id="acme", keys=[key_hash(KEY)])])
        there.session.recheck()
        # The session of these tests came with a key that no configuration names.
        assert [message["error"]["code"] for message in there.answers()] == ["bad_credentials"]
        there.leave()
        assert there.line.closes() == {"4001": 1.0}
    async with talk(known=False) as there:
        there.room.tenants.replace([])
        there.session.recheck()
        assert there.answers() == []


async def test_who_hears_nothing_and_waits_for_nothing_is_idle() -> None:
    """Neither is one whose order is being taken, nor one that hears what came of it."""
    async with talk(asyncio.Event()) as there:
        assert there.session.idle
        there.line.say(type="stream.create", ref=1, input=INPUT)
        assert not there.session.idle
        created = await there.answer("stream.created")
        await soon(lambda: there.session._worker is None)
        assert not there.session.idle
        there.line.say(type="stream.detach", stream_id=created["stream"]["id"])
        assert there.session.idle


# -- frames that come too fast, and nothing at all ---------------------------------------------------------------------


async def test_frames_that_come_too_fast_end_it() -> None:
    """With the sentence and 4101, and when to come back."""
    async with talk() as there:
        there.session.too_fast(1.5)
        assert there.answers()[-1]["error"]["code"] == "rate_exceeded"
        assert there.line.connection.goodbye == "rate_exceeded;retry_after_ms=1500"
        assert there.room.seats.taken(TENANT) == 0


async def test_rest_is_no_error() -> None:
    """1000, a word, and no place is taken any more."""
    async with talk() as there:
        there.answers()
        there.session.rest()
        assert there.answers() == []
        assert there.line.connection.goodbye == "idle"
        assert there.room.seats.taken(TENANT) == 0
