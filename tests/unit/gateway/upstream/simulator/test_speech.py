"""A voice that speaks.

Invariant tested: what is heard is as loud, as high, as long and as clean as speech, and made no sooner than asked for.
It must not know encodings.
"""

from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest

from gateway.upstream.simulator import speech
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE, Samples
from gateway.upstream.simulator.music.singer import Singer
from gateway.upstream.simulator.prosody import Delivery, notes, speaker

TEXTS = ["The relay listens, and the river answers. Are you still there?", "今天天气很好，我们去江南看雨。你听见了吗？"]
VOICES = ["a", "Cherry", "longcheng"]


def said(text: str, delivery: Delivery) -> npt.NDArray[np.int16]:
    """All of one side."""
    return np.concatenate(list(speech.blocks(text, delivery)))[:, 0]


def loudness(sound: npt.NDArray[np.int16]) -> float:
    """dBFS of the 10 ms in which somebody speaks."""
    frames = sound[: len(sound) // 480 * 480].reshape(-1, 480) / 32768
    power = (frames**2).mean(axis=1)
    return float(10 * np.log10(power[power > 1e-4].mean()))


def hertz(sound: npt.NDArray[np.int16]) -> float:
    """The middle of the fundamentals of its voiced parts."""
    found = []
    for at in range(0, len(sound) - 4096, 2400):
        part = sound[at : at + 4096] * np.hanning(4096)
        if np.sqrt(np.mean(part**2)) > 800:
            likeness = np.fft.irfft(np.abs(np.fft.rfft(part, 8192)) ** 2)[: SAMPLE_RATE // 60]
            found.append(SAMPLE_RATE / (96 + int(likeness[96:].argmax())))
    return float(np.median(found))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("voice", VOICES)
def test_it_is_as_loud_as_speech(text: str, voice: str) -> None:
    """-20 dBFS while speaking, far from clipping, silent at both ends, without a step or an offset."""
    sound = said(text, Delivery(voice))
    assert loudness(sound) == pytest.approx(-20, abs=1)
    assert np.abs(sound).max() < 22000
    assert np.abs(sound[:1000]).max() == np.abs(sound[-1000:]).max() == 0
    assert abs(sound.mean()) < 2
    # A click would reach above all harmonics and hisses.
    frames = sound[: len(sound) // 480 * 480].reshape(-1, 480) * np.hanning(480)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    assert power[:, 120:].sum(axis=1).max() < power.sum(axis=1).max() / 1000


@pytest.mark.parametrize("voice", VOICES)
def test_the_voice_has_its_pitch(voice: str) -> None:
    """Near the voice's own, and an octave higher when that is asked for."""
    own = 440 * 2 ** ((speaker(voice).pitch - 69) / 12)
    assert own * 0.75 < hertz(said(TEXTS[0], Delivery(voice))) < own * 1.33
    ratio = hertz(said(TEXTS[0], Delivery(voice, pitch=1.5))) / hertz(said(TEXTS[0], Delivery(voice)))
    assert ratio == pytest.approx(1.5, rel=0.1)


def test_a_faster_one_is_shorter() -> None:
    """Twice the rate, half the time."""
    times = {rate: len(said(TEXTS[0], Delivery("a", rate=rate))) / SAMPLE_RATE for rate in (0.5, 1.0, 2.0)}
    assert times[0.5] / times[1.0] == pytest.approx(2.0, rel=0.1)
    assert times[1.0] / times[2.0] == pytest.approx(2.0, rel=0.1)


def test_volume() -> None:
    """Twice the volume is 6 dB, which does not clip; none is silence of the same length."""
    usual, loud, none = (said(TEXTS[0], Delivery("a", volume=volume)) for volume in (50, 100, 0))
    assert loudness(loud) - loudness(usual) == pytest.approx(6, abs=0.7)
    assert np.abs(loud).max() < 29000
    assert len(none) == len(usual)
    assert not none.any()


def test_nobody_speaks_in_a_pause() -> None:
    """After a full stop there is silence of a third of a second."""
    sound = said("One. Two.", Delivery("a"))
    second = list(notes("One. Two.", Delivery("a")))[1]
    assert not sound[round((second.start - 0.33) * SAMPLE_RATE) : round(second.start * SAMPLE_RATE)].any()


@pytest.mark.parametrize("text", ["", "...", "— —"])
def test_what_cannot_be_said_is_silence(text: str) -> None:
    """For a moment."""
    sound = said(text, Delivery("a"))
    assert len(sound) == round(speech.TAIL * SAMPLE_RATE)
    assert not sound.any()


def test_blocks_are_half_a_second_on_both_sides() -> None:
    """Only the last one is shorter; both sides are alike."""
    blocks = list(speech.blocks(TEXTS[0], Delivery("a")))
    assert {block.shape for block in blocks[:-1]} == {(SAMPLE_RATE // 2, 2)}
    assert 0 < len(blocks[-1]) <= SAMPLE_RATE // 2
    assert all(block.dtype == np.int16 and np.array_equal(block[:, 0], block[:, 1]) for block in blocks)


def test_the_same_text_and_voice_are_the_same_sound() -> None:
    """Another voice is another one."""
    assert np.array_equal(said(TEXTS[1], Delivery("a")), said(TEXTS[1], Delivery("a")))
    assert not np.array_equal(said(TEXTS[1], Delivery("a"))[:48000], said(TEXTS[1], Delivery("b"))[:48000])


def test_an_hour_is_made_as_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20,000 characters, two blocks sing no more syllables than fit into them."""
    played = []
    play = Singer.play

    def counting(singer: Singer, pitch: int, seconds: float, velocity: float, sound: str, slide: int = 0) -> Samples:
        played.append(sound)
        return play(singer, pitch, seconds, velocity, sound, slide)

    monkeypatch.setattr(Singer, "play", counting)
    assert len(list(islice(speech.blocks("长" * 20000, Delivery("a")), 2))) == 2
    assert 2 <= len(played) <= 7
