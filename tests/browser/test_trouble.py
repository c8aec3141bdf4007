"""The player page when things go wrong: it says what happens, in words, and goes on by itself where it can.

Invariant under test: no order is lost or bought twice, what has arrived stays, and a visitor is never left with a code
alone.
"""

import re
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from gateway.app import Gateway
from gateway.config.schema import Config, Relay, Upstream
from gateway.config.server import Server
from tests.browser.conftest import PATIENCE, Demo, Visit

pytestmark = pytest.mark.nightly

expect.set_options(timeout=PATIENCE)

LONG = "[[scale seconds=30 speed=1]] a scale that takes its time"
OWNER = {"Authorization": "Bearer demo"}


async def compose(page: Page, prompt: str) -> None:
    await page.fill("#text", prompt)
    await page.click("#go")


async def in_state(page: Page, state: str) -> None:
    await expect(page.locator("#stage")).to_have_attribute("data-state", state)


async def ordered(http: aiohttp.ClientSession, url: str, count: int) -> list[str]:
    """So many long songs, one after the other: their ids."""
    streams = []
    for _ in range(count):
        async with http.post(f"{url}/v1/streams", json={"input": {"prompt": LONG}}) as answer:
            streams.append(str((await answer.json())["id"]))
    return streams


async def test_who_must_wait_is_told_and_need_not_ask_again(visit: Visit) -> None:
    """With all slots taken the order is made again by itself, waits in the provider's queue, and then plays."""
    config = Config(server=Server(port=0, internal_port=0), upstream=Upstream(max_concurrency=1))
    async with Gateway(config, None, demo=True) as running, aiohttp.ClientSession(headers=OWNER) as http:
        url = running.addresses.public
        others = await ordered(http, url, 5)
        page = await visit(url)
        await compose(page, LONG)
        await expect(page.locator("#alert")).to_contain_text("Too many songs are being made at once.")
        await expect(page.locator("#countdown")).to_have_text(re.compile(r"again in \d s"))
        await expect(page.locator("#atOnce")).to_have_text("5 of 5")
        await http.delete(f"{url}/v1/streams/{others.pop()}")
        await expect(page.locator("#status")).to_have_text(re.compile("Number 4 in the queue"))
        await expect(page.locator("#notice")).to_be_hidden()
        for other in others:
            await http.delete(f"{url}/v1/streams/{other}")
        await in_state(page, "playing")
        async with http.get(f"{url}/v1/streams") as answer:
            assert len((await answer.json())["streams"]) == 6
        await page.close()  # it would miss its gateway


async def test_a_provider_that_pauses_is_told(visit: Visit) -> None:
    """It is no fault of the network: the page says what it waits for, and plays on when more comes."""
    config = Config(server=Server(port=0, internal_port=0), relay=Relay(silence_seconds=1.0))
    async with Gateway(config, None, demo=True) as running:
        page = await visit(running.addresses.public)
        await compose(page, "[[stall seconds=14 after=2 silence=5 speed=1.5]] a scale that takes a breath")
        await expect(page.locator("#status")).to_contain_text("The provider has paused")
        await expect(page.locator("#status")).to_contain_text("Playing")
        await expect(page.locator("#alert")).to_be_hidden()
        await page.close()  # it would miss its gateway


async def test_a_song_that_breaks_off_is_told_and_kept(gateway: Demo, visit: Visit) -> None:
    """What was heard before the provider failed can be saved; a provider that fails at once is told in words, too."""
    page = await visit(gateway.url, locale="zh-CN")
    await compose(page, "[[cut after=3 how=reset]] a song that breaks off")
    await in_state(page, "failed")
    await expect(page.locator("#sentence")).to_have_text("服务商在歌曲中途中断了。 已收到的部分仍然保留，可以保存。")
    # Nothing is shown as if it were still to come.
    await page.wait_for_function("() => Number(document.getElementById('seek').max) < 5")
    async with page.expect_download() as download:
        await page.click("#save")
    assert (await download.value).suggested_filename.endswith(".mp3")
    await page.click("#language")
    await expect(page.locator("#sentence")).to_contain_text("The provider broke off")
    await compose(page, "[[moderation]] a song that nobody may sing")
    await expect(page.locator("#alert")).to_contain_text("The provider will not sing this text.")
    await expect(page.locator("#stage")).to_have_attribute("data-state", "failed")
    await page.click("#dismiss")
    await expect(page.locator("#notice")).to_be_hidden()
    # Nobody would sing it the next time either: the button has only the words for it.
    await page.click("#toggle")
    await expect(page.locator("#alert")).to_contain_text("The provider will not sing this text.")
    await expect(page.locator("#streams li")).to_have_count(2)


