"""Instruments.

Invariant tested: notes of every tone are clean at both ends, in tune, and of one loudness class.
It must not know the score.
"""

import numpy as np
import pytest

from gateway.upstream.simulator.music.instruments import TONES, Instrument
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE, Samples, frequency


@pytest.mark.parametrize("name", TONES)
def test_a_note_is_clean_and_in_tune(name: str) -> None:
    """It begins and ends at silence, jumps nowhere, stays inside full scale, and has its pitch."""
    pitch = 45 if "bass" in name else 69
    note = Instrument(TONES[name], 1).play(pitch, 0.8, 0.8)
    assert note.shape[0] == 2
    assert np.isfinite(note).all()
    assert np.abs(note[:, :2]).max() < 0.02
    assert np.abs(note[:, -2:]).max() < 0.005
    assert 0.05 < np.abs(note).max() < 1.6
    spectrum = np.abs(np.fft.rfft(note[0], SAMPLE_RATE * 4))
    low, high = (int(4 * frequency(pitch) * ratio) for ratio in (0.97, 1.03))
    harmonic = spectrum[low:high].max()
    between = spectrum[int(4 * frequency(pitch) * 1.4) : int(4 * frequency(pitch) * 1.6)].max()
    assert harmonic > 5 * between


def test_louder_is_louder_and_brighter() -> None:
    """Velocity raises the level, and the upper harmonics more than the lower."""
    piano = Instrument(TONES["piano"], 1)
    soft, loud = piano.play(60, 0.5, 0.3)[0], piano.play(60, 0.5, 0.9)[0]
    assert np.abs(loud).max() > 2 * np.abs(soft).max()

    def brightness(sound: Samples) -> float:
        power = np.abs(np.fft.rfft(sound)) ** 2
        hertz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
        return float(power[hertz > 900].sum() / power.sum())

    assert brightness(loud) > brightness(soft)


def test_high_notes_do_not_alias() -> None:
    """The highest notes have nothing above half the rate to fold back: all lines are harmonics."""
    note = Instrument(TONES["bell"], 1).play(100, 0.5, 0.8)[0]
    spectrum = np.abs(np.fft.rfft(note[:24000] * np.hanning(24000))) ** 2
    hertz = np.fft.rfftfreq(24000, 1 / SAMPLE_RATE)
    assert spectrum[hertz < frequency(100) * 0.8].sum() < 1e-4 * spectrum.sum()


def test_a_slide_ends_on_the_pitch() -> None:
    """A note that comes from elsewhere arrives."""
    flute = Instrument(TONES["flute"], 1)
    note = flute.play(69, 0.6, 0.8, slide=-5)[0]
    spectrum = np.abs(np.fft.rfft(note[9600:24000], SAMPLE_RATE))
    assert abs(int(spectrum.argmax()) - 440) <= 5


def test_notes_are_not_longer_than_a_tone_lasts() -> None:
    """A plucked string that is held for a minute still dies after its time."""
    tone = TONES["synth pluck"]
    assert Instrument(tone, 1).play(60, 60.0, 0.5).shape[1] == int((tone.longest + tone.release) * SAMPLE_RATE)
