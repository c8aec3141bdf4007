"""The pages that deploy/players/README.md shows, in Chromium, as they stand there.

Invariant under test: a page on another origin than the gateway's plays the song after one click, with a ticket and
without the key.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser

from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from tests.browser.conftest import PATIENCE
from tests.support.gateway import KEY, bench
from tests.support.site import site

PAGE = Path(__file__).parents[2] / "deploy" / "players" / "README.md"
BLOCKS = re.findall(r"^```html\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SONG = "[[scale seconds=3 speed=16]] a scale for every page"
# Whatever is told to play, in the document or not.
EARS = """
  window.players = [];
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () { window.players.push(this); return play.call(this); };
"""
HEARD = "() => [...window.players, ...document.querySelectorAll('audio')].some((one) => one.currentTime > 0.3)"


@pytest.mark.parametrize("block", BLOCKS, ids=["sdk", "element", "fetch"])
async def test_a_page_of_the_readme_plays(browser: Browser, need: Callable[[str], str], block: str) -> None:
    """Its button starts the sound, and nothing is complained about in the console."""
    app = web.Application()

    async def html(request: web.Request) -> web.Response:
        return web.Response(text=f'<!doctype html><link rel="icon" href="data:,">{shown}', content_type="text/html")

    async def ticket(request: web.Request) -> web.Response:
        return web.json_response({"ticket": await mint(uses=1)})

    async def mint(**wish: int) -> str:
        url = f"{gateway.url}/v1/tickets"
        async with gateway.http.post(url, json={"stream_id": stream["id"], **wish}) as answer:
            minted: str = (await answer.json())["ticket"]
            return minted

    app.add_routes([web.get("/", html), web.post("/ticket", ticket)])
    async with site(app) as origin:
        tenants = [Tenant(id="acme", keys=[key_hash(KEY)], allowed_origins=[origin])]
        async with bench(tenants=tenants) as gateway:
            stream = await gateway.create(SONG)
            values = {"GATEWAY": gateway.url, "STREAM": stream["id"], "TICKET": await mint(uses=0)}
            shown = re.sub(r"\$([A-Z]+)", lambda found: values[found[1]], block)
            tab = await browser.new_page()
            complaints: list[str] = []
            tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            tab.on("pageerror", lambda problem: complaints.append(str(problem)))
            await tab.add_init_script(EARS)
            await tab.goto(origin)
            await tab.click("#play", position={"x": 20, "y": 20} if "<audio" in block else None)
            await tab.wait_for_function(HEARD, timeout=PATIENCE)
            await tab.close()
    assert complaints == []
