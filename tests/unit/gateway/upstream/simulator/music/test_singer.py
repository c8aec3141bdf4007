"""The singer.

Invariant tested: vowels differ, genders differ, and every syllable is clean and in tune.
It must not know words.
"""

import numpy as np
import numpy.typing as npt
import pytest

from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE, Samples
from gateway.upstream.simulator.music.singer import Singer


def envelope(sound: Samples) -> npt.NDArray[np.float64]:
    power = np.abs(np.fft.rfft(sound[9600:28800])) ** 2
    hertz = np.fft.rfftfreq(19200, 1 / SAMPLE_RATE)
    bands = np.array([power[(hertz >= low) & (hertz < low + 300)].sum() for low in range(100, 4000, 300)])
    shape: npt.NDArray[np.float64] = bands / bands.sum()
    return shape


@pytest.mark.parametrize("onset", ["hiss", "stop", "breath", "soft"])
@pytest.mark.parametrize("vowel", "aeiou")
def test_a_syllable_is_clean(onset: str, vowel: str) -> None:
    """It begins and ends near silence and stays inside full scale."""
    note = Singer("female", 1).play(67, 0.5, 0.9, f"{onset} {vowel}")
    assert np.isfinite(note).all()
    assert np.abs(note[:, 0]).max() < 0.01
    assert np.abs(note[:, -1]).max() < 0.01
    assert 0.1 < np.abs(note).max() < 2.5


def test_vowels_have_their_own_spectra() -> None:
    """No two vowels on one pitch have the same shape."""
    shapes = [envelope(Singer("male", 1).play(50, 0.7, 0.8, f"soft {vowel}")[0]) for vowel in "aeiou"]
    for at, one in enumerate(shapes):
        assert all(np.abs(one - other).sum() > 0.15 for other in shapes[at + 1 :])


def test_a_female_voice_is_not_a_male_one() -> None:
    """The same note has another colour, because the throat has another size."""
    voices = [envelope(Singer(gender, 1).play(57, 0.7, 0.8, "soft a")[0]) for gender in ("female", "male")]
    assert np.abs(voices[0] - voices[1]).sum() > 0.15


def test_the_pitch_is_sung() -> None:
    """The strongest low line is the note, after a slide too."""
    note = Singer("male", 1).play(57, 0.8, 0.8, "soft u", slide=4)[0]
    spectrum = np.abs(np.fft.rfft(note[12000:36000], SAMPLE_RATE))[:260]
    assert abs(int(spectrum.argmax()) - 220) <= 6


def test_the_same_seed_sings_the_same() -> None:
    """Nothing but the seed decides."""
    one, two = (Singer("female", 5).play(60, 0.3, 0.8, "hiss i") for _ in range(2))
    assert np.array_equal(one, two)
