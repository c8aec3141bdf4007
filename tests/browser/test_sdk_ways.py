"""The ways by which the browser SDK brings a song to the ear: which it takes, and where it goes when one is closed.

Invariant under test: the browser is asked and not guessed, every choice is told with its reason, and where one way is
missing the song is heard by the next.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, WebSocketRoute

from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from tests.browser.conftest import PATIENCE, Demo, Visit
from tests.browser.listening import ICON, NOWHERE, SCRIPT
from tests.support.gateway import KEY, bench
from tests.support.line import bad_line
from tests.support.site import site

pytestmark = pytest.mark.nightly

Open = Callable[..., Awaitable[Page]]


@pytest.fixture
async def opened(visit: Visit) -> Open:
    """`await opened(url)`: a page of nobody's at that address; `script` runs before the SDK."""

    async def open_page(url: str, script: str = "", forgiven: str = ICON, **options: Any) -> Page:
        return await visit(f"{url}{NOWHERE}", script=SCRIPT + script, forgiven=forgiven, **options)

    return open_page


CHOOSE = """async (rows) => {
  const { choose } = await import('/capabilities.js');
  const takes = (...mimes) => { MediaSource.isTypeSupported = (mime) => mimes.includes(mime); };
  return rows.map(([mimes, options]) => (takes(...mimes), choose(options)));
}"""
MP3, WEBM, MP4 = "audio/mpeg", 'audio/webm; codecs="opus"', 'audio/mp4; codecs="mp4a.40.2"'


async def test_the_browser_is_asked_what_it_takes(gateway: Demo, opened: Open) -> None:
    """In the measured order, with the reason; a wish that cannot be met gives way to an element, and that is told."""
    page = await opened(gateway.url)
    rows: list[tuple[list[str], dict[str, Any], str, list[Any]]] = [
        ([MP3, WEBM, MP4], {}, "mse", ["mp3", "webm", "mp4"]),
        ([WEBM, MP4], {}, "mse", ["webm", "mp4"]),
        ([MP4], {}, "mse", ["mp4"]),
        ([], {}, "element", ["mp3"]),
        ([MP3, WEBM], {"format": "webm"}, "mse", ["webm"]),
        (
            [MP3, WEBM],
            {"format": ["flac", {"codec": "mp3", "bitrate": 64000}]},
            "mse",
            [{"codec": "mp3", "bitrate": 64000}],
        ),
        ([MP3], {"format": "flac"}, "element", ["flac"]),
        ([MP3], {"format": "pcm"}, "worklet", ["pcm"]),
        ([MP3], {"sink": "worklet"}, "worklet", ["pcm"]),
        ([MP3], {"sink": "element"}, "element", ["mp3"]),
        ([], {"sink": "mse"}, "element", ["mp3"]),
    ]
    found = await page.evaluate(CHOOSE, [[mimes, options] for mimes, options, _, _ in rows])
    assert [(plan["sink"], plan["formats"]) for plan in found] == [(sink, formats) for *_, sink, formats in rows]
    for plan in found:
        print(plan["why"])
        assert plan["why"]


# Whether the bytes that came are those that the gateway has.
COMPARE = """async () => {
  const headers = { Authorization: 'Bearer demo' };
  const answer = await fetch(`/v1/streams/${song.id}/audio.mp3`, { headers });
  const bytes = new Uint8Array(await song.blob().arrayBuffer());
  const original = new Uint8Array(await answer.arrayBuffer());
  return { same: bytes.length === original.length && bytes.every((byte, i) => byte === original[i]) };
}"""


async def test_without_websockets_the_song_comes_by_fetch(gateway: Demo, opened: Open) -> None:
    """After two sockets that never opened."""
    async with bad_line(gateway.url) as line:
        line.refused = "/v1/ws"
        page = await opened(line.url, forgiven="")
        found = await page.evaluate(
            """async () => {
                 const gate = await gateFor();
                 window.song = gate.create({ prompt: '[[scale seconds=2 speed=3]] a scale that finds its way' });
                 song.play();
                 return heard(song);
               }"""
        )
        assert (found["transport"], found["sink"], found["states"][-1]) == ("fetch", "mse", "ended"), found
        assert (await page.evaluate(COMPARE))["same"] is True


