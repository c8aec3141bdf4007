"""The samples of deploy/players as the programs that they are: a game in Python, one in C#, a script for Node.

Invariant under test: what reaches the sound card is the song, sample for sample, also over a wire that breaks, and the
tenant's key never leaves the game's own server. A sample that cannot go on says so and ends.
"""

import asyncio
import importlib
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.house.programs import Program
from tests.support.broken_wire import BrokenWire, broken_wire
from tests.support.gateway import KEY, Bench, bench
from tests.support.ordeal import CONNECTIONS, HEARD, WHOLE_FRAMES, Ordeal, ordeal
from tests.support.site import site

PLAYERS = Path(__file__).parents[2] / "deploy" / "players"
HERE = Path(__file__).parent / "players"
SONG = "[[scale seconds=2.5 speed=16]] a scale for a game"
PATIENCE = 40.0

Start = Callable[..., Awaitable[Program]]

# The samples are programs of their own: to them it is the same which loop the gateway has.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


class Stage:
    """A gateway with a song, a wire to it that breaks, and the game's own server; `arguments` is what samples take."""

    def __init__(self, gateway: Bench, wire: BrokenWire, stream_id: str, tickets: str) -> None:
        self.gateway, self.wire, self.stream_id, self.tickets = gateway, wire, stream_id, tickets
        self.arguments = (wire.url, stream_id, tickets)

    async def song(self, name: str) -> bytes:
        async with self.gateway.http.get(f"{self.gateway.url}/v1/streams/{self.stream_id}/{name}") as response:
            assert response.status == 200, await response.text()
            return await response.read()


@asynccontextmanager
async def stage(process: Start, *after: int, prompt: str = SONG) -> AsyncIterator[Stage]:
    async with bench() as gateway, broken_wire(gateway.url, *after) as wire:
        stream = await gateway.create(prompt)
        environment = {"WAVEGATE_URL": gateway.url, "WAVEGATE_KEY": KEY}
        server = await process(
            sys.executable, PLAYERS / "python" / "ticket_server.py", "--port", "0", environment=environment
        )
        url = (await server.says(r"Running on (http://\S+)"))[1]
        yield Stage(gateway, wire, stream["id"], f"{url}/ticket")
        assert KEY not in server.said


# -- the game's own server ---------------------------------------------------------------------------------------------


async def test_a_ticket_from_the_games_server_opens_one_stream_once(process: Start) -> None:
    """It is a ticket and not the key, it hears this stream, and it buys nothing."""
    async with stage(process) as scene, aiohttp.ClientSession() as player:
        async with player.post(scene.tickets, json={"stream_id": scene.stream_id}) as answer:
            assert answer.status == 201
            ticket = (await answer.json())["ticket"]
        assert KEY not in ticket
        assert len(f"{scene.gateway.url}/v1/streams/{scene.stream_id}/audio.mp3?ticket={ticket}") < 500  # for an ESP32
        bearer = {"ticket": ticket}
        url = f"{scene.gateway.url}/v1/streams"
        async with player.post(url, json={"input": {"prompt": SONG}}, params=bearer) as answer:
            assert answer.status == 403
        for status in (200, 401):
            async with player.get(f"{url}/{scene.stream_id}/audio.mp3", params=bearer) as answer:
                assert answer.status == status, await answer.text()
        async with player.post(scene.tickets, data=b"[1") as answer:
            assert answer.status == 400
        async with player.post(scene.tickets, json={"stream_id": "st_unknown"}) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "stream_not_found")


# -- Python ------------------------------------------------------------------------------------------------------------


async def play(process: Start, scene: Stage, disk: Path) -> Program:
    """The game, on a sound card that is a file and a screen that is none."""
    environment = {
        "SDL_AUDIODRIVER": "disk",
        "SDL_DISKAUDIOFILE": os.fspath(disk),
        "SDL_DISKAUDIODELAY": "20",  # ms for a buffer of 21 ms
        "SDL_VIDEODRIVER": "dummy",
        "PYTHONUNBUFFERED": "1",
    }
    # The lead is longer than the wire lasts: a slow machine is no reason to hear a pause.
    return await process(sys.executable, PLAYERS / "python" / "game.py", *scene.arguments, "2", environment=environment)


