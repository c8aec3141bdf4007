"""Songs made and encoded.

Invariant tested: what comes out is a whole file of its format, as long as it says, and the same every time.
It must not know who listens.
"""

import io
import wave
from dataclasses import replace

import av
import numpy as np
import numpy.typing as npt
import pytest

from gateway.upstream.simulator import scale, watermark
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.recipe import Recipe
from gateway.upstream.simulator.rendering import Rendering, id3

SCALE = Recipe("scale", 3.0, "", "", None, "mp3", 192000, watermark=False, streamed=True)
SONG = Recipe("song", 2.0, "a song about the sea", "", "female", "wav", 0, watermark=False, streamed=True)


def decode(data: bytes) -> npt.NDArray[np.float32]:
    with av.open(io.BytesIO(data), "r") as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def test_an_mp3_decodes_to_the_scale() -> None:
    """Decoded, each half second has its pitch, and the tag in front says what it is."""
    rendering = Rendering(SCALE)
    data = b"".join(rendering.pieces())
    assert data.startswith(b"ID3\x04")
    sound = decode(data)
    for step in range(5):
        middle = sound[0, 1105 + 24000 * step + 6000 :][:12000]
        assert int(np.abs(np.fft.rfft(middle, SAMPLE_RATE)).argmax()) == pytest.approx(scale.pitch(step), abs=2)
    assert rendering.samples == 3 * SAMPLE_RATE
    assert rendering.lyrics == ""
    assert len(data) == pytest.approx(3 * 24000, rel=0.05)


def test_a_wav_is_a_placeholder_header_and_samples() -> None:
    """The header does not know the length; the samples follow it, faded where the song was cut."""
    rendering = Rendering(SONG)
    head, *blocks = rendering.pieces()
    samples = np.frombuffer(b"".join(blocks), dtype="<i2").reshape(-1, 2)
    with wave.open(io.BytesIO(head + b"".join(blocks))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 2, 2)
    assert len(head) == 44
    assert len(samples) == 2 * SAMPLE_RATE == rendering.samples
    assert np.abs(samples[-20:]).max() < 20 < np.abs(samples).max()
    assert "sea" in rendering.lyrics


def test_a_whole_song_when_nothing_cuts_it() -> None:
    """Without a limit the song starts like the cut one."""
    whole = Rendering(replace(SONG, seconds=None)).pieces()
    cut = Rendering(SONG).pieces()
    assert [next(whole), next(whole)] == [next(cut), next(cut)]


def test_the_mark_is_appended() -> None:
    """With the watermark a song is longer by it."""
    marked = Rendering(replace(SCALE, watermark=True))
    list(marked.pieces())
    assert marked.samples == 3 * SAMPLE_RATE + round(watermark.SECONDS * SAMPLE_RATE)


def test_tags_hold_any_title() -> None:
    """The tag's size is right for non-ASCII titles, so that a decoder finds both its texts."""
    data = id3("江南古筝")
    size = (data[6] << 21) | (data[7] << 14) | (data[8] << 7) | data[9]
    assert len(data) == size + 10
    assert "江南古筝".encode() in data


def test_the_same_recipe_gives_the_same_bytes() -> None:
    """Two renderings are one file."""
    assert b"".join(Rendering(SCALE).pieces()) == b"".join(Rendering(SCALE).pieces())
