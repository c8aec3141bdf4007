"""The player page while its gateway, or its visitor, is away: restarts under a song, and a tab in the background.

Invariant under test: a song that is lost is told in words, with what has arrived kept and a way on that works without
loading the page again; whoever looks at something else goes on hearing. The gateway is a program that really ends.
"""

import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import PATIENCE, Demo, Visit
from tests.browser.test_player import compose, in_state, is_heard
from tests.house.programs import Program

pytestmark = pytest.mark.nightly

expect.set_options(timeout=PATIENCE)

ROOT = Path(__file__).parents[2]
SONG = "[[scale seconds=30 speed=1.5]] a scale that is longer than its gateway lives"
# A driven Chromium never hides a page: this is what hiding does to its scripts, and test_firefox.py hides for real.
HIDDEN = """
  let hidden = false;
  for (const name of ['setTimeout', 'setInterval']) {
    const real = window[name];
    window[name] = (act, ms, ...rest) => real(act, hidden ? Math.max(1000, ms ?? 0) : ms, ...rest);
  }
  const paint = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (act) => (hidden ? 0 : paint(act));
  window.hide = () => {
    hidden = true;
    Object.defineProperty(document, 'hidden', { get: () => true });
    Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
    document.dispatchEvent(new Event('visibilitychange'));
  };
"""
Start = Callable[..., Awaitable[Program]]


async def demo(process: Start, port: str = "0") -> tuple[Program, str]:
    """A demo gateway as a program, and its address."""
    flags = ("serve", "--demo", "--port", port, "--internal-port", "0")
    program = await process(sys.executable, "-m", "gateway", *flags, cwd=ROOT, environment={"PYTHONUNBUFFERED": "1"})
    return program, (await program.says(r"^  public    (http://127\.0\.0\.1:\d+)$"))[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "drained"])
async def test_a_gateway_that_is_started_anew(process: Start, visit: Visit, number: signal.Signals) -> None:
    """The song went with it: the page says so, keeps what came, and one click orders another from the new gateway."""
    first, url = await demo(process)
    page = await visit(url, forgiven="")
    await compose(page, SONG)
    await is_heard(page)
    first.send(number)
    if number == signal.SIGTERM:
        # The song may end, and a second signal ends the waiting for it.
        await first.says("running streams may finish")
        first.send(number)
    await first.ends()
    second, _ = await demo(process, url.rpartition(":")[2])
    await in_state(page, "failed")
    await expect(page.locator("#alert")).to_contain_text(re.compile("does not have this song|gateway was stopped"))
    await expect(page.locator("#alert")).to_contain_text("What has arrived stays and can be saved.")
    await expect(page.locator("#save")).to_be_visible()
    await page.click("#act")
    await is_heard(page)
    await expect(page.locator("#notice")).to_be_hidden()
    await page.close()
    await second.stop()


async def test_a_page_in_the_background_goes_on(gateway: Demo, visit: Visit) -> None:
    """Hidden, with its timers slowed down and no pictures asked for, it plays on to the end without a stall."""
    page = await visit(gateway.url, script=HIDDEN)
    await compose(page, "[[scale seconds=8 speed=1]] a scale for somebody who reads something else")
    await in_state(page, "playing")
    await page.evaluate("() => window.hide()")
    await in_state(page, "ended")
    await expect(page.locator("#stalls")).to_have_text("0")
    await expect(page.locator("#verified")).to_have_text("verified")