async def test_a_song_that_failed_without_a_sound_is_ordered_by_its_button(gateway: Demo, visit: Visit) -> None:
    """The button does not claim to pause anything, and does what the notice offers, which stands in line on a phone."""
    page = await visit(gateway.url, viewport={"width": 375, "height": 812})
    await compose(page, "[[error]] a song that never comes")
    await in_state(page, "failed")
    left = "(element) => element.getBoundingClientRect().left"
    assert await page.locator("#act").evaluate(left) == await page.locator("#alert").evaluate(left)
    await page.click("#dismiss")
    await expect(page.locator("#toggle")).to_have_accessible_name("Play")
    await page.click("#toggle")
    await in_state(page, "queued")
    await in_state(page, "failed")
    await expect(page.locator("#streams li")).to_have_count(2)


class Door:
    """What is between the page and its gateway, and can be shut: then nothing answers, by socket or by HTTP."""

    def __init__(self, shut: bool = False) -> None:
        self.is_shut = shut
        self._sockets: list[WebSocketRoute] = []

    async def prepare(self, page: Page) -> None:
        await page.route_web_socket("**/v1/ws", self._pass)
        await page.route("**/v1/*", self._ask)
        await page.route("**/wavegate.js", self._look)

    async def shut(self) -> None:
        self.is_shut = True
        await self._sockets[-1].close(code=1001)

    async def _pass(self, socket: WebSocketRoute) -> None:
        if self.is_shut:
            await socket.close(code=1013)
            return
        socket.connect_to_server()
        self._sockets.append(socket)

    async def _ask(self, route: Route) -> None:
        await (route.abort() if self.is_shut else route.continue_())

    async def _look(self, route: Route) -> None:
        await (route.abort() if self.is_shut and route.request.method == "HEAD" else route.continue_())


LOOK = "() => document.dispatchEvent(new Event('visibilitychange'))"
LATER = "() => { const now = performance.now.bind(performance); performance.now = () => now() + 200_000; }"


async def test_a_gateway_that_is_back_is_no_longer_missed(gateway: Demo, visit: Visit) -> None:
    """What said that it does not answer goes by itself; a song that was given up meanwhile can be joined again."""
    door = Door()
    page = await visit(gateway.url, prepare=door.prepare, forgiven="Failed to load resource")
    await expect(page.locator("#atOnce")).to_contain_text("0 of")
    await door.shut()
    await compose(page, LONG)
    await expect(page.locator("#alert")).to_contain_text("The gateway does not answer.")
    door.is_shut = False
    await page.evaluate(LOOK)
    await expect(page.locator("#notice")).to_be_hidden()
    await compose(page, LONG)
    await in_state(page, "playing")
    await door.shut()
    await in_state(page, "reconnecting")
    await page.evaluate(LATER)
    await in_state(page, "failed")
    await expect(page.locator("#alert")).to_contain_text("The gateway does not answer. What has arrived stays")
    door.is_shut = False
    await page.evaluate(LOOK)
    await expect(page.locator("#notice")).to_be_hidden()
    await page.click("#streams button")
    await in_state(page, "playing")
    await expect(page.locator("#streams li")).to_have_count(1)


async def test_a_guest_who_found_nobody_there_tries_again(gateway: Demo, visit: Visit) -> None:
    """The play button is the way on: it joins the song that could not be joined."""
    async with aiohttp.ClientSession(headers=OWNER) as http:
        async with http.post(f"{gateway.url}/v1/streams", json={"input": {"prompt": LONG}}) as answer:
            stream = (await answer.json())["id"]
        async with http.post(f"{gateway.url}/v1/tickets", json={"stream_id": stream, "uses": 0}) as answer:
            ticket = (await answer.json())["ticket"]
    door = Door(shut=True)
    url = f"{gateway.url}/#stream={stream}&ticket={ticket}"
    page = await visit(url, prepare=door.prepare, forgiven="Failed to load resource")
    await in_state(page, "failed")
    await expect(page.locator("#alert")).to_contain_text("The gateway does not answer.")
    door.is_shut = False
    await page.click("#toggle")
    await in_state(page, "playing")
    await expect(page.locator("#notice")).to_be_hidden()


async def test_a_guest_who_came_before_the_song_began_is_told_who_makes_it(visit: Visit) -> None:
    """That it is simulated is known once it has begun; then whoever waited for it is told, too."""
    config = Config(server=Server(port=0, internal_port=0), upstream=Upstream(max_concurrency=1))
    async with Gateway(config, None, demo=True) as running, aiohttp.ClientSession(headers=OWNER) as http:
        url = running.addresses.public
        streams = await ordered(http, url, 2)
        async with http.post(f"{url}/v1/tickets", json={"stream_id": streams[1], "uses": 0}) as answer:
            ticket = (await answer.json())["ticket"]
        page = await visit(f"{url}/#stream={streams[1]}&ticket={ticket}")
        await in_state(page, "queued")
        await expect(page.locator("#simulated")).to_be_hidden()
        await http.delete(f"{url}/v1/streams/{streams[0]}")
        await expect(page.locator("#simulated")).to_be_visible()
        await page.close()  # it would miss its gateway


