"""The sample for Godot in a real Godot 4, the web build, in Chromium.

Invariant under test: what the mixer's bus gets is the gateway's PCM sample for sample, also over a wire that breaks,
and a warning of the engine is a failure. The engine's own project is not used.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from tests.browser.conftest import PATIENCE, Visit
from tests.support.broken_wire import broken_wire
from tests.support.gateway import KEY, Bench, bench
from tests.support.godot import ENGINE, ENGINE_FILES, page, project
from tests.support.ordeal import CONNECTIONS, HEARD, ordeal
from tests.support.site import site

PLAYER = Path(__file__).parents[2] / "deploy" / "players" / "godot" / "wavegate_player.gd"
SCENE = Path(__file__).parent / "godot" / "main.gd"
TICKETS = [f"ticket {number}" for number in range(1, CONNECTIONS + 1)]
ENDED = {"state": "completed", "failure": "", "underruns": 0}
SONG = "[[scale seconds=1.5 speed=16]] a scale for a game"


class Page:
    """What the engine's page asks its server for: the engine, the project, and tickets for either song."""

    def __init__(self, engine: Path) -> None:
        self._engine = engine
        self._project = project(SCENE, PLAYER)
        self._tickets = list(TICKETS)
        self.songs: list[dict[str, Any]] = []
        self.gateway: Bench | None = None
        self.app = web.Application()
        self.app.add_routes([web.get("/", self._page), web.get("/test.pck", self._pck)])
        self.app.add_routes([web.post("/ticket", self._ticket), web.post("/ordeal", self._ordeal)])
        self.app.add_routes([web.get(f"/{{name:{name}}}", self._file) for name in ENGINE_FILES])

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=page(json.dumps(self.songs)), content_type="text/html")

    async def _pck(self, request: web.Request) -> web.Response:
        return web.Response(body=self._project)

    async def _file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(self._engine / request.match_info["name"])

    async def _ticket(self, request: web.Request) -> web.Response:
        assert self.gateway is not None
        wish = {"stream_id": (await request.json())["stream_id"], "uses": 1}
        async with self.gateway.http.post(f"{self.gateway.url}/v1/tickets", json=wish) as answer:
            return web.Response(body=await answer.read(), content_type="application/json")

    async def _ordeal(self, request: web.Request) -> web.Response:
        return web.json_response({"ticket": self._tickets.pop(0)})


def compare(report: dict[str, Any], song: bytes) -> None:
    """What was heard is the song, with silence before it and after it."""
    played = base64.b64decode(report.pop("heard"))
    begin = (len(song) - len(song.lstrip(b"\0"))) // 4 * 4
    at = played.find(song[begin : begin + 4096]) - begin
    assert at >= 0
    assert played.startswith(song, at)
    assert not played[:at].strip(b"\0")
    assert not played[at + len(song) :].strip(b"\0")


@pytest.mark.timeout(120)
async def test_the_bus_of_godot_gets_the_song(visit: Visit, need: Callable[[str], str]) -> None:
    """The sample compiles without a warning, asks for tickets, survives a cut of its wire, and plays every sample.

    A second one beside it goes through the ordeal.
    """
    shown = Page(Path(need(ENGINE)) / "godot")
    # The lead is longer than the wires last, and the ring than any frame: a slow machine is no reason to hear a pause.
    usual = {"lead": 3.5, "ring": 2.0, "channels": 2}
    async with site(shown.app) as origin, ordeal() as trial:
        tenants = [Tenant(id="acme", keys=[key_hash(KEY)], allowed_origins=[origin])]
        async with bench(tenants=tenants) as gateway, broken_wire(gateway.url, 150_000) as wire:
            stream = await gateway.create(SONG)
            shown.gateway = gateway
            shown.songs = [
                {"server": wire.url, "stream_id": stream["id"], "ticket_url": f"{origin}/ticket", **usual},
                {"server": trial.url, "stream_id": "s", "ticket_url": f"{origin}/ordeal", **usual},
            ]
            tab = await visit(origin, forgiven="503")
            # Without a gesture a page makes no sound. Not `click`, which waits for a page that is busy compiling.
            await tab.mouse.click(20, 20)
            await tab.wait_for_function("() => window.reports", timeout=4 * PATIENCE)
            song_report, trial_report = json.loads(await tab.evaluate("() => window.reports"))
            await tab.close()
            url = f"{gateway.url}/v1/streams/{stream['id']}/audio.pcm?rate=48000&channels=2"
            async with gateway.http.get(url) as answer:
                song = await answer.read()
    assert len(song) > 1.4 * 48000 * 4
    compare(song_report, song)
    assert song_report == {"verified": True, "reconnects": 1, "gaps": 0, "doubles": 0} | ENDED
    assert wire.cuts == 1
    assert trial.mistakes == []
    assert trial.tickets == TICKETS[1:]
    compare(trial_report, HEARD)
    assert trial_report == {"verified": None, "reconnects": CONNECTIONS - 1, "gaps": 1, "doubles": 12} | ENDED
