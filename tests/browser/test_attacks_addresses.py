"""Addresses of the gateway's pages as an attacker would write them into a link.

Invariant under test: what stands in a hash or a query is an id, a ticket or a word, wherever a page puts it: no
element, no script, no other door of the gateway. It must not test what a song says: that is `test_words.py`.
"""

from urllib.parse import quote, urlsplit

import pytest
from playwright.async_api import Page, Request

from tests.browser.conftest import Demo, Visit

MARKUP = '"><img src=http://127.0.0.1:9/x onerror=window.hit=1><script>window.hit=1</script>javascript:window.hit=1'
ELSEWHERE = "../models?x="
# What the page of an owner asks for by itself.
LISTS = ("/v1/streams", "/v1/usage")
FOREIGN = """() => ({ hit: window.hit ?? null,
  elements: [...document.querySelectorAll('[onerror], script:not([src]), [href^="javascript:"], base, iframe')]
    .map((one) => one.outerHTML) })"""


@pytest.mark.nightly
async def test_an_address_is_only_an_address(gateway: Demo, visit: Visit) -> None:
    """Markup, and a way to another door, as id, ticket, language, look and format."""
    asked: list[str] = []

    def doors(request: Request) -> None:
        if (path := urlsplit(request.url).path).startswith("/v1/") and path not in LISTS:
            asked.append(path)

    async def listening(page: Page) -> None:
        page.on("request", doors)

    for path, hostile in (("", MARKUP), ("embed", MARKUP), ("overlay", MARKUP), ("overlay", ELSEWHERE)):
        word = quote(hostile, safe="")
        query = "&".join(f"{name}={word}" for name in ("theme", "lang", "format", "font", "bars", "autoplay", "tenant"))
        ticket = "" if path == "" else f"&ticket={word}"
        page = await visit(
            f"{gateway.url}/{path}?{query}#stream={word}&since={word}{ticket}",
            prepare=listening,
            forgiven="Failed to load resource",
        )
        await page.wait_for_load_state("networkidle")
        assert await page.evaluate(FOREIGN) == {"hit": None, "elements": []}, (path, hostile)
        await page.context.close()
    assert asked, "the pages ask for the stream of their address"
    assert {urlsplit(one).path.count("/") for one in asked} == {3}, asked
    assert all(one.startswith("/v1/streams/") for one in asked), asked
