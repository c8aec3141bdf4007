"""Hearing a song over broken connections: cuts, doubles, lost places, and waits that are cancelled half-way.

Invariant under test: every frame once and in order, whatever the connection does. When the client comes back, and how
often, stands in test_song_outage.py. The other side is a scripted gateway on a real socket.
"""

import asyncio
from typing import Any

import pytest

from gateway.client.connection import Connection
from gateway.client.ending import ABNORMAL, Ending
from gateway.client.event import State
from gateway.protocol import events
from gateway.protocol.messages import StreamAttach

WITHIN = 5.0


async def test_a_cut_is_healed_without_a_seam(stand_in: Any) -> None:
    """After the network went the client asks for the first frame it has not got, and the song is whole."""
    asked = []

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0, 1, 2)
        await talk.hear()
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        asked.append(await talk.hello())
        await talk.started(3)
        await talk.frames(*range(3, 10))
        await talk.completed()

    song = await stand_in.order()
    first = [(await anext(song)).payload for _ in range(3)]
    await song.cancel()  # the gateway hears it and cuts: the client has all three frames by then
    assert first + await stand_in.hear(song) == stand_in.payloads
    (attach,) = asked
    assert attach["type"] == "stream.attach"
    assert attach["since"] == {"seconds_ago": None, "epoch": 7, "seq": 3}
    assert (song.verified, song.statistics.reconnects, song.statistics.gaps) == (True, 1, 0)
    assert stand_in.slept == [0.25]


async def test_doubles_are_not_heard(stand_in: Any) -> None:
    """A gateway that starts over from the beginning does not make the listener hear it again."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0, 1, 2)
        await talk.close(1011)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started()
        await talk.frames(*range(10))
        await talk.completed()

    song = await stand_in.order()
    assert await stand_in.hear(song) == stand_in.payloads
    assert (song.verified, song.statistics.doubles) == (True, 3)


async def test_a_break_before_the_first_sound_joins_from_the_start(stand_in: Any) -> None:
    """A song that has not begun is waited for on a new connection, from its start."""
    asked = []

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created()
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        asked.append(await talk.hello())
        await talk.started()
        await talk.frames(*range(10))
        await talk.completed()

    song = await stand_in.order()
    assert await stand_in.hear(song) == stand_in.payloads
    assert asked[0]["since"] == "start"


async def test_an_error_message_before_the_close_decides(stand_in: Any) -> None:
    """A retryable error is waited out, whatever close follows it."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        await talk.refuse("too_slow", retryable=True, after_ms=500)
        await talk.close(4102, "too_slow")

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(4)
        await talk.say(events.StreamGap("stream-1", 1, 4, "retention"))
        await talk.frames(*range(4, 10))
        await talk.completed()

    song = await stand_in.order()
    assert len(await stand_in.hear(song)) == 7
    assert stand_in.slept == [0.75]
    assert (song.statistics.gaps, song.verified) == (1, None)


async def test_a_song_that_was_forgotten_meanwhile_is_over(stand_in: Any) -> None:
    """A gateway that no longer knows the stream is not asked again."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.refuse("stream_not_found")

    assert (await stand_in.failure(await stand_in.order())).code == "stream_not_found"


@pytest.mark.parametrize(("on_lag", "since"), [("complete", "start"), ("live", "live")])
async def test_a_lost_position_is_not_asked_for_again(stand_in: Any, on_lag: str, since: str) -> None:
    """After 4203 the client joins anew, and time tells what is new in another log; after that it knows its place."""
    asked = []

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0, 1)
        await talk.close(4203, "position_lost")

    stand_in.refusal(502, b"")

    @stand_in.script
    async def _(talk: Any) -> None:
        talk.epoch, talk.rendition = 8, 4
        asked.append(await talk.hello())
        await talk.started()
        await talk.frames(*range(4))
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        talk.epoch, talk.rendition = 8, 4
        asked.append(await talk.hello())
        await talk.started(4)
        await talk.frames(*range(4, 10))
        await talk.completed()

    song = await stand_in.client().create(prompt="rain", on_lag=on_lag)
    heard = await stand_in.hear(song)
    assert heard == stand_in.payloads
    assert asked[0]["since"] == since
    assert asked[1]["since"] == {"seconds_ago": None, "epoch": 8, "seq": 4}
    assert (song.verified, song.statistics.gaps) == (None, 0)


async def test_cancelling_the_wait_loses_nothing(stand_in: Any) -> None:
    """A listener that stops waiting and comes back, even in the middle of a reconnect, hears every frame once."""
    go, asleep = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await go.wait()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(1)
        await talk.frames(*range(1, 10))
        await talk.completed()

    song = await stand_in.order(sleep=sleep)
    assert (await anext(song)).payload == stand_in.payloads[0]
    waiting = asyncio.ensure_future(anext(song))
    async with asyncio.timeout(WITHIN):
        await asleep.wait()
    assert song.state is State.RECONNECTING
    waiting.cancel()
    await asyncio.wait([waiting])
    go.set()
    assert await stand_in.hear(song) == stand_in.payloads[1:]
    assert song.verified is True


async def test_closing_during_a_reconnect_leaves_no_connection(stand_in: Any) -> None:
    """A song that was closed while a new connection was being made closes that one too."""
    closed = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await song.close()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.socket.wait_closed()
        closed.set()

    song = await stand_in.order(sleep=sleep)
    assert len(await stand_in.hear(song)) == 1
    async with asyncio.timeout(WITHIN):
        await closed.wait()


async def test_a_reconnect_that_was_cancelled_half_way_begins_again(stand_in: Any) -> None:
    """A connection on which nothing was asked for yet is not mistaken for one that will bring the song."""
    greeted = asyncio.Event()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        greeted.set()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(1)
        await talk.frames(*range(1, 10))
        await talk.completed()

    song = await stand_in.order()
    await anext(song)
    waiting = asyncio.ensure_future(anext(song))
    async with asyncio.timeout(WITHIN):
        await greeted.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await stand_in.hear(song) == stand_in.payloads[1:]
    assert song.verified is True


async def test_a_reconnected_song_says_what_it_is_doing(stand_in: Any) -> None:
    """Once the connection stands again the song waits or receives, as before; it does not go on reconnecting."""
    states = []
    for number in range(2):

        @stand_in.script
        async def _(talk: Any, number: int = number) -> None:
            await talk.hello()
            if number == 0:
                await talk.created()
            talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        states.append(song.state)
        await talk.started()
        await talk.frames(0)
        await talk.fail("upstream_failed")

    song = await stand_in.order()
    await stand_in.failure(song)
    assert states == [State.WAITING]


async def test_a_connection_that_takes_no_wish_is_closed_and_counts_as_broken(
    stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the wish to go on cannot be sent, that connection is given up and the next one is tried."""
    say, failing = Connection.say, iter([True])

    async def broken(connection: Connection, message: Any) -> None:
        if isinstance(message, StreamAttach) and next(failing, False):
            raise Ending(ABNORMAL)
        await say(connection, message)

    monkeypatch.setattr(Connection, "say", broken)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.say(events.SessionCreated("session", "acme", {}, 0.0))

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(1)
        await talk.frames(*range(1, 10))
        await talk.completed()

    song = await stand_in.order()
    assert await stand_in.hear(song) == stand_in.payloads
    assert (song.verified, song.statistics.reconnects) == (True, 1)
