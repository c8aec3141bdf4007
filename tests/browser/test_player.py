"""The player page in a real browser: what a visitor hears, sees and is told.

Invariant under test: a click brings sound that is really there, and the page says in words whatever went wrong.
Sound is proven by the element's clock and by the loudness of the signal, never by a `playing` event.
"""

import asyncio
import re
import time
from typing import Any

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.conftest import PATIENCE, Visit

expect.set_options(timeout=PATIENCE)

LONG = "[[scale seconds=20 speed=2]] a long scale for the browser bench"
SHORT = "[[scale seconds=4 speed=4]] a short scale for the browser bench"


# Whatever the driver runs in a page counts as a touch of the visitor's; so this page says its state to the console.
TELL = """
  addEventListener('DOMContentLoaded', () => {
    const stage = document.getElementById('stage');
    new MutationObserver(() => console.debug(stage.dataset.state)).observe(stage, { attributes: true });
  });
"""


async def compose(page: Page, prompt: str) -> None:
    await page.fill("#text", prompt)
    await page.click("#go")


async def in_state(page: Page, state: str) -> None:
    await expect(page.locator("#stage")).to_have_attribute("data-state", state)


async def seconds(page: Page, fact: str) -> float:
    """One of the instruments that are in seconds."""
    return float((await page.inner_text(f"#{fact}")).removesuffix(" s"))


async def is_heard(page: Page) -> None:
    """The clock runs with the wall's, and the signal is louder than silence."""
    await in_state(page, "playing")
    await page.wait_for_function("() => window.loudness() > 0.02")
    began, position = time.monotonic(), await seconds(page, "heard")
    await page.wait_for_function(
        "(from) => parseFloat(document.getElementById('heard').textContent) > from + 0.8", arg=position
    )
    assert time.monotonic() - began > 0.4


async def test_a_click_brings_sound(gateway: Any, visit: Visit) -> None:
    """After one click the song is heard, its first sound is timed, and the badge says that it is simulated."""
    page = await visit(gateway.url)
    await compose(page, LONG)
    await is_heard(page)
    await expect(page.locator("#firstSound")).to_have_text(re.compile(r"^(\d+ ms|\d\.\d s)$"))
    await expect(page.locator("#simulated")).to_be_visible()
    await expect(page.locator("#stalls")).to_have_text("0")


async def test_pause_is_silence_and_play_goes_on(gateway: Any, visit: Visit) -> None:
    """Space pauses where the song stands, and the button goes on from there."""
    page = await visit(gateway.url)
    await compose(page, LONG)
    await is_heard(page)
    # The focus is where the click was; the key is the song's all the same, and buys no other one.
    await page.keyboard.press("Space")
    await in_state(page, "paused")
    await page.wait_for_function("() => window.loudness() < 0.001")
    await page.click("#toggle")
    await is_heard(page)
    await expect(page.locator("#streams li")).to_have_count(1)


async def test_a_whole_song_is_verified_and_can_be_saved(gateway: Any, visit: Visit) -> None:
    """At the end the page has checked the hash of what it heard, and offers the file."""
    page = await visit(gateway.url)
    await compose(page, SHORT)
    await in_state(page, "ended")
    await expect(page.locator("#verified")).to_have_text("verified")
    async with page.expect_download() as download:
        await page.click("#save")
    assert (await download.value).suggested_filename.endswith(".mp3")


async def test_a_second_page_joins_the_same_song(gateway: Any, visit: Visit) -> None:
    """Who joins from the list hears the song from its start, and has the very same bytes at the end."""
    page = await visit(gateway.url)
    await compose(page, SHORT)
    await in_state(page, "playing")
    other = await visit(gateway.url)
    await other.locator("#streams button").first.click()
    await is_heard(other)
    for one in (page, other):
        await in_state(one, "ended")
        await expect(one.locator("#verified")).to_have_text("verified")
    assert await page.inner_text("#bytes") == await other.inner_text("#bytes")


async def test_a_second_tab_joins_at_the_live_edge(gateway: Any, visit: Visit) -> None:
    """The second listener's tab begins near the newest sound, not at the beginning."""
    page = await visit(gateway.url)
    await compose(page, LONG)
    await page.wait_for_function("() => parseFloat(document.getElementById('generated').textContent) > 5")
    said: asyncio.Queue[str] = asyncio.Queue()
    await page.context.add_init_script(TELL)
    async with page.context.expect_page() as opened:
        page.context.on("console", lambda message: said.put_nowait(message.text))
        await page.click("#second")
    tab = await opened.value
    # At once, without a tap of its own: it was opened by a click in a page that sounds.
    async with asyncio.timeout(PATIENCE / 1000):
        while (state := await said.get()) in ("idle", "queued", "buffering"):
            pass
    assert state == "playing"
    # From the song's beginning this would take four seconds and more.
    await tab.wait_for_function("() => parseFloat(document.getElementById('heard').textContent) > 4", timeout=2_000)


