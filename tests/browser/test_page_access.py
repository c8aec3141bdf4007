"""The player page for everybody: no mouse, no eyes, other languages, other colours, small screens, calm layouts.

Invariant under test: in each state the page is free of what axe-core calls a violation, in both languages and both
colours, on a phone and on a desk; nothing jumps; everything can be done with the keys alone.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PATIENCE, Visit

pytestmark = pytest.mark.nightly

expect.set_options(timeout=PATIENCE)

LONG = "[[scale seconds=30 speed=2]] a long scale for everybody"
# Moves of what was there already, but for those that the visitor has just asked for.
SHIFTS = """
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue;
      const moved = entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName);
      window.shifts.push([entry.value, ...moved]);
    }
  }).observe({ type: 'layout-shift', buffered: true });
"""
PLACE = "(element) => element.getBoundingClientRect().top + scrollY"
RING = """() => {
  const [paper, meter] = [document.querySelector('.paper'), document.getElementById('fill')];
  const { outlineOffset, outlineWidth } = getComputedStyle(paper);
  const ring = parseFloat(outlineOffset) + parseFloat(outlineWidth);
  return meter.getBoundingClientRect().top - paper.getBoundingClientRect().bottom - ring;
}"""
SCHEMES: tuple[Any, ...] = ("light", "dark")
SIZES = ((1280, 900), (390, 844), (360, 740), (320, 640))
NAMED = {"slider", "button", "radio", "link", "checkbox", "combobox", "textbox", "tab"}
LOCALES = {"en": "en-US", "zh": "zh-CN"}
FADES = {"en": ("Fade in", "Fade out"), "zh": ("淡入", "淡出")}
FITS = {"en": ("too short", "fits", "too long"), "zh": ("太短", "正合适", "太长")}


async def controls(page: Page) -> set[tuple[str, str]]:
    """Role and name of all that can be worked, as the browser tells them to a screen reader."""
    client = await page.context.new_cdp_session(page)
    nodes = (await client.send("Accessibility.getFullAXTree"))["nodes"]
    await client.detach()
    told = [(node["role"]["value"], node["name"]["value"]) for node in nodes if not node["ignored"]]
    return {(role, name) for role, name in told if role in NAMED}


async def violations(page: Page) -> list[str]:
    """What axe-core finds in both colours and all sizes; what is nameless, too wide, or too small for a thumb."""
    found = [f"{role} without a name" for role, name in await controls(page) if not name.strip()]
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        for width, height in SIZES:
            await page.set_viewport_size({"width": width, "height": height})
            if await page.evaluate("() => document.documentElement.scrollWidth") > width:
                found.append(f"wider than {width}")
            # Of the smaller screens the contrasts are the same as of the phone.
            if width >= 390:
                results = await page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
                found += [
                    f"{scheme} {width} {one['id']}: {node['html']} {node['any'] and node['any'][0]['message']}"
                    for one in results["violations"]
                    for node in one["nodes"]
                ]
            found += await page.evaluate(
                """() => [...document.querySelectorAll('button, select, a, summary, .segments label, .check')]
                     .filter((part) => part.checkVisibility({ visibilityProperty: true }))
                     .filter((part) => part.getBoundingClientRect().height < 44)
                     .map((part) => part.outerHTML)"""
            )
    await page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_state_is_for_everybody(
    gateway: Any, visit: Visit, need: Callable[[str], str], language: str
) -> None:
    """Idle, wrong, playing with each panel, failed: no violation in any colour and size, and nothing has jumped."""
    axe = (Path(need("npm:axe-core")) / "axe.min.js").read_text()
    page = await visit(
        gateway.url, script=SHIFTS + axe, locale=LOCALES[language], viewport={"width": 1280, "height": 900}
    )
    await expect(page.locator("#go")).to_be_visible()
    assert await page.get_attribute("html", "lang") == {"en": "en", "zh": "zh-CN"}[language]
    assert await violations(page) == []
    for words, fit in zip((3, 200, 260), FITS[language], strict=True):
        await page.locator("#kind label").nth(1).click()
        await page.fill("#text", "[verse]\n" + "la " * words)
        await expect(page.locator("#fit")).to_have_text(fit)
    await page.click("#go")
    await expect(page.locator("#problem")).to_contain_text("250")
    await expect(page.locator("#text")).to_be_focused()
    await page.click("#more summary")
    if language == "en":
        assert await violations(page) == []
    await page.locator("#kind label").nth(0).click()
    await page.fill("#text", LONG)
    await page.click("#go")
    await expect(page.locator("#stage")).to_have_attribute("data-state", "playing")
    for tab, shown in (("share", "#lines .way"), ("clip", "#clipper"), ("words", "#words .empty")):
        await page.click(f"#tab-{tab}")
        await expect(page.locator(shown).first).to_be_visible()
        if language == "en" or tab == "clip":
            assert await violations(page) == []
        if tab == "clip":
            assert {("slider", name) for name in FADES[language]} <= await controls(page)
    # What has no words of its own has got some: a table that lacks a key would write `undefined`.
    assert "undefined" not in await page.inner_text("body")
    assert language != "zh" or not re.search(r"[A-Za-z]{3,} [a-z]{3,}", await page.inner_text("#stage dl"))
    moved = await page.evaluate("() => window.shifts.filter(([value]) => value > 0)")
    assert moved == []


@pytest.mark.parametrize("width", [390, 375, 360, 320])
async def test_nothing_jumps_while_a_song_is_made(gateway: Any, visit: Visit, width: int) -> None:
    """From the first paint of an empty page to the end of a song that fails, on a phone: a layout shift of 0."""
    page = await visit(gateway.url, script=SHIFTS, viewport={"width": width, "height": 844})
    await page.fill("#text", "[[cut after=3 how=reset]] a song that breaks off")
    await page.click("#go")
    await expect(page.locator("#stage")).to_have_attribute("data-state", "failed")
    await expect(page.locator("#alert")).to_contain_text("upstream_interrupted")
    await expect(page.locator("#save")).to_be_visible()
    assert await page.evaluate("() => window.shifts") == []


@pytest.mark.parametrize("width", [1280, 375])
async def test_what_is_wrong_moves_nothing(gateway: Any, visit: Visit, width: int) -> None:
    """The sentence about a text that is too short has room where the examples were."""
    page = await visit(gateway.url, viewport={"width": width, "height": 844})
    await page.locator("#kind label").nth(1).click()
    await page.fill("#text", "[verse]\nla la la")
    before = await page.locator("#sung").evaluate(PLACE)
    await page.click("#go")
    await expect(page.locator("#problem")).to_contain_text("200–250 words")
    assert await page.locator("#sung").evaluate(PLACE) == before
    # The ring around the text, which has the focus now, keeps clear of the meter below it.
    assert await page.evaluate(RING) >= 4


async def test_space_and_arrows_are_the_songs(gateway: Any, visit: Visit) -> None:
    """Also where the waveform was clicked, or a voice was chosen: there they move neither the page nor the form."""
    page = await visit(gateway.url, viewport={"width": 1280, "height": 600})
    await page.fill("#text", LONG)
    await page.click("#go")
    await page.wait_for_function("() => parseFloat(document.getElementById('generated').textContent) > 8")
    await page.click("#wave", position={"x": 20, "y": 50}, force=True)
    await expect(page.locator("#seek")).to_be_focused()
    scrolled = await page.evaluate("() => scrollY")
    await page.keyboard.press("Space")
    await expect(page.locator("#stage")).to_have_attribute("data-state", "paused")
    before = float(await page.input_value("#seek"))
    await page.keyboard.press("ArrowRight")
    await page.wait_for_function("(from) => Number(document.getElementById('seek').value) >= from + 4", arg=before)
    assert await page.evaluate("() => scrollY") == scrolled
    await page.click("#voice label:nth-child(2)")
    await page.keyboard.press("Space")
    await expect(page.locator("#stage")).to_have_attribute("data-state", "playing")
    assert await page.is_checked("#voice [value=male]")
    await page.focus("#volume")
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#volume")).to_have_attribute("aria-valuetext", "99%")


async def test_the_keys_are_enough(gateway: Any, visit: Visit) -> None:
    """From an empty page to a song that was paused, moved and silenced, in another language, without a mouse."""
    page = await visit(gateway.url)
    await expect(page.locator("#text")).to_be_visible()
    press = page.keyboard.press
    await page.focus("#language")
    await press("Enter")
    await expect(page.locator("h1[data-text=compose]")).to_have_text("创作")
    await press("Enter")
    await expect(page.locator("h1[data-text=compose]")).to_have_text("Compose")
    await press("Tab")
    await press("Enter")
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")
    await press("Tab")
    await press("Enter")
    await expect(page.locator("#keys")).to_be_visible()
    await press("Escape")
    await expect(page.locator("#keys")).to_be_hidden()
    await press("Tab")
    await press("ArrowRight")
    await press("Tab")
    await expect(page.locator("#text")).to_be_focused()
    await press("Alt+2")
    await page.keyboard.type("la")
    assert await page.input_value("#text") == "[verse]\nla"
    await press("Shift+Tab")
    await press("ArrowLeft")
    await press("Tab")
    await page.keyboard.type(LONG)
    for _ in range(30):
        await press("Tab")
        if await page.evaluate("() => document.activeElement.id") == "go":
            break
    await press("Enter")
    await expect(page.locator("#stage")).to_have_attribute("data-state", "playing")
    await press("m")
    await expect(page.locator("#mute")).to_have_attribute("aria-pressed", "true")
    # Right after the key that bought the song: this one must not buy another.
    await press("Space")
    await expect(page.locator("#stage")).to_have_attribute("data-state", "paused")
    await expect(page.locator("#streams li")).to_have_count(1)
    await page.wait_for_function("() => parseFloat(document.getElementById('generated').textContent) > 8")
    await press("ArrowRight")
    await page.wait_for_function("() => parseFloat(document.getElementById('heard').textContent) >= 5")
    await press("ArrowLeft")
    await page.wait_for_function("() => parseFloat(document.getElementById('heard').textContent) < 5")
    await page.focus("#tab-songs")
    await press("ArrowLeft")
    await expect(page.locator("#tab-words")).to_have_attribute("aria-selected", "true")
    await expect(page.locator("#words")).to_be_visible()
    # What was chosen is still so the next time.
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")
