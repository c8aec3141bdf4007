"""Every format of the gateway in a real browser: fetched while the song is being made, decoded, played as it arrives.

Invariant under test: what Chromium knows how to play, it plays, from the first chunk to the end, and it has the song's
length. It must not know how formats are made.
"""

from typing import Any

import pytest

from tests.browser.conftest import Visit

SECONDS = 3.0
PROMPT = "[[scale seconds=3 speed=6]] a scale for the browser"
FILES = ["mp3", "wav", "ogg", "webm", "aac", "mp4", "flac"]
STREAMS = ["mp3", "webm", "aac", "mp4"]

# Orders a song and gives the address of its audio in a format, and the headers to fetch it with.
ORDER = """
  const headers = { Authorization: 'Bearer demo', 'Content-Type': 'application/json' };
  const order = async (prompt, name) => {
    const body = JSON.stringify({ input: { prompt } });
    const answer = await fetch('/v1/streams', { method: 'POST', headers, body });
    const { id } = await answer.json();
    return fetch(`/v1/streams/${id}/audio.${name}`, { headers });
  };
"""

DECODE = (
    "async ([prompt, name]) => {"
    + ORDER
    + """
  const answer = await order(prompt, name);
  const context = new OfflineAudioContext(2, 48000, 48000);
  const sound = await context.decodeAudioData(await answer.arrayBuffer());
  const samples = sound.getChannelData(0);
  return { type: answer.headers.get('Content-Type'), seconds: sound.duration,
           loudness: Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length) };
}"""
)

# Appends whatever has come, as it comes, and plays it to its end.
PLAY = (
    "async ([prompt, name, mime]) => {"
    + ORDER
    + """
  const within = (what, begin) => Promise.race([
    new Promise(begin),
    new Promise((_, fail) => setTimeout(() => fail(new Error(`waited in vain for ${what}`)), 10000)),
  ]);
  const media = new MediaSource();
  const element = new Audio();
  element.muted = true;
  const opened = within('sourceopen', (done) => { media.onsourceopen = done; });
  element.src = URL.createObjectURL(media);
  await opened;
  const buffer = media.addSourceBuffer(mime);
  const reader = (await order(prompt, name)).body.getReader();
  let playing = null;
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    await within('an append', (done, fail) => {
      buffer.onupdateend = done;
      buffer.onerror = () => fail(new Error(`refused: ${element.error?.message}`));
      buffer.appendBuffer(piece.value);
    });
    if (buffer.buffered.length) playing ??= element.play();
  }
  const ended = within('the end', (done, fail) => {
    element.onended = done;
    element.onerror = () => fail(new Error(element.error.message));
  });
  media.endOfStream();
  element.playbackRate = 4;
  await playing;
  await ended;
  return element.currentTime;
}"""
)


async def test_a_format_is_decoded(gateway: Any, visit: Visit) -> None:
    """With the song's length, and with its sound; the page is new for each, the browser is not."""
    for name in FILES:
        page = await visit(gateway.url)
        found = await page.evaluate(DECODE, [PROMPT, name])
        assert found["seconds"] == pytest.approx(SECONDS, abs=0.08), name
        # A sine at a quarter of full scale.
        assert found["loudness"] == pytest.approx(0.25 / 2**0.5, rel=0.05), name
        await page.close()


@pytest.mark.nightly
async def test_a_format_is_played_while_it_is_made(gateway: Any, visit: Visit) -> None:
    """By MediaSource, with the exact string that the gateway announces."""
    mimes = {"mp3": "audio/mpeg", "aac": "audio/aac", "webm": 'audio/webm; codecs="opus"'}
    for name in STREAMS:
        page = await visit(gateway.url)
        mime = mimes.get(name, 'audio/mp4; codecs="mp4a.40.2"')
        heard = await page.evaluate(PLAY, [PROMPT, name, mime])
        assert heard == pytest.approx(SECONDS, abs=0.1), name
        await page.close()
