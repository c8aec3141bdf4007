"""Songs made and encoded.

Invariant tested: what comes out is a whole file of its format, as long as it says, and the same every time.
It must not know who listens.
"""

import io
import wave
from dataclasses import replace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from gateway.upstream.simulator import scale, watermark
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.recipe import Recipe, speech_recipe
from gateway.upstream.simulator.rendering import Rendering
from gateway.upstream.simulator.scenario import Scenario

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


@pytest.mark.parametrize(
    ("changes", "head"),
    [
        ({"id3": False}, b"\xff\xfb"),
        ({"id3": False, "xing": True}, b"\xff\xfb\xb4\x00" + bytes(32) + b"Info"),
        ({"xing": True}, b"ID3\x04"),
        ({"id3": False, "xing": True, "vbr": True, "bitrate": 128000}, b"\xff\xfb\x94\x00" + bytes(32) + b"Xing"),
    ],
)
def test_what_stands_before_the_sound(changes: dict[str, Any], head: bytes) -> None:
    """Tag and Info frame are there or not, as wanted, and the sound is the same with each of them."""
    data = b"".join(Rendering(replace(SCALE, **changes)).pieces())
    assert data.startswith(head)
    assert (b"Info" in data[:1000]) == ("xing" in changes and "vbr" not in changes)
    assert decode(data).shape[1] == pytest.approx(3 * SAMPLE_RATE, abs=5000)


@pytest.mark.parametrize("after", [0.0, 1.0, 99.0])
def test_garbage_stands_where_it_was_wanted(after: float) -> None:
    """In the midst of the song's own bytes, before them, or behind the last."""
    clean = b"".join(Rendering(SCALE).pieces())
    data = b"".join(Rendering(replace(SCALE, garbage=(500, after))).pieces())
    at = min(len(clean), round(after * 24000))
    assert data[:at] + data[at + 500 :] == clean
    assert len(data) == len(clean) + 500


def test_noise_is_as_long_as_the_song() -> None:
    """Nothing of the song is left but its length."""
    clean, noise = (b"".join(Rendering(replace(SCALE, noise=noise)).pieces()) for noise in (False, True))
    assert len(clean) == len(noise)
    assert noise[:2] != b"ID"
    assert noise[5000:5100] != clean[5000:5100]


def test_a_wav_in_another_form() -> None:
    """Only the header differs."""
    wav = replace(SCALE, format="wav", bitrate=0)
    usual, long = (list(Rendering(replace(wav, wav=form)).pieces()) for form in (None, "extensible"))
    assert usual[1:] == long[1:]
    assert (len(usual[0]), len(long[0])) == (44, 68)


def test_the_same_recipe_gives_the_same_bytes() -> None:
    """Two renderings are one file."""
    assert b"".join(Rendering(SCALE).pieces()) == b"".join(Rendering(SCALE).pieces())


RATES = [8000, 16000, 22050, 24000, 44100, 48000]
SAID = "The river answers. 今天天气很好。"


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("scenario", [Scenario(), Scenario(vbr=True, xing=True)])
def test_speech_as_mp3_at_every_rate(sample_rate: int, scenario: Scenario) -> None:
    """It decodes to mono at its rate, as long as was counted and as loud as speech."""
    made = speech_recipe(text=SAID, voice="a", format="mp3", sample_rate=sample_rate, scenario=scenario)
    rendering = Rendering(made)
    data = b"".join(rendering.pieces())
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        assert (stream.rate, stream.channels) == (sample_rate, 1)
    sound = decode(data)
    assert rendering.samples <= sound.shape[1] <= rendering.samples + 4 * 1152
    speaking = sound[np.abs(sound) > 0.01]
    assert 0.05 < np.sqrt(np.mean(speaking**2)) < 0.2
    assert data.startswith(b"ID3")


@pytest.mark.parametrize("sample_rate", RATES)
def test_speech_as_wav_at_every_rate(sample_rate: int) -> None:
    """The header says the rate and mono, and the samples are those that were counted."""
    rendering = Rendering(speech_recipe(text=SAID, voice="a", format="wav", sample_rate=sample_rate))
    data = b"".join(rendering.pieces())
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (sample_rate, 1, 2)
    assert len(data) == 44 + 2 * rendering.samples
    assert decode(data).shape == (1, rendering.samples)
    assert rendering.lyrics == ""


@pytest.mark.parametrize("sample_rate", RATES)
def test_the_scale_at_every_rate(sample_rate: int) -> None:
    """Each half second has the pitch that it has at that rate, and the length is exact."""
    scenario = Scenario("scale", seconds=4)
    rendering = Rendering(speech_recipe(text=SAID, voice="a", format="wav", sample_rate=sample_rate, scenario=scenario))
    samples = np.frombuffer(b"".join(rendering.pieces())[44:], dtype="<i2")
    assert rendering.samples == len(samples) == 4 * sample_rate
    for step, part in enumerate(samples.reshape(8, -1)):
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), sample_rate))
        assert int(spectrum.argmax()) == pytest.approx(scale.pitch(step, sample_rate), abs=1)


def test_speech_is_cut_like_a_song() -> None:
    """At most so many seconds of it, faded out; a short one stays as short as it is."""
    cut, short = (
        Rendering(
            speech_recipe(text=text, voice="a", format="wav", sample_rate=24000, scenario=Scenario(seconds=seconds))
        )
        for text, seconds in ((SAID * 5, 2.5), ("Hi.", 60.0))
    )
    samples = np.frombuffer(b"".join(cut.pieces())[44:], dtype="<i2")
    assert cut.samples == len(samples) == 60000
    assert np.abs(samples[-10:]).max() < 50
    list(short.pieces())
    assert short.samples < 24000


def test_a_song_that_dies_away() -> None:
    """It is as it would be up to the sample at which it falls silent, and as long."""
    loud, mute = (b"".join(Rendering(replace(SONG, mute=mute)).pieces())[44:] for mute in (None, 0.7001))
    heard = round(0.7001 * SAMPLE_RATE) * 4
    assert mute == loud[:heard] + bytes(len(loud) - heard)
    assert any(loud[heard:])
