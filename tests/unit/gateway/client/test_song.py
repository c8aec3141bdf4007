"""Hearing a song on one connection: whole, in both framings, slowly, and to every kind of end.

Invariant under test: every frame once and in order, or one error that says why not; nothing is read ahead.
The other side is a scripted gateway on a real socket. What happens when it breaks stands in test_song_resume.py.
"""

import asyncio
import base64
import hashlib
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.client.errors import ClientError
from gateway.client.event import Interruption, State
from gateway.client.wire import Frame
from gateway.model import Flag, Position
from gateway.protocol import events

WITHIN = 5.0


async def test_a_song_is_heard_whole_and_verified(stand_in: Any) -> None:
    """Header, frames in order, the end: every byte is what was sent, and the hash agrees."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created()
        await talk.started()
        await talk.init(b"head")
        await talk.frames(*range(9))
        await talk.frames(9, flags=Flag.LAST)
        await talk.completed([b"head", *stand_in.payloads])

    song = await stand_in.order()
    assert await stand_in.hear(song) == [b"head", *stand_in.payloads]
    assert song.verified is True
    assert song.completed.duration_seconds == 1.0
    assert (song.format.codec, song.position, song.state) == ("mp3", Position(7, 10), State.COMPLETED)
    assert await stand_in.hear(song) == []


async def test_numbers_are_measured(stand_in: Any) -> None:
    """Time to first audio, sums, lag and listeners follow from what came and from the clock."""
    clock = {"now": 100.0}

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created(duration_seconds=0.6)
        await talk.started()
        await talk.frames(0, 1)
        await talk.say(events.StreamMetadata("stream-1", 0.5, 4, "la la", "Drizzle", 0.9))
        await talk.say(events.StreamMetadata("stream-1", 0.5))
        await talk.frames(2)
        await talk.completed()

    song = await stand_in.order(now=lambda: clock["now"])
    assert song.statistics.first_audio is None
    clock["now"] = 102.0
    await anext(song)
    clock["now"] = 104.0
    numbers = song.statistics
    assert (numbers.first_audio, numbers.elapsed, numbers.bytes, numbers.frames) == (2.0, 2.0, 400, 1)
    assert numbers.behind == pytest.approx(0.5)
    assert numbers.listeners == 0
    await anext(song)
    await anext(song)
    numbers = song.statistics
    assert (numbers.listeners, song.title, song.lyrics) == (4, "Drizzle", "la la")
    assert (numbers.seconds, numbers.behind) == (pytest.approx(0.3), pytest.approx(0.6))
    await stand_in.hear(song)
    clock["now"] = 200.0
    assert song.statistics.elapsed == 2.0


@pytest.mark.parametrize("code", [4001, 4003, 4004, 4005, 4008, 4010, 1003, 1008, 1009, 1000])
async def test_terminal_codes_end_the_song(stand_in: Any, code: int) -> None:
    """Nothing is tried again where the contract says it is over; a second look says the same."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        await talk.close(code, "because")

    song = await stand_in.order()
    assert (await stand_in.failure(song)).code == "because"
    assert (await stand_in.failure(song)).code == "because"
    assert (stand_in.slept, song.state, len(stand_in.requests)) == ([], State.ENDED, 1)


async def test_a_failed_generation_is_raised_with_its_code(stand_in: Any) -> None:
    """What the gateway says about the failure is what the listener gets, after all the audio there was."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0, 1)
        await talk.fail("upstream_interrupted")

    song = await stand_in.order()
    assert [(await anext(song)).payload, (await anext(song)).payload] == stand_in.payloads[:2]
    error = await stand_in.failure(song)
    assert (error.code, error.retryable) == ("upstream_interrupted", False)
    assert (stand_in.slept, song.state) == ([], State.ENDED)


async def test_bytes_that_were_changed_are_found_out(stand_in: Any) -> None:
    """A hash that differs is told: the song was heard whole and is not what was announced."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(*range(10))
        await talk.completed(sha256="0" * 64)

    song = await stand_in.order()
    await stand_in.hear(song)
    assert song.verified is False


async def test_a_slow_listener_reads_no_more_than_it_hears(stand_in: Any) -> None:
    """What is not taken stays at the gateway: the socket is not read ahead of the iterator."""
    sent = []

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created()
        await talk.started()
        frame = talk.packed(0) + bytes(100_000)
        with suppress(ConnectionClosed):
            for _ in range(1000):
                await talk.socket.send(frame)
                sent.append(1)

    song = await stand_in.order()
    await anext(song)
    before = -1
    while before != len(sent):  # until the gateway cannot send any more
        before = len(sent)
        await asyncio.sleep(0.05)
    assert len(sent) < 200
    async with asyncio.timeout(WITHIN):
        await song.close()


async def test_closing_ends_the_iteration_quietly(stand_in: Any) -> None:
    """Whoever closes a song while it is awaited gets the end of the iteration, not an error."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)

    song = await stand_in.order()
    await anext(song)
    rest = asyncio.ensure_future(stand_in.hear(song))
    await asyncio.sleep(0)
    await song.close()
    async with asyncio.timeout(WITHIN):
        assert await rest == []
    await song.close()
    assert stand_in.slept == []


async def test_cancelling_the_generation_is_asked_for(stand_in: Any) -> None:
    """The gateway is told, and its answer ends the song."""
    asked = []

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        asked.append(await talk.hear())
        await talk.fail("cancelled")

    song = await stand_in.order()
    await anext(song)
    await song.cancel()
    assert (await stand_in.failure(song)).code == "cancelled"
    assert asked[0] == {"type": "stream.cancel", "stream_id": "stream-1", "ref": None}
    await song.cancel()


async def test_cancelling_over_a_broken_connection_says_so(stand_in: Any) -> None:
    """A wish that could not be sent is an error, not a silence."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created()
        await talk.close(1011)

    song = await stand_in.order()
    connection = song._connection
    async with asyncio.timeout(WITHIN):
        await connection._socket.wait_closed()
    with pytest.raises(ClientError) as caught:
        await song.cancel()
    assert caught.value.code == "internal"
    await song.close()