async def test_a_cut_network_heals_by_itself(gateway: Demo, visit: Visit) -> None:
    """The demo's scissors: the page says that it comes back, and has every byte in the end; offline it says so."""
    page = await visit(gateway.url)
    await expect(page.locator("#cut")).to_be_hidden()
    await compose(page, "[[scale seconds=5 speed=1.5]] a scale with a hole in its network")
    await in_state(page, "playing")
    await page.click("#cut")
    await in_state(page, "reconnecting")
    await expect(page.locator("#status")).to_contain_text("Connection lost")
    await page.evaluate("() => dispatchEvent(new Event('offline'))")
    await expect(page.locator("#alert")).to_contain_text("You are offline")
    await page.evaluate("() => dispatchEvent(new Event('online'))")
    await expect(page.locator("#notice")).to_be_hidden()
    await in_state(page, "ended")
    await expect(page.locator("#reconnects")).to_have_text("1")
    await expect(page.locator("#verified")).to_have_text("verified")


async def test_a_guest_whose_ticket_has_run_out_gives_another(gateway: Demo, visit: Visit) -> None:
    """In the middle of the song the session ends; the page asks for another ticket and plays on with it."""
    async with aiohttp.ClientSession(headers=OWNER) as http:
        async with http.post(f"{gateway.url}/v1/streams", json={"input": {"prompt": LONG}}) as answer:
            stream = (await answer.json())["id"]

        async def ticket() -> str:
            body = {"stream_id": stream, "uses": 0}
            async with http.post(f"{gateway.url}/v1/tickets", json=body) as answer:
                minted: str = (await answer.json())["ticket"]
                return minted

        dead: set[str] = set()
        sockets: list[WebSocketRoute] = []

        async def door(socket: WebSocketRoute) -> None:
            if dead:
                await socket.close(code=4001, reason="credentials_expired")
                return
            socket.connect_to_server()
            sockets.append(socket)

        async def prepare(page: Page) -> None:
            await page.route_web_socket("**/v1/ws", door)

        page = await visit(f"{gateway.url}/#stream={stream}&ticket={await ticket()}", prepare=prepare)
        await expect(page.locator("#stage")).to_have_attribute("data-state", re.compile("blocked|playing"))
        await page.wait_for_function("() => parseFloat(document.getElementById('generated').textContent) > 2")
        dead.add("the first")
        await sockets[0].close(code=4001, reason="credentials_expired")
        await expect(page.locator("#alert")).to_contain_text("This ticket has run out. What has arrived stays")
        await page.click("#act")
        await expect(page.locator("#ticket")).to_be_focused()
        dead.clear()
        await page.fill("#ticket", await ticket())
        await page.press("#ticket", "Enter")
        await expect(page.locator("#stage")).to_have_attribute("data-state", re.compile("blocked|playing"))


async def test_what_no_browser_of_this_kind_can_play_is_not_offered(gateway: Any, visit: Visit) -> None:
    """Formats that cannot be heard are there, but not to be chosen; each other one says what becomes of it."""
    page = await visit(gateway.url)
    await page.click("#more summary")
    disabled = "() => [...document.querySelectorAll('#wish option:disabled')].map((option) => option.textContent)"
    assert all("not in this browser" in text for text in await page.evaluate(disabled))
    await expect(page.locator("#wishWhy")).to_contain_text("This browser gets mp3. As the provider makes it")
    await page.select_option("#wish", "webm")
    await expect(page.locator("#wishWhy")).to_have_text("Converted at the gateway while the song is made.")
    await expect(page.locator("#picks")).to_have_text("fun-music-v1 · webm")
    await compose(page, "[[scale seconds=3 speed=3]] a scale in another format")
    await in_state(page, "ended")
    await expect(page.locator("#format")).to_have_text(re.compile(r"^opus \d+k$"))
    await expect(page.locator("#route")).to_contain_text("webm over a WebSocket")
    # The picture is decoded from the container's pieces, too.
    drawn = """() => {
      const canvas = document.getElementById('wave');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height * 0.45);
      return data.some((value) => value > 0);
    }"""
    assert await page.evaluate(drawn)
    await page.select_option("#wish", "pcm")
    await compose(page, "[[scale seconds=3 speed=3]] a scale without a format")
    await expect(page.locator("#format")).to_have_text("pcm 48 kHz")
    await expect(page.locator("#route")).to_contain_text("pcm over a WebSocket")
    await page.select_option("#wish", "flac")
    await compose(page, "[[scale seconds=3 speed=3]] a scale for the element alone")
    await expect(page.locator("#format")).to_have_text("flac 48 kHz")
    await expect(page.locator("#route")).to_have_text("flac over plain HTTP, played by the audio element.")
