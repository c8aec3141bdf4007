"""What the player page lets one do with a song: hand it on, cut a clip of it, find it again.

Invariant under test: every address the page gives out works, a clip is real sound of the length that was chosen, and
the list is the tenant's, page by page.
"""

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import av
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PATIENCE, Visit

pytestmark = pytest.mark.nightly

expect.set_options(timeout=PATIENCE)

WEB = Path(__file__).parents[2] / "gateway" / "web"
SONG = "[[scale seconds=12 speed=12]] a scale to cut pieces of"
SHORT = "[[scale seconds=1 speed=20]] a scale that is over at once"
OWNER = {"Authorization": "Bearer demo"}


async def compose(page: Page, prompt: str) -> None:
    await page.fill("#text", prompt)
    await page.click("#go")
    await expect(page.locator("#stage")).to_have_attribute("data-state", "playing")


def length(path: Path) -> float:
    """Seconds of sound in the file that are not silent, by decoding all of it."""
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
    assert any(abs(frame.to_ndarray()).max() > 0.02 for frame in frames)
    return sum(frame.samples / frame.sample_rate for frame in frames)


async def test_every_way_to_a_song_works(gateway: Any, visit: Visit) -> None:
    """A line for a player gives the audio, and the link a page that plays and sells nothing."""
    page = await visit(gateway.url, permissions=["clipboard-read", "clipboard-write"])
    await compose(page, SONG)
    await page.click("#tab-share")
    ways = page.locator("#lines .way")
    await expect(ways).to_have_count(7)
    await ways.nth(4).locator("button").click()
    await expect(ways.nth(4).locator("[role=status]")).to_have_text("Copied")
    line = await page.evaluate("() => navigator.clipboard.readText()")
    url = re.fullmatch(r'curl -N -o song\.mp3 "(.+)"', line)
    assert url is not None
    async with aiohttp.ClientSession() as http, http.get(url[1]) as response:
        assert (response.status, response.content_type) == (200, "audio/mpeg")
        assert len(await response.read()) > 100_000
    ticket = re.search(r"ticket=(wt_[\w-]+)", line)
    assert ticket is not None
    for index, text in enumerate(await ways.locator("code").all_inner_texts()):
        assert ticket[1] in text, index
    assert "/embed?tenant=demo#" in await ways.nth(2).inner_text()
    guest = await visit(await ways.nth(0).locator("code").inner_text())
    await expect(guest.locator("#desk")).to_be_hidden()
    await expect(guest.locator("#tab-share")).to_be_hidden()
    await expect(guest.locator("#stage")).to_have_attribute("data-state", re.compile("blocked|playing"))
    if await guest.get_attribute("#stage", "data-state") == "blocked":
        await guest.click("#toggle")
    await expect(guest.locator("#stage")).to_have_attribute("data-state", "playing")


@pytest.mark.parametrize(("form", "loop", "seconds"), [("wav", False, 4.0), ("mp3", True, 2.5)])
async def test_a_clip_is_what_was_chosen(
    gateway: Any, visit: Visit, tmp_path: Path, form: str, loop: bool, seconds: float
) -> None:
    """Handles moved by keys, a fade or a loop, a loudness: the file is sound, and as long as the page said."""
    page = await visit(gateway.url)
    await compose(page, SONG)
    await page.wait_for_function("() => parseFloat(document.getElementById('generated').textContent) > 11")
    await page.click("#tab-clip")
    start, stop = page.locator("#clipper [name=from]"), page.locator("#clipper [name=to]")
    await start.fill("2")
    await stop.fill("6.1")
    await stop.press("ArrowLeft")
    await expect(page.locator("#clipSpan")).to_have_text("0:02.0 – 0:06.0")
    await expect(page.locator("#clipLength")).to_have_text("4.0 s")
    if loop:
        # Its last 2 seconds go into its first ones: half of the clip at most.
        await stop.fill("5")
        await page.check("#clipper [name=loop]")
        await page.click("#clipper [name=preview]")
        await expect(page.locator("#clipper [name=preview]")).to_have_text("Stop")
        await expect(page.locator("#stage")).to_have_attribute("data-state", re.compile("paused|ended"))
        seconds = 1.5
    await page.select_option("#clipper [name=loudness]", "-16")
    await page.select_option("#clipper [name=format]", form)
    async with page.expect_download() as download:
        await page.click("#clipper [type=submit]")
    assert (await download.value).suggested_filename.endswith(f"-clip.{form}")
    await (await download.value).save_as(tmp_path / "clip")
    # An mp3 is whole frames, and its encoder's delay.
    assert length(tmp_path / "clip") == pytest.approx(seconds, abs=0.01 if form == "wav" else 0.1)


async def test_the_list_is_the_tenants_page_by_page(gateway: Any, visit: Visit, tmp_path: Path) -> None:
    """The newest songs with a way to more, a song that can be played again, and the ledger as a file."""
    async with aiohttp.ClientSession(headers=OWNER) as http:
        for _ in range(8):
            async with http.post(f"{gateway.url}/v1/streams", json={"input": {"prompt": SHORT}}) as response:
                stream = (await response.json())["id"]
            async with http.get(f"{gateway.url}/v1/streams/{stream}/audio.mp3") as response:
                await response.read()
    page = await visit(gateway.url)
    rows = page.locator("#streams li")
    await expect(rows).to_have_count(6)
    await page.click("#older")
    await expect(rows).to_have_count(8)
    await expect(page.locator("#older")).to_be_hidden()
    await expect(page.locator("#bought")).to_contain_text("8 this month")
    async with page.expect_download() as download:
        await page.click("#csv")
    await (await download.value).save_as(tmp_path / "table.csv")
    table = (tmp_path / "table.csv").read_text()
    assert len(table.splitlines()) == 9
    await rows.nth(3).locator("button").click()
    await expect(rows.nth(3).locator("button")).to_have_text("Here")
    await expect(page.locator("#stage")).to_have_attribute("data-state", "ended")
    await expect(page.locator("#verified")).to_have_text("verified")


async def test_what_is_left_is_shown_before_anything_is_bought(gateway: Any, visit: Visit) -> None:
    """The owner's page is told its budget when its session begins."""
    page = await visit(gateway.url)
    await expect(page.locator("#atOnce")).to_have_text(re.compile(r"^0 of \d+$"))
    await expect(page.locator("#today")).to_contain_text("0")


async def test_both_languages_have_the_same_words(gateway: Any, visit: Visit) -> None:
    """Both tables of words have the same keys, of the same kinds, all the way down."""
    page = await visit(gateway.url)
    shapes = await page.evaluate(
        """async () => {
             const shape = (value) => value && typeof value === 'object'
               ? Object.fromEntries(Object.entries(value).sort().map(([key, inner]) => [key, shape(inner)]))
               : typeof value;
             const tables = await Promise.all(['en', 'zh'].map((name) => import(`/words-${name}.js`)));
             return tables.map((table) => JSON.stringify(shape(table.default)));
           }"""
    )
    assert json.loads(shapes[0]) == json.loads(shapes[1])
    words = json.loads(shapes[0])
    assert len(words) > 80
    script = "".join(path.read_text() for path in WEB.iterdir() if path.suffix in (".js", ".html"))
    used = set(re.findall(r"\bt\.(\w+)|data-(?:text|label)=\"(\w+)\"|(?:label: |\? |: )'(\w+)'", script))
    assert set(words) - {name for names in used for name in names} == {"name"}