async def test_blocked_autoplay_is_a_state_with_a_way_out(gateway: Any, visit: Visit) -> None:
    """A page that was never touched may not sound: it says so, and one tap is enough."""
    page = await visit(gateway.url)
    await compose(page, LONG)
    await in_state(page, "playing")
    link = await page.get_attribute("#second", "href")
    blocked = asyncio.Event()

    async def listen(page: Page) -> None:
        page.on("console", lambda message: blocked.set() if message.text == "blocked" else None)

    other = await visit(f"{gateway.url}{link}", script=TELL, prepare=listen)
    async with asyncio.timeout(PATIENCE / 1000):
        await blocked.wait()
    await expect(other.locator("#status")).to_contain_text("Tap to listen")
    await other.click("#toggle")
    await in_state(other, "playing")


async def test_a_wrong_prompt_is_answered_in_words_at_the_field(gateway: Any, visit: Visit) -> None:
    """The gateway's sentence stands under the text, the text has the focus, and the button can be pressed again."""
    page = await visit(gateway.url)
    await compose(page, "slow piano")
    await expect(page.locator("#fit")).to_have_text("too short")
    await expect(page.locator("#problem")).to_contain_text("5")
    await expect(page.locator("#text")).to_be_focused()
    await expect(page.locator("#go")).to_have_text("Compose and play")
    await page.fill("#text", "")
    await page.click("#go")
    await expect(page.locator("#problem")).to_contain_text("Describe the song")


@pytest.mark.parametrize(("code", "reason"), [(1012, "going_away;retry_after_ms=300"), (4200, "moved")])
async def test_a_cut_connection_loses_no_byte(gateway: Any, visit: Visit, code: int, reason: str) -> None:
    """A connection that closes in mid-song is taken up again where it broke: nothing is lost, nothing comes twice."""
    sockets: list[WebSocketRoute] = []

    def between(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    page = await visit(gateway.url, prepare=lambda page: page.route_web_socket("**/v1/ws", between))
    await compose(page, "[[scale seconds=6 speed=2]] a scale with a break in the middle")
    await page.wait_for_function("() => parseFloat(document.getElementById('generated').textContent) > 1")
    await sockets[-1].close(code=code, reason=reason)
    await in_state(page, "ended")
    await expect(page.locator("#reconnects")).to_have_text("1")
    await expect(page.locator("#verified")).to_have_text("verified")


async def test_a_final_close_code_ends_in_words(gateway: Any, visit: Visit) -> None:
    """After a code that says never, the page does not try again, and tells the visitor why."""
    attempts = 0

    async def refuse(socket: WebSocketRoute) -> None:
        nonlocal attempts
        attempts += 1
        await socket.close(code=4001, reason="bad_credentials")

    page = await visit(gateway.url, prepare=lambda page: page.route_web_socket("**/v1/ws", refuse))
    await expect(page.locator("#alert")).to_contain_text("bad_credentials")
    await asyncio.sleep(1.5)  # longer than the first two back-offs: what must not happen needs its time
    assert attempts == 1


async def test_a_browser_that_cannot_play_pieces_plays_the_whole(gateway: Any, visit: Visit) -> None:
    """Without MediaSource for the format, and without a ticket for its address, the song is heard when it is whole."""
    page = await visit(
        gateway.url,
        script="MediaSource.isTypeSupported = () => false;",
        prepare=lambda page: page.route("**/v1/tickets", lambda route: route.abort()),
        forgiven="Failed to load resource",
    )
    await compose(page, SHORT)
    await in_state(page, "ended")
    await expect(page.locator("#verified")).to_have_text("verified")


async def test_a_full_buffer_loses_no_byte(gateway: Any, visit: Visit) -> None:
    """A piece for which the browser has no room is kept and appended later: the song still plays to its end."""
    script = """
      const append = SourceBuffer.prototype.appendBuffer;
      let count = 0;
      SourceBuffer.prototype.appendBuffer = function (piece) {
        if (++count % 3 === 0) throw new DOMException('full', 'QuotaExceededError');
        window.appended = (window.appended ?? 0) + piece.length;
        return append.call(this, piece);
      };
    """
    page = await visit(gateway.url, script=script)
    await compose(page, SHORT)
    await in_state(page, "ended")
    size = await page.evaluate("() => window.appended")
    assert await page.inner_text("#bytes") == f"{round(size / 1000)} kB"


async def test_the_page_is_served_under_a_strict_policy(gateway: Any, visit: Visit) -> None:
    """The policy allows the page's own files and nothing inline; that the page keeps it is asserted in every test."""
    page = await visit(gateway.url)
    response = await page.request.get(gateway.url)
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert await page.evaluate("() => document.querySelectorAll('[style], script:not([src])').length") == 0
