"""Tests of the converter: any song to any format, in chunks.

Invariant under test: init and chunks are a file, whichever way the song was sliced; chunks are 100 ms at least, and
follow each other without a hole. The tests know nothing of codecs' insides.
"""

import io
import random
from collections.abc import Mapping
from itertools import pairwise

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.upstream.simulator.music.composer import compose
from gateway.upstream.simulator.music.synthesiser import Synthesiser
from transcode.converter import Converter
from transcode.errors import UnknownFormat
from transcode.formats import AAC, FORMATS, MP3, OGG, PCM, WAV, Format, StreamFormat
from transcode.packet import Packet
from transcode.spec import EncoderSpec, Wish, resolve

SONG = StreamFormat(FORMATS["mp3"], 44100, 2, 192000)


def converted(song: bytes, form: Format, sizes: tuple[int, ...] = (4096,)) -> tuple[bytes, list[Packet]]:
    converter = Converter(form, resolve(form, Wish(), SONG))
    draw = random.Random(2)
    chunks, at = [], 0
    while at < len(song):
        size = draw.choice(sizes)
        chunks += converter.feed(song[at : at + size])
        at += size
    chunks += converter.flush()
    converter.close()
    return converter.init, chunks


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda form: form.name)
def test_chunks_make_a_file(form: Format, songs: Mapping[str, bytes]) -> None:
    """Joined behind init they are two seconds of sound; from the third chunk on they are less, but play."""
    init, chunks = converted(songs["cbr192"], form)
    assert bool(init) == form.container
    for left, right in pairwise(chunks):
        assert left.pts + left.duration == right.pts
    rate = 48000 if form.codec == "opus" else 44100
    assert min(chunk.duration for chunk in chunks[:-1]) >= rate // 10
    assert max(chunk.duration for chunk in chunks) < rate // 5
    if form is PCM:
        assert sum(len(chunk.data) for chunk in chunks) == 2 * 44100 * 4
        return
    for skipped in (0, 2):
        file = init + b"".join(chunk.data for chunk in chunks[skipped:])
        with av.open(io.BytesIO(file)) as container:
            count = sum(frame.samples for frame in container.decode(audio=0))
        missing = sum(chunk.duration for chunk in chunks[:skipped])
        assert count == pytest.approx(2 * rate - missing, abs=3000)


def test_slices_do_not_matter(songs: Mapping[str, bytes]) -> None:
    """The same chunks, however the song was cut."""
    assert converted(songs["cbr192"], OGG, (1, 700, 5000)) == converted(songs["cbr192"], OGG, (1 << 20,))


def test_raw_samples_go_in() -> None:
    """What is no file: signed 16-bit samples, of which is told what they are."""
    converter = Converter(WAV, EncoderSpec("pcm", 8000, 1, None), pcm=StreamFormat(PCM, 8000, 1, None))
    assert converter.init == b""
    data = bytes(range(200)) * 20
    chunks = converter.feed(data) + converter.flush()
    assert converter.init[:4] == b"RIFF"
    assert b"".join(chunk.data for chunk in chunks) == data
    assert [chunk.duration for chunk in chunks][-1] <= 2000


def test_a_gap_begins_a_chunk(songs: Mapping[str, bytes]) -> None:
    """Where sound is missing a new chunk begins, which says so, be the one before it short."""
    song = songs["bare"]
    damaged = song[: 626 * 30] + bytes(3000) + song[626 * 40 :]
    _, chunks = converted(damaged, OGG)
    assert [chunk.discontinuity for chunk in chunks].count(True) == 1
    _, clean = converted(song, OGG)
    assert not any(chunk.discontinuity for chunk in clean)


@pytest.fixture(scope="module")
def music() -> bytes:
    """Six seconds of what is hardest to encode of the simulator's music, 44.1 kHz stereo, from where the drums play."""
    heard: list[NDArray[np.int16]] = []
    for block in Synthesiser(compose("loud rock anthem, energetic drums")).blocks():
        heard.append(np.asarray(block))
        if sum(map(len, heard)) >= 14 * 44100:
            break
    return np.concatenate(heard)[8 * 44100 : 14 * 44100].astype("<i2").tobytes()


def made(music: bytes, form: Format, wish: Wish) -> NDArray[np.float32]:
    """What is heard of it, (channels, n) at the wish's rate, the codec's delay included where nobody takes it off."""
    song = StreamFormat(PCM, 44100, 2, None)
    converter = Converter(form, resolve(form, wish, song), pcm=song)
    chunks = converter.feed(music) + converter.flush()
    file = converter.init + b"".join(chunk.data for chunk in chunks)
    with av.open(io.BytesIO(file)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("fltp", stream.layout, wish.sample_rate)
        frames = [made.to_ndarray() for frame in container.decode(stream) for made in resampler.resample(frame)]
        frames += [made.to_ndarray() for made in resampler.resample(None)]
    return np.concatenate(frames, axis=1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("form", "rate"),
    [(OGG, rate) for rate in (8000, 12000, 16000, 24000, 48000)]
    + [(form, rate) for form in (AAC, MP3) for rate in (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)],
    ids=lambda value: value.name if isinstance(value, Format) else str(value),
)
def test_what_is_usual_is_enough(music: bytes, form: Format, rate: int, channels: int) -> None:
    """At every rate, if nobody asks for a bitrate: a correlation of 0.98 with the song as it is at that rate."""
    found = made(music, form, Wish(rate, channels))
    song = made(music, WAV, Wish(rate, channels))
    size = 1 << 19
    matches = np.fft.irfft(np.fft.rfft(found[0], size) * np.conj(np.fft.rfft(song[0], size)), size)
    delay = int(np.argmax(matches[:3000]))
    shared = min(song.shape[1], found.shape[1] - delay)
    for heard, wanted in zip(found, song, strict=True):
        assert np.corrcoef(heard[delay : delay + shared], wanted[:shared])[0, 1] >= 0.98


def test_no_song() -> None:
    """Nothing in, nothing out; and what is no song is refused."""
    converter = Converter(OGG, resolve(OGG, Wish(), SONG))
    assert converter.feed(b"") + converter.flush() == []
    converter.close()
    with pytest.raises(UnknownFormat):
        Converter(OGG, resolve(OGG, Wish(), SONG)).feed(b"<html>" * 20000)
