"""How long an interrupted song waits before it is asked for again, and when it is given up.

Invariant under test: the wait is what the close code asks for, and outages are bounded whatever the gateway does.
The other side is a scripted gateway; the waits are recorded, not waited.
"""

from typing import Any

import pytest

from gateway.client.backoff import Patience
from gateway.protocol import events


@pytest.mark.parametrize(
    ("code", "reason", "slept"),
    [
        (4101, "rate_exceeded;retry_after_ms=2000", 2.25),
        (1013, "overloaded", 0.25),
        (4200, "moved", 0.0),
        (1012, "going_away;retry_after_ms=700", 0.7),
    ],
)
async def test_close_codes_say_when_to_come_back(stand_in: Any, code: int, reason: str, slept: float) -> None:
    """The wait is what the close code and its reason ask for."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        await talk.close(code, reason)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(1)
        await talk.frames(*range(1, 10))
        await talk.completed()

    song = await stand_in.order()
    assert await stand_in.hear(song) == stand_in.payloads
    assert stand_in.slept == [slept]


async def test_goaway_gives_the_time_that_the_close_does_not(stand_in: Any) -> None:
    """The announced time holds for the close that follows, and for that one only."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        await talk.say(events.Goaway(5000, 1234))
        await talk.close(1001)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(1)
        await talk.frames(1)
        await talk.close(1001)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started(2)
        await talk.frames(*range(2, 10))
        await talk.completed()

    song = await stand_in.order()
    assert await stand_in.hear(song) == stand_in.payloads
    assert stand_in.slept == [1.234, 0.25]


async def test_a_gateway_that_does_not_come_back_is_given_up(stand_in: Any) -> None:
    """The attempts are bounded, and the error says how often and for how long it was tried."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.begin(0)
        talk.cut()

    for _ in range(4):
        stand_in.refusal(502, b"")
    error = await stand_in.failure(await stand_in.order(patience=Patience(attempts=4, base=1.0, cap=2.0)))
    assert (error.code, error.retryable) == ("refused", True)
    assert "Tried 4 times" in error.message
    assert stand_in.slept == [1.0, 2.0, 2.0, 2.0]


async def test_sound_ends_an_outage_but_connecting_alone_does_not(stand_in: Any) -> None:
    """A gateway that accepts and drops again and again counts as away; each new frame renews the patience."""
    for _ in range(3):

        @stand_in.script
        async def _(talk: Any) -> None:
            wish = await talk.hello()
            seq = 0
            if wish["type"] == "stream.create":
                await talk.created()
            else:
                seq = wish["since"]["seq"] if isinstance(wish["since"], dict) else 0
            await talk.started(seq)
            await talk.frames(seq)
            talk.cut()

    for _ in range(3):

        @stand_in.script
        async def _(talk: Any) -> None:
            await talk.hello()
            talk.cut()

    song = await stand_in.order(patience=Patience(attempts=3, base=1.0))
    await stand_in.failure(song)
    assert song.statistics.frames == 3
    assert stand_in.slept == [1.0, 1.0, 1.0, 2.0, 4.0]


async def test_a_connection_that_held_ends_an_outage_without_sound(stand_in: Any) -> None:
    """A long wait for the first sound may be interrupted more often than one outage may fail."""
    clock = {"now": 0.0}
    for number in range(4):

        @stand_in.script
        async def _(talk: Any, number: int = number) -> None:
            await talk.hello()
            if number == 0:
                await talk.created()
            clock["now"] += 100.0
            talk.cut()

    song = await stand_in.order(patience=Patience(attempts=1, cap=10.0), now=lambda: clock["now"])
    stand_in.refusal(404, b"")
    assert (await stand_in.failure(song)).code == "refused"
    assert stand_in.slept == [0.25] * 4
