"""Pad, keys and bass.

Invariant tested: everybody plays the chord, within the bar, and the bass is low.
It must not know drums or melodies.
"""

import random

import pytest

from gateway.upstream.simulator.music.accompaniment import bass, keys, last_chord, pad
from gateway.upstream.simulator.music.harmony import Key
from gateway.upstream.simulator.music.mood import Style

KEY = Key(0, "major")
VOICES = (60, 64, 67)


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("energy", [0.3, 0.9])
@pytest.mark.parametrize("variant", range(3))
def test_keys_play_the_chord_within_the_bar(style: Style, energy: float, variant: int) -> None:
    """Every pattern of every style plays tones of the chord, and starts them inside its bar."""
    events = keys(style, energy, variant, 8.0, VOICES, random.Random(1))
    assert events
    assert all(8.0 <= event.beat < 12.0 and event.beats > 0 for event in events)
    assert {event.pitch % 12 for event in events} <= {0, 4, 7}
    assert all(0 < event.velocity <= 1 for event in events)


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("energy", [0.3, 0.9])
def test_the_bass_begins_with_the_root_and_stays_low(style: Style, energy: float) -> None:
    """The first note is the chord's root, all notes belong to the key and lie below the keys."""
    for step in range(6):
        for goal in range(6):
            events = bass(style, energy, 0.0, KEY.chord(step), KEY.chord(goal), KEY, random.Random(1))
            assert events[0].pitch % 12 == KEY.chord(step).root
            assert all(event.pitch in KEY.ladder(31, 57) for event in events)


def test_the_pad_holds() -> None:
    """Every voice sounds for as long as it is told."""
    assert [(event.pitch, event.beats) for event in pad(0.0, 4.0, VOICES, 0.5)] == [(60, 4.0), (64, 4.0), (67, 4.0)]


def test_the_last_chord_is_the_tonic() -> None:
    """All that sounds at the end belongs to the tonic chord."""
    assert {event.pitch % 12 for event in last_chord(0.0, VOICES, 0)} == {0, 4, 7}
