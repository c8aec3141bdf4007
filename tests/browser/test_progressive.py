"""A bare audio element on the progressive door: the song while it is made, and across a line that breaks.

Invariant under test: what the element plays after a break is what comes next in the song, to its end.
It must not know how the door finds the place.
"""

from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.support.cutting import cutting

SECONDS = 5.0
PROMPT = "[[scale seconds=5 speed=1.5]] a scale that is heard over a broken line"

# Plays a new song in an audio element, to its end, twice as fast.
PLAY = """async ([prompt, name]) => {
  const headers = { Authorization: 'Bearer demo', 'Content-Type': 'application/json' };
  const order = await fetch('/v1/streams', { method: 'POST', headers, body: JSON.stringify({ input: { prompt } }) });
  const { id } = await order.json();
  const wish = { method: 'POST', headers, body: JSON.stringify({ stream_id: id, uses: 0 }) };
  const { ticket } = await (await fetch('/v1/tickets', wish)).json();
  const element = new Audio();
  element.muted = true;
  const done = new Promise((resolve, reject) => {
    element.onended = resolve;
    element.onerror = () => reject(new Error(element.error.message));
    setTimeout(() => reject(new Error(`still at ${element.currentTime}`)), 12000);
  });
  element.src = `/v1/streams/${id}/audio.${name}?ticket=${ticket}`;
  element.playbackRate = 2;
  await element.play();
  await done;
  return element.currentTime;
}"""


@pytest.mark.parametrize("name", ["mp3", "webm"])
async def test_an_element_goes_on_where_the_line_broke(gateway: Any, visit: Visit, name: str) -> None:
    """Chromium asks for the rest by itself, and plays to the end."""
    async with cutting(gateway.url, f"audio.{name}", after=40_000) as line:
        page = await visit(f"{line.url}/wavegate.js", forgiven="Failed to load resource")
        heard = await page.evaluate(PLAY, [PROMPT, name])
        assert heard == pytest.approx(SECONDS, abs=0.15)
        assert line.cuts == 1
        assert "Range: bytes=0-" in line.requests[0]
        assert line.answers[0].startswith("HTTP/1.1 200")
        assert "Range: bytes=3" in line.requests[1], "some 40 KB of it were there"
        assert line.answers[1].startswith("HTTP/1.1 206")
        assert "-9007199254740991/*" in line.answers[1], "the song was still being made"
