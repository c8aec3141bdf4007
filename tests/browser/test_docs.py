"""The page of the documents in Chromium: read, walked through by keyboard, narrowed, on a phone, without scripts.

Invariant: nothing is asked of another host, and axe finds nothing that would keep anybody from reading it.
It must not know what the documents say beside a name or two.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Page, ViewportSize

from tests.browser.conftest import Demo, Visit

WIDE = ViewportSize(width=1280, height=900)
TABLET = ViewportSize(width=820, height=1180)
PHONE = ViewportSize(width=390, height=844)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# axe finds colours and names; it does not see what is folded away.
UNFOLD = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
# axe takes a second for each hundred words, and the parts of a section are alike: three of each are enough.
SHORTEN = """for (const section of document.querySelectorAll('section')) {
  for (const part of [...section.querySelectorAll(':scope > article')].slice(3)) part.remove();
}"""
AUDIT = """async () => {
  const found = await axe.run(document);
  return [found.passes.length, found.violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`)];
}"""


async def test_everybody_can_read_it(gateway: Demo, visit: Visit, need: Callable[[str], str]) -> None:
    """Nothing sticks out on any screen, and axe has nothing to say, folded out and in either colours."""
    # The policy of the page would not let a test's script in.
    page: Page = await visit(f"{gateway.url}/docs", viewport=WIDE, bypass_csp=True)
    await page.evaluate(UNFOLD)
    await page.add_script_tag(path=Path(need("npm:axe-core")) / "axe.min.js")
    for size in (WIDE, TABLET, PHONE):
        await page.set_viewport_size(size)
        inside, there = await page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert inside == there, size
    await page.evaluate(SHORTEN)
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        passed, wrong = await page.evaluate(AUDIT)
        assert (passed > 20, wrong) == (True, []), scheme


async def test_it_is_walked_through_by_keyboard(gateway: Demo, visit: Visit) -> None:
    """The first key leads past the contents; an entry of the contents leads to its part of the page."""
    page: Page = await visit(f"{gateway.url}/docs", viewport=WIDE)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "To the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "content"
    await page.get_by_role("link", name="stream.attach", exact=True).first.press("Enter")
    await page.wait_for_url("**/docs#message-stream-attach")
    top = await page.evaluate("document.getElementById('message-stream-attach').getBoundingClientRect().top")
    assert 0 <= top < 200


async def test_the_contents_are_narrowed_to_a_word(gateway: Demo, visit: Visit) -> None:
    """What does not hold it is hidden, with what leads to nothing; an empty word shows all again."""
    page: Page = await visit(f"{gateway.url}/docs", viewport=WIDE)
    entries = page.locator("nav li a:visible")
    all_of_them = await entries.count()
    await page.fill("#query", "ticket")
    assert await entries.all_inner_texts() == ["HTTP", "Tickets", "POST /tickets"]
    await page.fill("#query", "no such word")
    assert await entries.count() == 0
    assert await page.locator("#nothing").is_visible()
    await page.fill("#query", "")
    assert await entries.count() == all_of_them


async def test_on_a_phone_the_contents_are_folded(gateway: Demo, visit: Visit) -> None:
    """And fold again behind whoever has chosen; on a screen that grows they are there."""
    page: Page = await visit(f"{gateway.url}/docs", viewport=PHONE)
    contents = page.locator("#contents")
    assert await contents.get_attribute("open") is None
    await page.get_by_text("Contents", exact=True).click()
    await page.locator("nav").get_by_role("link", name="Close codes").click()
    assert await contents.get_attribute("open") is None
    await page.set_viewport_size(WIDE)
    await page.wait_for_function("document.getElementById('contents').open")


async def test_it_needs_no_script(gateway: Demo, visit: Visit) -> None:
    """Without one the contents are there, and only the filter is not."""
    options: dict[str, Any] = {"viewport": PHONE, "java_script_enabled": False}
    page: Page = await visit(f"{gateway.url}/docs", **options)
    assert await page.locator("nav").get_by_role("link", name="Error codes").is_visible()
    assert not await page.locator("#query").is_visible()
    assert await page.locator("#op-createstream").is_visible()
