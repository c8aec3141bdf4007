"""The browser SDK when something breaks: the line, the gateway, a ticket, an answer that never came.

Invariant under test: nothing that was paid for is lost, nothing is paid for twice, and no sample is heard twice.
It must not know the player page.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, WebSocketRoute

from gateway.app import Gateway
from gateway.config.schema import Cluster, Config
from gateway.config.server import Server
from tests.browser.conftest import Demo, Visit
from tests.browser.listening import ICON, NOWHERE, SCRIPT
from tests.support.line import bad_line
from tests.support.redis import redis_server

pytestmark = pytest.mark.nightly

# A page complains itself of a socket that was cut.
FORGIVEN = ""

Open = Callable[..., Awaitable[Page]]


@pytest.fixture
async def opened(visit: Visit) -> Open:
    """`await opened(url)`: a page of nobody's at that address; what it says of broken lines is forgiven."""

    async def open_page(url: str, forgiven: str = FORGIVEN, **options: Any) -> Page:
        return await visit(f"{url}{NOWHERE}", script=SCRIPT, forgiven=forgiven, **options)

    return open_page


BEGIN = """async ([ways, seconds]) => {
  const gate = await gateFor();
  window.played = ways.map(async (way, i) => {
    const audio = new Audio();
    const samples = way.sink === 'worklet' ? [] : await ears(audio);
    const prompt = `[[scale seconds=${seconds} speed=1.5]] a scale on a line that breaks, number ${i}`;
    const song = gate.create({ prompt }, { ...way, audio });
    window.song = song;
    song.play();
    const facts = await heard(song);
    return { ...facts, ...(way.sink === 'worklet' ? {} : await exact(samples, song)) };
  });
}"""
MADE = "(seconds) => window.song && song.duration > seconds"
BACK = "(times) => song.stats.reconnects === times"
END = "() => Promise.all(played)"


async def test_three_cuts_are_not_heard(gateway: Demo, opened: Open) -> None:
    """The line is reset three times in mid-song; each time the song goes on where it broke, to the sample."""
    async with bad_line(gateway.url) as line:
        page = await opened(line.url)
        # With a stock that outlasts a cut: where it grows thin the pace is not the song's, and no sample is its own.
        await page.evaluate(BEGIN, [[{"sink": "worklet"}, {"startBuffer": 0.5}], 4])
        for times, second in enumerate((0.5, 1.3, 2.1), 1):
            await page.wait_for_function(MADE, arg=second)
            line.cut()
            # On a busy machine the next second may be there already: to cut what is cut is no second cut.
            await page.wait_for_function(BACK, arg=times)
        in_ring, exact = await page.evaluate(END)
        assert exact["states"][-1] == "ended", exact
        assert exact["verified"] is in_ring["verified"] is True
        assert exact["reconnects"] == 3
        assert exact["same"] >= exact["captured"] - 4096 > exact["decoded"] * 0.9, exact


async def test_a_gateway_that_comes_back_empty_ends_the_song_in_words(opened: Open) -> None:
    """What had come is still heard; the next order goes to the new gateway without a new page."""
    config = Config(server=Server(port=0, internal_port=0))
    async with Gateway(config, None, demo=True) as first, bad_line(first.addresses.public) as line:
        page = await opened(line.url)
        await page.evaluate(
            """async () => {
                 window.gate = await gateFor();
                 window.song = gate.create({ prompt: '[[scale seconds=30 speed=2]] a scale for more than a gateway' });
                 song.play();
               }"""
        )
        await page.wait_for_function(MADE, arg=1)
        async with Gateway(config, None, demo=True) as second:
            line.target = second.addresses.public
            line.cut()
            await page.wait_for_function("() => song.state === 'failed'")
            assert await page.evaluate("() => song.error.code") == "stream_not_found"
            await page.wait_for_function("() => song.currentTime > song.duration - 0.2")
            found = await page.evaluate(
                """async () => {
                     const next = gate.create({ prompt: '[[scale seconds=1 speed=9]] a scale for the new gateway' });
                     next.play();
                     return heard(next);
                   }"""
            )
            assert found["verified"] is True
            assert found["states"][-1] == "ended"


