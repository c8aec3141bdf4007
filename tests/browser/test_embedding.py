"""The song in other places: the element, the player in a frame, the overlay on a video.

Invariant under test: two lines of HTML play; a frame stands only in pages of the tenant; the overlay has no ground and
is seen only while something is heard.
"""

import asyncio
import json
import re
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from playwright.async_api import Browser, FloatRect, Route, async_playwright, expect

from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from tests.browser.conftest import ARGUMENTS, PATIENCE, Demo, Visit
from tests.browser.test_page_access import SHIFTS
from tests.support.gateway import KEY, Bench, bench
from tests.support.site import site

expect.set_options(timeout=PATIENCE)

MARK = "[[scale seconds=5 speed=2]]\n"
TITLE = "a scale for other pages"
SONG = f"{MARK}{TITLE}"
AS_OBS = "--autoplay-policy=no-user-gesture-required"
# Whatever the driver runs in a page counts as a touch of the visitor's; so this page says by itself what it shows.
TELL = """
  addEventListener('DOMContentLoaded', () => {
    const place = document.getElementById('overlay');
    let before;
    new MutationObserver(() => {
      if (place.dataset.heard !== before) console.debug(before = place.dataset.heard);
    }).observe(place, { attributes: true });
  });
"""
EVENTS = """
  window.heard = [];
  for (const name of ['state', 'started', 'completed', 'verified']) {
    addEventListener(`wavegate-${name}`, ({ detail }) => window.heard.push(name === 'state' ? detail : name));
  }
"""


def acme(*origins: str) -> Tenant:
    return Tenant(id="acme", keys=[key_hash(KEY)], allowed_origins=list(origins))


async def mint(gateway: Bench, stream: str) -> str:
    body = {"stream_id": stream, "uses": 0, "ttl_seconds": 300}
    async with gateway.http.post(f"{gateway.url}/v1/tickets", json=body) as answer:
        ticket: str = (await answer.json())["ticket"]
        return ticket


@asynccontextmanager
async def pages(markup: dict[str, str]) -> AsyncIterator[str]:
    """A site whose pages are these; the values may be changed while it is up."""

    async def show(request: web.Request) -> web.Response:
        text = f'<!doctype html><link rel="icon" href="data:,">{markup[request.path]}'
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.add_routes([web.get(path, show) for path in markup])
    async with site(app) as origin:
        yield origin


async def test_two_lines_play_a_song(browser: Browser) -> None:
    """On a page of the tenant's, by the keys alone; its events bubble, and a page can style it and hear no error."""
    markup = {"/": ""}
    async with pages(markup) as origin, bench(tenants=[acme(origin)]) as gateway:
        stream = (await gateway.create(SONG))["id"]
        markup["/"] = (
            f'<script type="module" src="{gateway.url}/wavegate-player.js"></script>'
            "<style>wavegate-player { --wavegate-accent: rgb(1, 2, 3) }</style>"
            f'<wavegate-player stream="{stream}" ticket="{await mint(gateway, stream)}" lang="en">'
            "</wavegate-player>"
        )
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE)
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        await page.add_init_script(EVENTS)
        await page.goto(origin)
        button = page.locator("wavegate-player button")
        await expect(button).to_have_css("background-color", "rgb(1, 2, 3)")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await expect(button).to_have_accessible_name("Pause")
        await page.wait_for_function("() => document.querySelector('wavegate-player').song.currentTime > 0.5")
        await page.keyboard.press("Space")
        await expect(button).to_have_accessible_name("Play")
        await expect(page.locator("wavegate-player .status")).to_have_text("Paused")
        await page.wait_for_function("() => window.heard.includes('verified')")
        heard = await page.evaluate("() => window.heard")
        await expect(page.locator("wavegate-player .title")).to_have_text(TITLE)
        # What has failed before it sounded does not claim to play: the next press tries again.
        await page.locator("wavegate-player").evaluate("(player) => player.setAttribute('ticket', 'wt_none')")
        await page.keyboard.press("Space")
        await expect(page.locator("wavegate-player .status")).to_have_text(
            "The ticket for this song is not valid any more"
        )
        await expect(button).to_have_accessible_name("Play")
        # With a good ticket it goes on by itself: it was to play.
        ticket = await mint(gateway, stream)
        await page.locator("wavegate-player").evaluate("(player, good) => player.setAttribute('ticket', good)", ticket)
        await expect(page.locator("wavegate-player .status")).to_have_text("Playing")
        await expect(button).to_have_accessible_name("Pause")
        await page.close()
    assert {"queued", "buffering", "playing", "paused", "started", "completed", "verified"} >= set(heard)
    assert [one for one in heard if one in ("started", "playing", "paused")] == ["started", "playing", "paused"]
    assert complaints == []


