"""Live HLS in a real browser: hls.js, and Chromium's own player, from a song's first second to its end.

Invariant under test: a song that is still made begins at its beginning, is heard without a break, and ends; a ticket
in the playlist's address is enough. Sound is proven by the element's clock and by the loudness of the signal.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, Route

from gateway.app import Gateway
from gateway.config.schema import Config, Transcode
from gateway.config.server import Server
from tests.browser.conftest import Demo, Visit
from tests.browser.listening import ICON, NOWHERE, SCRIPT

SECONDS = 6.0
LIVE = f"[[scale seconds={SECONDS:g} speed=1 wait=0.2]] a scale that is heard while it is made"
AHEAD = "[[scale seconds=4 speed=2 wait=0.2]] a scale that is made faster than it is heard"
TORN = "[[scale seconds=5 speed=10 garbage after=3 size=9000]] a scale of which a part is lost on its way"

PAGE = """<!doctype html><title>HLS</title><audio id="it"></audio><script src="/hls.js"></script>"""

# Plays an address and gives back what happened, with the times at which it did, when it has ended.
PLAY = """async ({url, native, rate}) => {
  const it = document.getElementById('it');
  const asked = performance.now();
  const told = { waits: 0, troubles: [], positions: [] };
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaElementSource(it).connect(analyser).connect(context.destination);
  await context.resume();
  const sounds = () => {
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
  };
  const ended = new Promise((done, fail) => {
    setTimeout(() => fail(new Error(`no end: ${JSON.stringify(told)} at ${it.currentTime}`)), 25000);
    it.addEventListener('ended', done);
    it.addEventListener('error', () => fail(new Error(it.error.message)));
  });
  it.addEventListener('playing', () => {
    told.began ??= { after: performance.now() - asked, at: it.currentTime };
  });
  it.addEventListener('waiting', () => { if (told.began) told.waits += 1; });
  let hls = null;
  if (native) {
    it.src = url;
  } else {
    hls = new Hls(window.options ?? {});
    hls.on(Hls.Events.LEVEL_LOADED, (_, {details}) => {
      if (!details.live) told.whole ??= performance.now() - asked;
    });
    hls.on(Hls.Events.ERROR, (_, {details, fatal}) => told.troubles.push(`${details}${fatal ? ' fatal' : ''}`));
    hls.loadSource(url);
    hls.attachMedia(it);
  }
  it.playbackRate = it.defaultPlaybackRate = rate;
  const clock = setInterval(() => {
    if (sounds() > 0.02) told.heard ??= performance.now() - asked;
    told.positions.push([performance.now() - asked, it.currentTime]);
  }, 50);
  await it.play();
  await ended;
  clearInterval(clock);
  told.ended = performance.now() - asked;
  told.end = it.currentTime;
  hls?.destroy();
  return told;
}"""


@pytest.fixture
async def gateway() -> AsyncIterator[Demo]:
    """As everywhere here, but it encodes in threads: a machine that is busy with tests starves processes that yield."""
    config = Config(server=Server(port=0, internal_port=0), transcode=Transcode(workers=0))
    async with Gateway(config, None, demo=True) as running:
        yield Demo(running.addresses.public)


async def order(gateway: Demo, prompt: str) -> str:
    """The address of a new song's playlist, for somebody with a ticket."""
    headers = {"Authorization": "Bearer demo"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(20)) as http:
        async with http.post(f"{gateway.url}/v1/streams", json={"input": {"prompt": prompt}}) as response:
            stream = await response.json()
        body = {"stream_id": stream["id"], "uses": 1}
        async with http.post(f"{gateway.url}/v1/tickets", json=body) as response:
            ticket = (await response.json())["ticket"]
    return f"{stream['urls']['hls']}?ticket={ticket}"


@pytest.fixture
def library(need: Any) -> Path:
    """hls.js as a page loads it."""
    return Path(need("npm:hls.js")) / "dist/hls.light.js"


async def page_of(visit: Visit, gateway: Demo, library: Path) -> Page:
    """A page of the gateway's own origin that has hls.js."""

    async def prepare(page: Page) -> None:
        async def html(route: Route) -> None:
            await route.fulfill(body=PAGE, content_type="text/html")

        async def script(route: Route) -> None:
            await route.fulfill(path=library, content_type="text/javascript")

        await page.route("**/hls-page", html)
        await page.route("**/hls.js", script)
        await page.route("**/favicon.ico", lambda route: route.fulfill(status=204))

    return await visit(f"{gateway.url}/hls-page", prepare=prepare)


async def play(page: Page, url: str, *, native: bool = False, rate: float = 1.0) -> Any:
    return await page.evaluate(PLAY, {"url": url, "native": native, "rate": rate})


def pauses(told: Any) -> float:
    """The longest time in ms for which the element's clock stood still between its first move and its end."""
    moving = [(at, position) for at, position in told["positions"] if 0 < position < told["end"]]
    longest, since = 0.0, moving[0]
    for at, position in moving:
        if position > since[1]:
            since = (at, position)
        longest = max(longest, at - since[0])
    return longest


async def test_a_song_is_heard_while_it_is_made(gateway: Demo, visit: Visit, library: Path) -> None:
    """hls.js, at real time, with a ticket for a single use: from the first second, without a break, to `ended`."""
    page = await page_of(visit, gateway, library)
    url = await order(gateway, LIVE)
    told = await play(page, url)
    assert told["troubles"] == []
    assert told["began"]["at"] < 0.2
    assert told["waits"] == 0
    assert pauses(told) < 500
    assert told["heard"] < told["ended"] - 1000 * (SECONDS - 1.0)
    assert told["whole"] > told["heard"] + 1000  # it was far from whole when it was heard
    assert told["end"] == pytest.approx(SECONDS, abs=0.1)


async def test_other_ways_to_hear_it(gateway: Demo, visit: Visit, library: Path) -> None:
    """Whoever joins late begins at the beginning; a song with a hole is heard to its end; Chromium needs no script."""
    pages = [await page_of(visit, gateway, library) for _ in range(3)]
    late, torn, plain = [await order(gateway, prompt) for prompt in (AHEAD, TORN, AHEAD)]
    # A song that is there in part, because somebody else hears it.
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer demo"}) as http, http.get(late) as response:
        assert (await response.text()).count(".m4s") >= 3
    heard = await asyncio.gather(play(pages[0], late), play(pages[1], torn), play(pages[2], plain, native=True))
    for told, seconds in zip(heard, (4.0, 5.0, 4.0), strict=True):
        assert told["troubles"] == []
        assert told["began"]["at"] < 0.2
        assert told["heard"] > 0
        assert told["end"] == pytest.approx(seconds, abs=0.15)
    assert heard[0]["waits"] == 0


@pytest.mark.nightly
async def test_the_sdk_without_mediasource_takes_hls(gateway: Demo, visit: Visit) -> None:
    """Where nothing can be appended and HLS can be played, the element fetches the song itself, and hears its end."""
    script = "delete window.MediaSource; delete window.ManagedMediaSource;"
    page = await visit(f"{gateway.url}{NOWHERE}", script=script + SCRIPT, forgiven=ICON)
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    facts = await page.evaluate(
        """async (prompt) => {
             const gate = await gateFor();
             const song = gate.create({ prompt });
             song.play();
             return heard(song);
           }""",
        AHEAD,
    )
    assert (facts["states"][-1], facts["sink"]) == ("ended", "element")
    assert facts["why"].startswith("HLS by an audio element")
    assert facts["time"] == pytest.approx(4.0, abs=0.15)
    assert any("/hls/" in url for url in fetched)