async def test_a_body_that_breaks_is_taken_up_at_its_byte(gateway: Demo, opened: Open) -> None:
    """Over fetch(), the song that was cut in the middle has every byte once."""
    async with bad_line(gateway.url) as line:
        page = await opened(line.url, forgiven="")
        await page.evaluate(
            """async () => {
                 const gate = await gateFor({ transport: 'fetch' });
                 window.song = gate.create({ prompt: '[[scale seconds=3 speed=1.5]] a scale with a broken body' });
                 song.play();
                 window.facts = heard(song);
               }"""
        )
        await page.wait_for_function("() => song.stats.bytes > 30000")
        line.cut()
        facts = await page.evaluate("() => facts")
        assert (facts["states"][-1], facts["reconnects"]) == ("ended", 1), facts
        found = await page.evaluate(COMPARE)
        assert found["same"] is True


# What an iPhone has, made of what Chromium has: it tells when it wants more, and opens for no element that might be
# handed to a television.
MANAGED = """
  const Usual = MediaSource;
  window.ManagedMediaSource = class extends Usual {
    streaming = false;
    constructor() {
      super();
      this.addEventListener('sourceopen', () => setTimeout(() => this.flow(true), 300));
      setTimeout(() => this.flow(false), 700);
      setTimeout(() => this.flow(true), 1000);
    }
    flow(on) {
      this.streaming = on;
      this.dispatchEvent(new Event(on ? 'startstreaming' : 'endstreaming'));
    }
  };
  delete window.MediaSource;
"""


async def test_a_managed_source_is_fed_when_it_asks(gateway: Demo, opened: Open) -> None:
    """The iPhone's way: every byte, and only while it is streaming."""
    page = await opened(
        gateway.url,
        MANAGED
        + """
        const append = SourceBuffer.prototype.appendBuffer;
        SourceBuffer.prototype.appendBuffer = function (piece) {
          if (!window.source?.streaming) window.unasked = true;
          return append.call(this, piece);
        };
        const add = Usual.prototype.addSourceBuffer;
        Usual.prototype.addSourceBuffer = function (mime) { window.source = this; return add.call(this, mime); };
        """,
    )
    found = await page.evaluate(
        """async () => {
             const gate = await gateFor();
             const audio = new Audio();
             const song = gate.create({ prompt: '[[scale seconds=2 speed=3]] a scale for a telephone' }, { audio });
             song.play();
             return { ...(await heard(song)), remote: audio.disableRemotePlayback, unasked: window.unasked ?? false };
           }"""
    )
    assert (found["states"][-1], found["verified"], found["sink"]) == ("ended", True, "mse"), found
    assert (found["remote"], found["unasked"]) == (True, False)


async def test_ten_players_play_at_once(gateway: Demo, opened: Open) -> None:
    """In one page, each with a connection of its own: all hear the whole of the same song."""
    page = await opened(gateway.url)
    found = await page.evaluate(
        """async () => {
             const gate = await gateFor();
             const { id } = await gate.create({ prompt: '[[scale seconds=3 speed=3]] a scale for ten players' }).ready;
             return Promise.all(Array.from({ length: 10 }, async () => {
               const song = (await gateFor()).attach(id);
               song.play();
               return heard(song);
             }));
           }"""
    )
    for facts in found:
        assert (facts["states"][-1], facts["verified"]) == ("ended", True), facts
        assert facts["time"] == pytest.approx(3, abs=0.2)


async def test_a_hole_in_the_music_is_one_stall(gateway: Demo, opened: Open) -> None:
    """When the provider falls silent the sound runs dry, is counted once with its seconds, and goes on."""
    page = await opened(gateway.url)
    found = await page.evaluate(
        """async () => {
             const gate = await gateFor();
             const song = gate.create({ prompt: '[[scale stall seconds=2 speed=8 after=1 silence=2]] with a hole' });
             song.play();
             return heard(song);
           }"""
    )
    assert (found["states"][-1], found["verified"], found["stalls"]) == ("ended", True, 1), found
    assert 0.2 < found["stallSeconds"] < 20


