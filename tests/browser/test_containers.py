"""Our containers in a real browser: appended to a MediaSource chunk by chunk, as the player does, and decoded whole.

Invariant under test: what is buffered lies where the song has it, from its start or from any chunk on, and plays to the
end; what Chromium decodes of a container that declares delay and padding is the song, to the sample.
"""

import base64
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Visit
from tests.unit.transcode.packager.encodes import Encode, Packed, encode, heard, pack
from transcode.formats import FORMATS
from transcode.packager.door import audible

RATE = 48000
CODECS = {"mp3": "mp3", "wav": "pcm", "ogg": "opus", "webm": "opus", "aac": "aac", "mp4": "aac", "flac": "flac"}
SIZE = 10  # packets a chunk, about 0.2 s
LATE = 4  # the chunk at which somebody joins
NEAR = 0.05  # s

# Gives back what was buffered after each append, and where the end was heard. Every wait has its end, by an error.
PLAY = """async ({mime, parts}) => {
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
  const ranges = [];
  for (const part of parts) {
    await within('an append', (done, fail) => {
      buffer.onupdateend = done;
      buffer.onerror = () => fail(new Error(`refused: ${element.error?.message}`));
      buffer.appendBuffer(Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0)));
    });
    const { buffered } = buffer;
    ranges.push(Array.from({ length: buffered.length }, (_, at) => [buffered.start(at), buffered.end(at)]));
  }
  media.endOfStream();
  const ended = within('the end', (done, fail) => {
    element.onended = done;
    element.onerror = () => fail(new Error(element.error.message));
  });
  element.currentTime = buffer.buffered.start(0);
  element.playbackRate = 4;
  await element.play();
  await ended;
  return { ranges, heard: element.currentTime };
}"""

# Gives back how many samples there are, and the left channel of some of them.
DECODE = """async ({stream, rate, begin, end}) => {
  const bytes = Uint8Array.from(atob(stream), (letter) => letter.charCodeAt(0));
  const sound = await new OfflineAudioContext(2, rate, rate).decodeAudioData(bytes.buffer);
  return { samples: sound.length, left: Array.from(sound.getChannelData(0).slice(begin, end)) };
}"""


@pytest.fixture
async def page(visit: Visit) -> Page:
    """A page of nobody's: no network, no policy."""
    return await visit("about:blank")


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def packed_song(form: str) -> tuple[Encode, Packed]:
    """Two seconds, in chunks."""
    song = encode(CODECS[form], RATE)
    return song, pack(form, song, SIZE)


async def play(page: Page, form: str, packed: Packed, begin: int) -> Any:
    parts = [part for part in (packed.init, *packed.chunks[begin:]) if part]
    return await page.evaluate(PLAY, {"mime": FORMATS[form].mime, "parts": [base64_of(part) for part in parts]})


@pytest.mark.parametrize("begin", [0, LATE])
async def test_a_media_source_has_it_where_the_song_has_it(page: Page, begin: int) -> None:
    """One range, in step with every chunk, from where the listener came in to the song's end; and it plays to there."""
    for form in ("webm", "mp4"):
        song, packed = packed_song(form)
        found = await play(page, form, packed, begin)
        chunks = song.chunks(SIZE)[begin:]
        start = audible(chunks[0])[0] / RATE
        assert found["ranges"][0] == [], "the init alone"
        for ranges, chunk in zip(found["ranges"][1:], chunks, strict=True):
            ((first, last),) = ranges
            assert first == pytest.approx(start, abs=0.01), form
            assert last == pytest.approx(sum(audible(chunk)) / RATE, abs=NEAR), form
        assert found["heard"] == pytest.approx(song.samples / RATE, abs=NEAR), form


async def test_what_tells_no_time_is_counted_from_zero(page: Page) -> None:
    """Chunks of plain frames are taken from any on; delay and padding are part of what is buffered."""
    for form in ("mp3", "aac"):
        song, packed = packed_song(form)
        found = await play(page, form, packed, LATE)
        ((first, last),) = found["ranges"][-1]
        length = sum(packet.duration for chunk in song.chunks(SIZE)[LATE:] for packet in chunk) / RATE
        assert first == 0, form
        assert last == pytest.approx(length, abs=NEAR), form


@pytest.mark.parametrize("begin", [0, LATE])
async def test_a_whole_stream_is_decoded(page: Page, begin: int) -> None:
    """What is saved to a file, or comes in by a plain request, sounds in Chromium as it does in PyAV."""
    for form in sorted(CODECS):
        song, packed = packed_song(form)
        stream = packed.stream(begin)
        some = slice(9600, 19_200)
        found = await page.evaluate(
            DECODE, {"stream": base64_of(stream), "rate": RATE, "begin": some.start, "end": some.stop}
        )
        sound = heard(stream, form)
        assert found["left"] == pytest.approx(sound[0, some].tolist(), abs=1e-4), form
        if begin == 0 and form not in ("mp3", "aac"):
            assert found["samples"] == song.samples, form
        elif form != "mp4":  # of which Chromium takes off the padding, too
            assert found["samples"] == sound.shape[1], form
