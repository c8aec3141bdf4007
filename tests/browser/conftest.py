"""A real browser for the tests of the player page: one Chromium for all, driven from each test's own event loop.

Invariant: a test has contexts of its own, which know nothing of another test's and end with it. A page that logs an
error, throws, breaks its content security policy or asks another host for anything fails its test, whatever else the
test looks at.
"""

import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright._impl._driver import compute_driver_executable
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from gateway.app import Gateway
from gateway.config.schema import Config
from gateway.config.server import Server

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 15_000  # ms for anything a page is waited for

# The page makes its AnalyserNode where scripts cannot reach it; this keeps a hand on the newest one. The loudness of
# silence is exactly 0 here, so a song that is not heard cannot pass for a quiet one.
EARS = """
  const Original = window.AnalyserNode;
  window.AnalyserNode = class extends Original {
    constructor(...given) { super(...given); window.ear = this; }
  };
  window.loudness = () => {
    if (!window.ear) return 0;
    const samples = new Float32Array(window.ear.fftSize);
    window.ear.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  };
"""

Visit = Callable[..., Awaitable[Page]]
Prepare = Callable[[Page], Awaitable[None]]


@dataclass(frozen=True)
class Demo:
    """The address of a running demo."""

    url: str


@pytest.fixture
async def gateway() -> AsyncIterator[Demo]:
    """A whole demo gateway, simulator included, on free ports in the test's own loop."""
    config = Config(server=Server(port=0, internal_port=0))
    async with Gateway(config, None, demo=True) as running:
        yield Demo(running.addresses.public)


@pytest.fixture(scope="session")
def chromium(need: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where Chromium is reached, without a window or a sound card: it plays in real time all the same.

    It takes longer to start than most pages take to be looked at.
    """
    options = tmp_path_factory.mktemp("chromium") / "options.json"
    options.write_text(json.dumps({"executablePath": need("chromium"), "args": ARGUMENTS}))
    command = [*compute_driver_executable(), "launch-server", "--browser", "chromium", "--config", str(options)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()
        server.wait(10.0)


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """The browser as this test has it: what it opens is closed with it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect(chromium)
        yield browser
        await browser.close()


@pytest.fixture
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """`await visit(url)` opens a page as a visitor of its own.

    `script` runs before the page's own, `prepare(page)` before it is loaded; console errors that contain `forgiven` are
    the point of a test, not its failure.
    """
    troubles: list[str] = []

    async def open_page(
        url: str, *, script: str = "", prepare: Prepare | None = None, forgiven: str | None = None, **options: Any
    ) -> Page:
        context = await browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        origin = "/".join(url.split("/")[:3])

        def asked(request: Request) -> None:
            if not request.url.startswith((origin, f"blob:{origin}", "data:")):
                troubles.append(f"asked {request.url}")

        def said(message: ConsoleMessage) -> None:
            if message.type == "error" and (forgiven is None or forgiven not in message.text):
                troubles.append(message.text)

        page.on("console", said)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", asked)
        await page.add_init_script(EARS + script)
        if prepare:
            await prepare(page)
        await page.goto(url)
        return page

    yield open_page
    assert troubles == []
