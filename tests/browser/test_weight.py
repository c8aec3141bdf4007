"""How much the player page weighs, as it comes over the wire.

Invariant under test: the page and all it loads before anything is clicked is small enough for a bad mobile network, and
a second visit costs next to nothing. It must not know what is on the page.
"""

from playwright.async_api import Page

from tests.browser.conftest import Demo, Visit

MOST = 100_000  # bytes

WEIGHT = """() => {
  const loaded = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
  return loaded.map(({ name, transferSize: wire, encodedBodySize: body }) => [name.split('/').pop(), wire, body]);
}"""


async def weighed(page: Page) -> list[tuple[str, int, int]]:
    """Name, bytes on the wire with an estimate of the head, and bytes of the body, of everything that was loaded."""
    await page.wait_for_load_state("networkidle")
    found: list[tuple[str, int, int]] = await page.evaluate(WEIGHT)
    return found


async def test_the_page_is_light(gateway: Demo, visit: Visit) -> None:
    """All of it, heads included, is less than 100 KB; when it is loaded again nothing but heads is sent."""
    page = await visit(gateway.url)
    files = await weighed(page)
    assert "player.js" in [name for name, _, _ in files]
    total = sum(size for _, size, _ in files)
    print(f"{len(files)} files, {total} bytes")
    assert sum(body for _, _, body in files) < total < MOST, files
    await page.reload()
    again = await weighed(page)
    assert len(again) == len(files)
    assert sum(size for _, size, _ in again) < total / 5, again