async def test_the_snippets_fit_into_a_page(browser: Browser, visit: Visit) -> None:
    """As the page gives them out, in a page with a style of its own: nothing moves, shines through or is shouted."""
    markup = {"/": "", "/frame": ""}
    async with pages(markup) as origin, bench(tenants=[acme(origin)]) as gateway:
        song = {"id": "st_x", "ticket": "wt_x", "tenant": "acme", "extension": "mp3"}
        teller = await visit(f"{gateway.url}/share.js", forgiven="Failed to load resource")
        ways = await teller.evaluate(
            f"async () => (await import('/share.js')).ways('{gateway.url}', {json.dumps(song)})"
        )
        style = "background: #cfe; letter-spacing: 5px; word-spacing: 9px; text-transform: uppercase; text-align: right"
        markup["/"] = f'<body style="{style}"><h1>A page</h1>{ways["embed"]}<p>after it</p>'
        markup["/frame"] = f'<body style="{style}"><h1>A page</h1>{ways["frame"]}<p>after it</p>'
        page = await browser.new_page(color_scheme="dark")
        page.set_default_timeout(PATIENCE)
        painted = asyncio.Event()

        async def late(route: Route) -> None:
            await painted.wait()
            await route.continue_()

        await page.route("**/wavegate-player.js", late)
        await page.add_init_script(SHIFTS)
        await page.goto(origin, wait_until="commit")
        await page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
        painted.set()
        box = page.locator("wavegate-player .box")
        for name, usual in (
            ("letter-spacing", "normal"),
            ("word-spacing", "0px"),
            ("text-transform", "none"),
            ("text-align", "start"),
        ):
            await expect(box).to_have_css(name, usual)
        await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert await page.evaluate("() => window.shifts") == []
        await page.goto(f"{origin}/frame")
        await expect(page.frame_locator("iframe").locator("button")).to_be_visible()
        place = await page.locator("iframe").bounding_box()
        assert place is not None
        corner: FloatRect = {"x": place["x"], "y": place["y"], "width": 1, "height": 1}
        assert pixel(await page.screenshot(clip=corner)) == (0xCC, 0xFF, 0xEE)
        await page.close()


async def test_a_frame_stands_only_in_the_tenants_pages(browser: Browser) -> None:
    """In a page of the tenant it plays; in a page of another origin the browser itself refuses to show it."""
    markup = {"/": ""}
    async with pages(markup) as allowed, pages(markup) as forbidden, bench(tenants=[acme(allowed)]) as gateway:
        stream = (await gateway.create(SONG))["id"]
        frame = f"{gateway.url}/embed?tenant=acme&lang=zh#stream={stream}&ticket={await mint(gateway, stream)}"
        markup["/"] = f'<iframe src="{frame}" allow="autoplay" title="Wavegate"></iframe>'
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE)
        await page.goto(allowed)
        inside = page.frame_locator("iframe")
        await inside.locator("button").click()
        await expect(inside.locator("button")).to_have_accessible_name("暂停")
        # While it is made, or, where the browser takes its time, when it has been made.
        await expect(inside.locator(".status")).to_have_text(re.compile("边生成边播放|正在播放"))
        refused = asyncio.Event()
        page.on("console", lambda said: refused.set() if "frame-ancestors" in said.text else None)
        await page.goto(forbidden)
        async with asyncio.timeout(PATIENCE / 1000):
            await refused.wait()
        assert await page.frames[1].locator("wavegate-player").count() == 0
        await page.close()


def pixel(png: bytes) -> tuple[int, ...]:
    """Red, green and blue of the first pixel of an 8-bit picture, and its alpha if it has any."""
    channels = {b"\x08\x02": 3, b"\x08\x06": 4}[png[24:26]]
    data, at = b"", 8
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        data += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    # The first pixel of the first line is what it is under every filter.
    return tuple(zlib.decompress(data)[1 : 1 + channels])


async def test_the_overlay_has_no_ground(gateway: Demo, need: Callable[[str], str]) -> None:
    """Nothing in the corner; title and spectrum while the song sounds, untouched as in OBS; nothing after its end."""
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer demo"}) as http:
        async with http.post(f"{gateway.url}/v1/streams", json={"input": {"prompt": SONG}}) as answer:
            stream = (await answer.json())["id"]
        async with http.post(f"{gateway.url}/v1/tickets", json={"stream_id": stream, "uses": 0}) as answer:
            ticket = (await answer.json())["ticket"]
    said: asyncio.Queue[str] = asyncio.Queue()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=need("chromium"), args=[*ARGUMENTS, AS_OBS])
        page = await browser.new_page(viewport={"width": 800, "height": 450})
        page.on("console", lambda message: said.put_nowait(f"{message.type} {message.text}"))
        await page.add_init_script(TELL)
        await page.goto(f"{gateway.url}/overlay?bars=12&lyrics=0#stream={stream}&ticket={ticket}")
        async with asyncio.timeout(3 * PATIENCE / 1000):
            assert await said.get() == "debug false"
            assert await said.get() == "debug true"
            assert pixel(await page.screenshot(omit_background=True)) == (0, 0, 0, 0)
            assert await said.get() == "debug false"
        assert await page.inner_text("#title") == TITLE
        assert await page.locator("#line").is_hidden()
        # The shadow of the title reaches as far as this to its left; where the title is cut off there must be room.
        assert await page.evaluate("() => parseFloat(getComputedStyle(title).paddingLeft)") >= 14
        await browser.close()
