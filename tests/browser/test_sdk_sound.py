"""What the browser SDK lets be heard: every sample of the song, in every sink, in time and without a gap.

Invariant under test: what sounds is what the browser itself decodes of the same bytes, sample for sample; a song at
real-time pace does not run dry. Times and stalls are printed: on a crowded machine they are the machine's.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Demo, Visit
from tests.browser.listening import ICON, NOWHERE, SCRIPT
from tests.support.line import bad_line

pytestmark = pytest.mark.nightly

SINKS = [{}, {"format": "webm"}, {"sink": "worklet"}, {"sink": "element"}]

PACE = """async (ways) => {
  const gate = await gateFor();
  const songs = ways.map((way, i) => {
    const song = gate.create({ prompt: `[[scale seconds=3 speed=1]] a scale in its own time, number ${i}` }, way);
    song.play();
    return song;
  });
  return Promise.all(songs.map((song) => heard(song)));
}"""

STOCK = """async (ways) => {
  const one = await gateFor();
  const { id } = await one.create({ prompt: '[[scale seconds=3 speed=0]] a scale that is there already' }).ready;
  const gates = await Promise.all(ways.map(async () => gateFor()));
  await Promise.all(gates.map((gate) => gate.connect()));
  const songs = ways.map((way, i) => {
    const song = gates[i].attach(id, way);
    song.play();
    return song;
  });
  return Promise.all(songs.map((song) => heard(song)));
}"""

EXACT = """async ([ways, speed]) => {
  const gate = await gateFor();
  return Promise.all(ways.map(async (way, i) => {
    const audio = new Audio();
    const samples = way.sink === 'worklet' ? [] : await ears(audio);
    const prompt = `[[scale seconds=3 speed=${speed}]] a scale of which every sample counts, ${i}`;
    const song = gate.create({ prompt }, { ...way, audio });
    song.play();
    if (way.sink === 'worklet') {
      await until('an analyser', () => song.analyser());
      const { context } = song.analyser();
      const tapped = await tap(context);
      tapped.node.port.onmessage = ({ data }) => samples.push(data);
      song.analyser().connect(tapped.node).connect(context.destination);
    }
    const facts = await heard(song);
    return { ...facts, ...(await exact(samples, song)) };
  }));
}"""

Open = Callable[[str], Awaitable[Page]]


@pytest.fixture
async def opened(visit: Visit) -> Open:
    """`await opened(url)`: a page of nobody's at that address."""

    async def open_page(url: str) -> Page:
        return await visit(f"{url}{NOWHERE}", script=SCRIPT, forgiven=ICON)

    return open_page


def tell(facts: dict[str, Any]) -> None:
    """For people: what was measured."""
    first = f"first byte {facts['firstByteMs'] or 0:.0f} ms, first sound {facts['firstSoundMs'] or 0:.0f} ms"
    print(f"{facts['why']}: {first}, {facts['stalls']} stalls of {facts['stallSeconds']:.2f} s in all")


def is_whole(facts: dict[str, Any], seconds: float) -> None:
    """Heard to its end, and every byte is the song's."""
    assert facts["states"][-1] == "ended", facts
    assert facts["time"] == pytest.approx(seconds, abs=0.2)
    assert facts["verified"] is True


async def test_no_sink_runs_dry_at_the_pace_of_the_music(gateway: Demo, opened: Open) -> None:
    """Four songs at once, each made as fast as it is heard: every sink brings its own to the end."""
    page = await opened(gateway.url)
    for facts in await page.evaluate(PACE, SINKS):
        tell(facts)
        is_whole(facts, 3)


async def test_what_is_in_stock_sounds_at_once(gateway: Demo, opened: Open) -> None:
    """Whoever joins a song that is made has its first sound with its first bytes, and not a block later."""
    page = await opened(gateway.url)
    for facts in await page.evaluate(STOCK, [{}, {"format": "webm"}]):
        tell(facts)
        is_whole(facts, 3)
        assert facts["firstSoundMs"] > 0


async def test_every_sample_is_heard_as_it_was_made(gateway: Demo, opened: Open) -> None:
    """What came out of a sink is what is decoded of the bytes, and all of it."""
    page = await opened(gateway.url)
    ways = [{}, {"format": "webm"}, {"format": "mp4"}, {"sink": "worklet"}]
    for facts in await page.evaluate(EXACT, [ways, 4]):
        tell(facts)
        is_whole(facts, 3)
        assert facts["same"] >= facts["captured"] - 4096, facts  # the last block is cut where the song ends
        # The tap of the worklet is laid when it sounds already.
        assert facts["captured"] > facts["decoded"] * (0.5 if facts["sink"] == "worklet" else 0.9)


async def test_a_line_that_holds_up_every_piece_loses_nothing(gateway: Demo, opened: Open) -> None:
    """At the pace of the music and with each piece up to 0.2 s late, every sample is heard."""
    late = random.Random(7)
    async with bad_line(gateway.url) as line:
        line.delay = lambda: late.uniform(0, 0.2)
        page = await opened(line.url)
        for facts in await page.evaluate(EXACT, [[{}, {"sink": "worklet"}], 1]):
            tell(facts)
            is_whole(facts, 3)
            assert facts["same"] >= facts["captured"] - 4096, facts


TO_AND_FRO = """async (ways) => {
  const gate = await gateFor();
  const { id } = await gate.create({ prompt: '[[scale seconds=4 speed=0]] a scale played to and fro' }).ready;
  return Promise.all(ways.map(async (way) => {
    const song = (await gateFor()).attach(id, way);
    const plays = (from, to) => until(`${from} to ${to}, at ${song.currentTime}`,
      () => song.state === 'playing' && song.currentTime >= from && song.currentTime < to);
    const state = (name) => until(name, () => song.state === name);
    song.play();
    await plays(0.1, 4);
    await until('the whole', () => song.completed);
    song.pause();
    await state('paused');
    const at = song.currentTime;
    await new Promise((done) => setTimeout(done, 200));
    const crept = song.currentTime - at;
    song.seek(3);
    song.play();
    await plays(3, 4);
    song.seek(0.5);
    await plays(0.5, 1.5);
    song.seek(99);
    await state('ended');
    song.play();
    await plays(0, 1.5);
    song.close();
    return crept;
  }));
}"""


async def test_a_song_is_played_to_and_fro(gateway: Demo, opened: Open) -> None:
    """Pause stands still, seeking goes there and back, past the end is the end, and play begins anew: in every sink."""
    page = await opened(gateway.url)
    assert await page.evaluate(TO_AND_FRO, [*SINKS, {"format": "mp4"}]) == [pytest.approx(0, abs=0.05)] * 5