async def test_the_sound_card_of_the_game_gets_the_song(process: Start, tmp_path: Path) -> None:
    """What SDL was given is the gateway's PCM sample for sample, silence before it and after it."""
    async with stage(process, 200_000, 150_000) as scene:
        game = await play(process, scene, tmp_path / "sound.raw")
        assert await game.ends(PATIENCE) == 0, game.said
        assert scene.wire.cuts == 2
        assert "verified True, 2 reconnects, 0 gaps, 0 underruns" in game.said
        song = await scene.song("audio.pcm?rate=48000&channels=2")
    played = (tmp_path / "sound.raw").read_bytes()
    assert len(song) > 2.4 * 48000 * 4
    begin = (len(song) - len(song.lstrip(b"\0"))) // 4 * 4
    at = played.find(song[begin : begin + 4096]) - begin
    assert at >= 0
    assert played[at : at + len(song)] == song
    assert not played[:at].strip(b"\0")
    assert not played[at + len(song) :].strip(b"\0")


# -- C# ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def listen_exe(need: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the Unity sample, compiled with a stand-in for the engine's names; a warning is a mistake."""
    need("mono")
    program = tmp_path_factory.mktemp("unity") / "Listen.exe"
    sources = sorted([*(PLAYERS / "unity").glob("*.cs"), *HERE.glob("*.cs")])
    compiler = [need("mcs"), "-langversion:7", "-warnaserror+", "-r:System.dll", f"-out:{program}"]

    async def compile_all() -> None:
        compiling = await Program.start(*compiler, *sources)
        assert await compiling.ends(PATIENCE) == 0, compiling.said

    asyncio.run(compile_all())
    return program


async def test_the_audio_thread_in_unity_gets_the_song(process: Start, listen_exe: Path, tmp_path: Path) -> None:
    """What the audio callback read is the gateway's PCM sample for sample, and its hash is the one that is told.

    The component beside it plays to the end by itself, with tickets that it asks for itself.
    """
    async with stage(process, 120_000, 90_000) as scene:
        sound = tmp_path / "sound.raw"
        game = await process("mono", listen_exe, *scene.arguments, "48000", "2", sound)
        assert await game.ends(PATIENCE) == 0, game.said
        assert "Completed verified True sha256" in game.said
        assert "reconnects 2 gaps 0" in game.said
        assert scene.wire.cuts == 2
        assert sound.read_bytes() == await scene.song("audio.pcm?rate=48000&channels=2")
        component = await process("mono", listen_exe, *scene.arguments, "48000", "2", "-")
        assert await component.ends(PATIENCE) == 0, component.said
        assert float((await component.says(r"loudest ([\d.]+)"))[1]) > 0.05
        assert "Completed verified True" in component.said


# -- Node --------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def node(need: Callable[[str], str], process: Start) -> list[str]:
    """The program, with the switch that it needs before version 22."""
    asked = await process(need("node"), "--version")
    version = int((await asked.says(r"v(\d+)"))[1])
    if version < 20:
        pytest.skip(f"Node {version} has no WebSocket")
    return [need("node"), *(["--experimental-websocket"] if version < 22 else [])]


async def test_node_writes_the_song(process: Start, node: list[str]) -> None:
    """Standard output is the file that the HTTP door gives, in any format, although the wire broke in the middle."""
    forms = {"mp3": "audio.mp3", "ogg": "audio.ogg", '{"codec":"pcm","sample_rate":24000}': "audio.pcm?rate=24000"}
    async with stage(process) as scene, AsyncExitStack() as wires:
        script, running = PLAYERS / "node" / "listen.mjs", []
        for form in forms:
            wire = await wires.enter_async_context(broken_wire(scene.gateway.url, 20_000))
            running.append(await process(*node, script, wire.url, *scene.arguments[1:], form))
        for one, name in zip(running, forms.values(), strict=True):
            assert await one.ends(PATIENCE) == 0, bytes(one.stderr)
            assert b"verified true" in one.stderr
            assert b"1 reconnects" in one.stderr
            assert bytes(one.stdout) == await scene.song(name)


# -- everything at once ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def ticket_office(*tickets: str) -> AsyncIterator[str]:
    """The address of a game's server that gives these out in turn, and the last one again and again."""
    left = list(tickets)

    async def ticket(request: web.Request) -> web.Response:
        return web.json_response({"ticket": left.pop(0) if len(left) > 1 else left[0]})

    app = web.Application()
    app.router.add_post("/ticket", ticket)
    async with site(app) as origin:
        yield f"{origin}/ticket"


TICKETS = [f"ticket {number}" for number in range(1, CONNECTIONS + 1)]


async def survived(trial: Ordeal) -> None:
    """The client said what it should, asked for a ticket for each connection, and came as often as it had to."""
    assert trial.mistakes == []
    assert trial.opened == CONNECTIONS
    assert trial.tickets == TICKETS[1:]


