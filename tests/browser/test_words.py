"""What others wrote, on the page, in the list of songs and on the overlay.

Invariant under test: whoever orders a song puts words into other people's browsers, and nothing else: no element, no
script, no address that is asked. The browser itself refuses scripts in a page, too; here none gets that far.
"""

import re

import aiohttp
from playwright.async_api import Page, expect

from tests.browser.conftest import PATIENCE, Demo, Visit

expect.set_options(timeout=PATIENCE)

MARK = "[[scale seconds=2 speed=1]]"
WORDS = (
    '<img src="http://127.0.0.1:9/x" onerror="window.hit=1"><script>window.hit=1</script>'
    '"><svg onload=window.hit=1> ${window.hit=1} javascript:window.hit=1 <b>rain</b> on a quiet street'
)
FOREIGN = """() => ({ hit: window.hit ?? null,
  elements: [...document.querySelectorAll('#stage img, #songs img, [onerror], [onload], b, script:not([src])')]
    .map((one) => one.outerHTML) })"""


async def harmless(page: Page) -> None:
    assert await page.evaluate(FOREIGN) == {"hit": None, "elements": []}


async def test_words_are_only_words(gateway: Demo, visit: Visit) -> None:
    """A prompt full of markup is shown as it was written, wherever it is shown."""
    page = await visit(gateway.url)
    await page.fill("#text", f"{MARK}\n{WORDS}")
    await page.click("#go")
    await expect(page.locator("#title")).to_contain_text('onerror="window.hit=1"><script>')
    await page.click("#tab-songs")
    await expect(page.locator("#songs")).to_contain_text("onerror")
    await harmless(page)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer demo"}) as http:
        async with http.get(f"{gateway.url}/v1/streams") as answer:
            stream = (await answer.json())["streams"][0]["id"]
        async with http.post(f"{gateway.url}/v1/tickets", json={"stream_id": stream, "uses": 0}) as answer:
            ticket = (await answer.json())["ticket"]
    overlay = await visit(f"{gateway.url}/overlay#stream={stream}&ticket={ticket}")
    await expect(overlay.locator("#title")).to_have_text(re.compile("window.hit=1.><script>"))
    await harmless(overlay)