async def test_a_restart_is_not_heard_where_another_node_goes_on(need: Callable[[str], str], opened: Open) -> None:
    """The gateway drains and stops behind its address, another takes over there: the song goes on, to the sample."""
    async with redis_server(need("redis-server")) as redis:
        config = Config(server=Server(port=0, internal_port=0), cluster=Cluster(redis_url=redis.url))
        async with Gateway(config, None, demo=True) as second:
            async with Gateway(config, None, demo=True) as first, bad_line(first.addresses.public) as line:
                page = await opened(line.url)
                await page.evaluate(BEGIN, [[{"sink": "worklet"}, {}], 6])
                await page.wait_for_function(MADE, arg=1)
                line.target = second.addresses.public
                draining = asyncio.create_task(first.drain())
                line.cut()
                in_ring, exact = await page.evaluate(END)
                await draining
            assert exact["states"][-1] == "ended", exact
            assert exact["verified"] is in_ring["verified"] is True
            assert exact["reconnects"] == 1
            assert exact["same"] >= exact["captured"] - 4096 > exact["decoded"] * 0.9, exact


ORDER = """async (uses) => {
  const minted = async () => {
    const headers = { Authorization: 'Bearer demo', 'Content-Type': 'application/json' };
    const body = JSON.stringify({ allow: ['create', 'listen'], uses });
    return (await (await fetch('/v1/tickets', { method: 'POST', headers, body })).json()).ticket;
  };
  window.gate = await gateFor(uses === null ? {} : { key: null, ticket: minted });
  await gate.connect();
}"""


@pytest.mark.parametrize("uses", [None, 0, 1], ids=["key", "lasting ticket", "ticket for once"])
async def test_an_order_without_an_answer_is_not_bought_twice(gateway: Demo, opened: Open, uses: int | None) -> None:
    """The line breaks between the order and its answer: the same song is got, or the listener is told of the doubt."""
    async with bad_line(gateway.url) as line:
        page = await opened(line.url)
        await page.evaluate(ORDER, uses)
        line.delay = lambda: 30.0
        await page.evaluate(
            "() => { window.song = gate.create({ prompt: '[[scale seconds=2]] a scale that is ordered once' }); }"
        )
        for _ in range(500):
            if bought := await listed(page, gateway.url):
                break
            await asyncio.sleep(0.02)
        line.delay = lambda: 0.0
        line.cut()
        end = await page.evaluate("() => song.ready.then(({ id }) => id, ({ code }) => code)")
        assert end == (bought[0] if uses != 1 else "connection_lost")
        assert await listed(page, gateway.url) == bought


async def listed(page: Page, url: str) -> list[str]:
    """The ids of the tenant's streams, asked past the line."""
    answer = await page.request.get(f"{url}/v1/streams", headers={"Authorization": "Bearer demo"})
    return [stream["id"] for stream in (await answer.json())["streams"]]