@pytest.mark.nightly
async def test_the_game_goes_through_the_ordeal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, overloaded, robbed of a frame, expired, lost, moved to another log: every sample comes once."""
    monkeypatch.syspath_prepend(PLAYERS / "python")
    player = importlib.import_module("wavegate_pcm")
    left = list(TICKETS)
    async with ordeal() as trial:
        song = player.WavegateStream(trial.url, "s", lambda: left.pop(0), ring=0.71)  # it turns often
        song.start()
        heard = bytearray()
        async with asyncio.timeout(PATIENCE):
            while not song.exhausted:
                heard += song.read(20_000)
                await asyncio.sleep(0.001)  # as a sound card does: it asks again and again
        await asyncio.to_thread(song.join, PATIENCE)
        await survived(trial)
    assert heard == HEARD
    assert (song.state, song.failure, song.verified, song.gaps, song.doubles) == ("completed", None, None, 1, 12)


@pytest.mark.nightly
async def test_the_audio_thread_in_unity_goes_through_the_ordeal(
    process: Start, listen_exe: Path, tmp_path: Path
) -> None:
    """Refused, overloaded, robbed of a frame, expired, lost, moved to another log: every sample comes once."""
    async with ordeal() as trial, ticket_office(*TICKETS) as tickets:
        game = await process("mono", listen_exe, trial.url, "s", tickets, "48000", "2", tmp_path / "sound.raw")
        assert await game.ends(PATIENCE) == 0, game.said
        await survived(trial)
    assert (tmp_path / "sound.raw").read_bytes() == HEARD
    assert re.search("Completed verified +sha256 .* reconnects 5 gaps 1 ", game.said), game.said


@pytest.mark.nightly
async def test_node_goes_through_the_ordeal(process: Start, node: list[str]) -> None:
    """The same; it takes any format, so it cannot cut the one frame of which it has heard a part."""
    async with ordeal() as trial, ticket_office(*TICKETS) as tickets:
        script = await process(*node, PLAYERS / "node" / "listen.mjs", trial.url, "s", tickets)
        assert await script.ends(PATIENCE) == 0, bytes(script.stderr)
        await survived(trial)
    assert script.stdout == WHOLE_FRAMES
    assert b"completed, verified null" in script.stderr


# -- what cannot go on -------------------------------------------------------------------------------------------------


async def test_a_song_that_is_not_there_ends_each_sample(
    process: Start, node: list[str], listen_exe: Path, tmp_path: Path
) -> None:
    """A final refusal is not tried again: the sample says the code and fails, with whatever it was written in."""
    async with stage(process) as scene, aiohttp.ClientSession() as player:
        async with player.post(scene.tickets, json={"stream_id": scene.stream_id}) as answer:
            ticket = (await answer.json())["ticket"]
        async with ticket_office(ticket) as tickets:
            scene.arguments = (scene.wire.url, "st_unknown", tickets)
            samples: list[Any] = [
                await play(process, scene, tmp_path / "sound.raw"),
                await process("mono", listen_exe, *scene.arguments, "48000", "2", tmp_path / "other.raw"),
                await process(*node, PLAYERS / "node" / "listen.mjs", *scene.arguments),
            ]
            for sample in samples:
                assert await sample.ends(PATIENCE) == 1, sample.said
                assert re.search("stream_not_found|ticket_used", sample.said), sample.said
            assert scene.wire.opened == len(samples)


async def test_a_song_that_breaks_off_is_played_as_far_as_it_came(
    process: Start, node: list[str], listen_exe: Path, tmp_path: Path
) -> None:
    """The provider hangs up in the middle: each sample hears what came, says how it ended, and fails."""
    async with stage(process, prompt="[[scale seconds=3 cut after=1.5 speed=16]] a scale that breaks off") as scene:
        game = await play(process, scene, tmp_path / "sound.raw")
        unity = await process("mono", listen_exe, *scene.arguments, "48000", "2", tmp_path / "unity.raw")
        script = await process(*node, PLAYERS / "node" / "listen.mjs", *scene.arguments, '{"codec":"pcm"}')
        for sample in (game, unity, script):
            assert await sample.ends(PATIENCE) == 1, sample.said
            assert re.search("failed", sample.said, re.IGNORECASE), sample.said
    came = bytes(script.stdout)
    assert len(came) > 48000 * 4
    assert (tmp_path / "unity.raw").read_bytes() == came
    assert came.strip(b"\0") in (tmp_path / "sound.raw").read_bytes()
