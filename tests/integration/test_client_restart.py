"""The Python client and a gateway that goes: killed in the middle of a song, or told to stop while one is heard.

Invariant under test: a listener hears to the end what can be heard, and otherwise one error that says what has become
of its song; nobody waits for a gateway that has forgotten it. The gateway is a process of its own.
"""

import signal
import sys
from collections.abc import Awaitable, Callable

import pytest

from gateway.client import (
    Client,
    ClientError,
    Frame,
    Goaway,
    Interruption,
    Patience,
    State,
    StreamCompleted,
)
from tests.house.programs import Program
from tests.house.tree import ROOT

# The processes choose their own loops.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

Start = Callable[..., Awaitable[Program]]
# A gateway takes a second or two to be there again.
PATIENCE = Patience(base=0.05, cap=0.2, attempts=300, seconds=30.0)


async def demo(process: Start, port: str = "0") -> tuple[Program, str]:
    arguments = ("serve", "--demo", "--port", port, "--internal-port", "0")
    program = await process(sys.executable, "-m", "gateway", *arguments, cwd=ROOT)
    return program, (await program.says(r"^  public    (http://127\.0\.0\.1:\d+)$"))[1]


async def test_a_gateway_that_was_killed_has_forgotten_the_song_and_its_listener_hears_so(process: Start) -> None:
    """SIGKILL, and another gateway on the same port: the client comes back to it, and says what it finds there."""
    program, url = await demo(process)
    async with Client(url, key="demo", patience=PATIENCE) as client:
        song = await client.create(prompt="[[scale seconds=60 speed=4]] a scale that will not end")
        events = song.events()
        while not isinstance(await anext(events), Frame):
            pass
        program.send(signal.SIGKILL)
        assert await program.ends() == -signal.SIGKILL
        interruptions = 0
        heard = song.statistics.frames
        while not interruptions:
            event = await anext(events)
            heard += isinstance(event, Frame)
            interruptions += isinstance(event, Interruption)
        assert song.state is State.RECONNECTING
        await demo(process, url.rpartition(":")[2])
        with pytest.raises(ClientError) as caught:
            await song.read()
        error = caught.value
        assert (error.code, error.close_code, error.retryable) == ("stream_not_found", 4004, False)
        assert "It was there before" in error.message
        assert f"{song.statistics.seconds:.1f} s of it were heard" in error.message
        assert (song.statistics.frames, song.state) == (heard, State.ENDED)
        # The client itself is as good as new.
        again = await client.create(prompt="[[scale seconds=1 speed=0]] a scale that is short")
        await again.read()
        assert again.verified is True


async def test_a_gateway_that_does_not_come_back_is_given_up(process: Start) -> None:
    """One sentence says that the connection is gone and how often it was tried to get it back."""
    program, url = await demo(process)
    patience = Patience(base=0.01, cap=0.02, attempts=5, seconds=5.0)
    async with Client(url, key="demo", patience=patience) as client:
        song = await client.create(prompt="[[scale seconds=60 speed=4]] a scale that will not end")
        await anext(song)
        program.send(signal.SIGKILL)
        with pytest.raises(ClientError) as caught:
            await song.read()
    error = caught.value
    assert (error.code, error.close_code, error.retryable) == ("unreachable", 1006, True)
    assert "the connection was refused" in error.message
    assert "Tried 5 times" in error.message


async def test_a_gateway_that_stops_says_goodbye_first_and_the_song_is_heard_to_its_end(process: Start) -> None:
    """SIGTERM: `session.goaway` comes while the song goes on, and the song is whole; a new order is told to wait."""
    program, url = await demo(process)
    async with Client(url, key="demo", patience=PATIENCE) as client:
        song = await client.create(prompt="[[scale seconds=4 speed=3]] a scale that may end")
        seen = []
        async for event in song.events():
            if isinstance(event, Frame) and song.statistics.frames == 1:
                program.send(signal.SIGTERM)
            elif not isinstance(event, Frame):
                seen.append(event)
        goodbye = [event for event in seen if isinstance(event, Goaway)]
        assert len(goodbye) == 1
        assert goodbye[0].reconnect_after_ms >= 0
        assert goodbye[0].time_left_ms > 0
        assert isinstance(seen[-1], StreamCompleted)
        assert (song.verified, song.statistics.reconnects) == (True, 0)
    assert await program.ends() == 0