@pytest.mark.parametrize("renewed", [True, False], ids=["function", "string"])
async def test_an_expired_ticket_is_fetched_anew_where_that_is_possible(
    gateway: Demo, opened: Open, renewed: bool
) -> None:
    """After 4201 the function is asked again and the song goes on; with a mere string it ends in words."""
    sockets: list[WebSocketRoute] = []

    def between(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    page = await opened(gateway.url, prepare=lambda page: page.route_web_socket("**/v1/ws", between))
    await page.evaluate(
        """async (renewed) => {
             window.asked = 0;
             const headers = { Authorization: 'Bearer demo', 'Content-Type': 'application/json' };
             const body = JSON.stringify({ allow: ['create', 'listen'], uses: 0 });
             const minted = async () => {
               asked += 1;
               return (await (await fetch('/v1/tickets', { method: 'POST', headers, body })).json()).ticket;
             };
             const gate = await gateFor({ key: null, ticket: renewed ? minted : await minted() });
             window.song = gate.create({ prompt: '[[scale seconds=3 speed=2]] a scale that outlives its ticket' });
             song.play();
             window.facts = heard(song);
           }""",
        renewed,
    )
    await page.wait_for_function(MADE, arg=0.5)
    await sockets[-1].close(code=4201, reason="credentials_expired")
    facts = await page.evaluate("() => facts")
    if renewed:
        assert (facts["states"][-1], facts["verified"], facts["reconnects"]) == ("ended", True, 1)
        assert await page.evaluate("() => asked") == 2
    else:
        assert (facts["error"]["code"], facts["error"]["closeCode"]) == ("credentials_expired", 4201)


async def test_whoever_joined_late_hears_the_beginning_when_he_seeks_it(gateway: Demo, opened: Open) -> None:
    """What was not joined is fetched, and then the song is whole."""
    page = await opened(gateway.url, ICON)
    found = await page.evaluate(
        """async () => {
             const gate = await gateFor();
             const { id } = await gate.create({ prompt: '[[scale seconds=8 speed=4]] a scale with a beginning' }).ready;
             const late = await gateFor();
             const made = async () => (await gate.stream(id)).duration_seconds;
             while ((await made()) < 4) await new Promise((done) => setTimeout(done, 50));
             const song = late.attach(id, { since: { seconds_ago: 1 } });
             song.play();
             await until('sound', () => song.stats.firstSoundMs !== null);
             const joined = song.currentTime;
             song.seek(0.5);
             const { currentTime: at } = song;
             await until('the beginning', () => song.currentTime < at && song.state === 'playing');
             await until('the whole', () => song.verified !== null);
             song.seek(7.5);
             return { joined, ...(await heard(song)) };
           }"""
    )
    assert found["joined"] > 2
    assert found["verified"] is True
    assert found["states"][-1] == "ended"


async def test_a_network_that_comes_back_is_noticed_at_once(gateway: Demo, opened: Open) -> None:
    """Told to stay away for a minute, it comes back as soon as the browser says that it is online again."""
    sockets: list[WebSocketRoute] = []

    def between(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    page = await opened(gateway.url, prepare=lambda page: page.route_web_socket("**/v1/ws", between))
    await page.evaluate(BEGIN, [[{"sink": "worklet"}], 2])
    await page.wait_for_function(MADE, arg=0.5)
    await sockets[-1].close(code=1012, reason="going_away;retry_after_ms=60000")
    await page.wait_for_function("() => song.state === 'reconnecting'")
    await page.evaluate("() => dispatchEvent(new Event('online'))")
    (facts,) = await page.evaluate(END)
    assert (facts["states"][-1], facts["verified"], facts["reconnects"]) == ("ended", True, 1)


async def test_an_order_that_comes_to_a_stopping_gateway_goes_to_the_next(gateway: Demo, opened: Open) -> None:
    """`going_away` in answer to an order ends nothing: it is made again, on a new connection."""
    orders: list[str] = []

    def stopping(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def hear(message: str | bytes) -> None:
            said = json.loads(message)
            if said["type"] == "stream.create":
                orders.append(said["idempotency_key"])
                if len(orders) == 1:
                    error = {"code": "going_away", "message": "Not here.", "retryable": True, "retry_after_ms": 50}
                    socket.send(json.dumps({"type": "error", "ref": said["ref"], "error": error}))
                    return
            server.send(message)

        socket.on_message(hear)

    page = await opened(gateway.url, prepare=lambda page: page.route_web_socket("**/v1/ws", stopping))
    await page.evaluate(BEGIN, [[{"sink": "worklet"}], 2])
    (facts,) = await page.evaluate(END)
    assert (facts["states"][-1], facts["verified"]) == ("ended", True)
    assert orders == [orders[0]] * 2