async def test_the_json_framing_is_heard_alike(stand_in: Any) -> None:
    """Frames that come as base64 in JSON are the same song."""

    @stand_in.script
    async def _(talk: Any) -> None:
        assert (await talk.hello())["framing"] == "json"
        await talk.created()
        await talk.started()
        for seq, payload in enumerate(stand_in.payloads):
            data = base64.b64encode(payload).decode()
            await talk.say(events.AudioDelta("stream-1", 3, "audio", 7, seq, seq * 4800, 4800, 1, data))
        await talk.completed()

    song = await stand_in.client().create(prompt="rain", framing="json")
    assert await stand_in.hear(song) == stand_in.payloads
    assert song.verified is True


BUDGET = events.QuotaBudget(5, 1, 4, None)
QUOTA = events.QuotaUpdated(BUDGET, BUDGET, BUDGET, BUDGET, [])


async def test_events_are_all_that_happens_in_its_order(stand_in: Any) -> None:
    """Queue, start, frames, news, gaps, the budget, an interruption and the end, each once; `song` keeps the last."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created()
        await talk.say(events.StreamQueued("stream-1", 2, 1500))
        await talk.say(QUOTA)
        await talk.started()
        await talk.frames(0)
        await talk.say(events.StreamMetadata("stream-1", 0.1, listeners=2))
        await talk.say(events.Goaway(5000, 300))
        await talk.close(1001)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(3)
        await talk.say(events.StreamGap("stream-1", 1, 3, "retention"))
        await talk.frames(*range(3, 10))
        await talk.completed()

    song = await stand_in.order()
    told, states = [], []
    async for event in song.events():
        told.append(type(event).__name__)
        states.append((event, song.state, song.queued, song.quota))
    assert told == [
        "StreamQueued",
        "QuotaUpdated",
        "StreamStarted",
        "Frame",
        "StreamMetadata",
        "Goaway",
        "Interruption",
        "StreamStarted",
        "StreamGap",
        *["Frame"] * 7,
        "StreamCompleted",
    ]
    assert states[0][2] == events.StreamQueued("stream-1", 2, 1500)
    assert states[1][3] == QUOTA == song.quota
    assert states[2][2] is None
    interruption = states[6][0]
    assert isinstance(interruption, Interruption)
    assert (interruption.error.code, interruption.error.close_code, interruption.delay) == ("going_away", 1001, 0.3)
    assert states[6][1] is State.RECONNECTING
    assert (song.state, song.verified, song.sha256) == (State.COMPLETED, None, None)


async def test_frames_and_events_may_be_asked_for_in_turns(stand_in: Any) -> None:
    """They are one sequence: what one has given, the other does not give again."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(*range(10))
        await talk.completed()

    song = await stand_in.order()
    following = song.events()
    assert isinstance(await anext(following), events.StreamStarted)
    first = await anext(song)
    second = await anext(following)
    assert isinstance(second, Frame)
    assert [first.payload, second.payload, *await stand_in.hear(song)] == stand_in.payloads
    assert [event async for event in following] == []


async def test_a_goodbye_holds_for_a_connection_that_just_goes(stand_in: Any) -> None:
    """A gateway that said when to come back, and was killed before its close, is given that time."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        await talk.say(events.Goaway(5000, 300))
        await talk.say(events.StreamMetadata("stream-1", 0.1, listeners=2))
        await talk.hear()
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(1)
        await talk.frames(*range(1, 10))
        await talk.completed()

    song = await stand_in.order()
    async for event in song.events():
        if isinstance(event, events.StreamMetadata):
            await song.cancel()  # the gateway hears it and cuts
    assert song.verified is True
    assert stand_in.slept == [0.55]


async def test_what_was_told_before_the_answer_is_not_lost(stand_in: Any) -> None:
    """News that overtakes the answer to an order is the first that its listener sees."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.say(QUOTA)
        await talk.created()
        await talk.started()

    song = await stand_in.order()
    assert song.quota == QUOTA
    following = song.events()
    assert await anext(following) == QUOTA
    assert isinstance(await anext(following), events.StreamStarted)
    await song.close()


async def test_a_song_can_be_read_whole(stand_in: Any) -> None:
    """One call for who wants a file; its hash is what the gateway announced."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(*range(10))
        await talk.completed()

    async with await stand_in.order() as song:
        data = await song.read()
    assert data == b"".join(stand_in.payloads)
    assert song.sha256 == song.completed.sha256 == hashlib.sha256(data).hexdigest()


async def test_a_block_that_ends_stops_listening(stand_in: Any) -> None:
    """Whatever is still to come, and whatever was kept for who would ask."""
    closed = asyncio.Event()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started()
        await talk.socket.wait_closed()
        closed.set()

    async with await stand_in.client().attach("stream-1") as song:
        pass
    async with asyncio.timeout(WITHIN):
        await closed.wait()
    assert (song.state, [event async for event in song.events()]) == (State.ENDED, [])


async def test_a_song_that_was_forgotten_says_what_was_heard_of_it(stand_in: Any) -> None:
    """Whoever was in the middle of it is told more than that there is no such stream."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0, 1)
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.refuse("stream_not_found")

    error = await stand_in.failure(await stand_in.order())
    assert (error.code, error.close_code) == ("stream_not_found", 4004)
    assert error.message.startswith("This is stream_not_found. It was there before:")
    assert "s of it were heard" in error.message