# Whatever the driver runs in a page counts as a touch of the visitor's, so this page begins by itself.
UNTOUCHED = """
  addEventListener('load', async () => {
    const gate = await gateFor();
    const song = gate.create({ prompt: '[[scale seconds=9 speed=3]] a scale that nobody asked for' }, OPTIONS);
    song.on('state', (state) => console.debug(`now ${state}`));
    song.play();
    document.addEventListener('click', () => song.play());
  });
"""


@pytest.mark.parametrize("options", ["{}", "{ sink: 'worklet' }"], ids=["mse", "worklet"])
async def test_what_may_not_sound_waits_for_a_touch(gateway: Demo, opened: Open, options: str) -> None:
    """Blocked autoplay is a state of its own; playing again inside a click is the way out of it."""

    async def listen(page: Page) -> None:
        page.on("console", lambda message: said.append(message.text))

    said: list[str] = []
    page = await opened(gateway.url, UNTOUCHED.replace("OPTIONS", options), prepare=listen)
    if "now blocked" not in said:
        await page.wait_for_event("console", lambda message: message.text == "now blocked", timeout=PATIENCE)
    async with page.expect_console_message(lambda message: message.text == "now playing", timeout=PATIENCE):
        await page.mouse.click(10, 10)


async def test_a_page_of_another_origin_plays(browser: Browser, need: Callable[[str], str]) -> None:
    """SDK, worklet, sound and REST come from the gateway's origin, by every sink and both transports."""
    app = web.Application()

    async def html(request: web.Request) -> web.Response:
        return web.Response(text='<!doctype html><link rel="icon" href="data:,">', content_type="text/html")

    app.add_routes([web.get("/", html)])
    async with site(app) as origin:
        elsewhere = origin.replace("127.0.0.1", "localhost")
        tenants = [Tenant(id="acme", keys=[key_hash(KEY)], allowed_origins=[elsewhere])]
        async with bench(tenants=tenants) as gateway:
            stream = await gateway.create("[[scale seconds=2 speed=8]] a scale for a page elsewhere")
            wish = {"stream_id": stream["id"], "uses": 0}
            async with gateway.http.post(f"{gateway.url}/v1/tickets", json=wish) as answer:
                ticket = (await answer.json())["ticket"]
            tab = await browser.new_page()
            complaints: list[str] = []
            tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            await tab.add_init_script(SCRIPT)
            await tab.goto(elsewhere)
            found = await tab.evaluate(
                """async ([server, ticket, id]) => {
                     const { Wavegate } = await import(`${server}/wavegate.js`);
                     const ways = [{}, { sink: 'worklet' }, { sink: 'element' }, { transport: 'fetch' }];
                     return Promise.all(ways.map((way) => {
                       const song = new Wavegate({ ticket, ...way }).attach(id);
                       song.play();
                       return heard(song);
                     }));
                   }""",
                [gateway.url, ticket, stream["id"]],
            )
            await tab.close()
    assert complaints == []
    for facts in found:
        print(facts["why"], facts["states"])
        assert facts["states"][-1] == "ended", facts
        assert facts["time"] == pytest.approx(2, abs=0.2)


async def test_a_hole_that_nothing_will_fill_is_leapt_over(gateway: Demo, opened: Open) -> None:
    """Frames that the gateway does not have any more leave a gap, behind which the sound goes on in its own time."""

    def lossy(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def forward(message: str | bytes) -> None:
            if isinstance(message, str) or not 3 <= int.from_bytes(message[16:20]) < 6:
                socket.send(message)

        server.on_message(forward)

    page = await opened(gateway.url, prepare=lambda page: page.route_web_socket("**/v1/ws", lossy))
    found = await page.evaluate(
        """async () => {
             const gate = await gateFor();
             const song = gate.create({ prompt: '[[scale seconds=2.5 speed=6]] a scale with a gap in it' });
             song.play();
             const began = performance.now();
             return { ...(await heard(song)), took: performance.now() - began };
           }"""
    )
    assert found["states"][-1] == "ended", found
    assert found["time"] == pytest.approx(2.5, abs=0.2)
    assert found["verified"] is None
