"""Keys, chords, voicings.

Invariant tested: chords stay in their key, and voices move little.
It must not know rhythm or sound.
"""

import random

import pytest

from gateway.upstream.simulator.music.harmony import MODES, Key, nearest, progression, voicing


def test_the_chords_of_a_key() -> None:
    """Chords are thirds stacked within the scale."""
    key = Key(0, "major")
    assert key.name == "C major"
    assert key.chord(0).tones == (0, 4, 7)
    assert key.chord(4, 4).tones == (7, 11, 2, 5)
    assert Key(9, "minor").chord(0).tones == (9, 0, 4)


def test_ladders() -> None:
    """A ladder has every pitch of the scale in its range, or only those of the five-note scale."""
    assert Key(0, "major").ladder(60, 72) == [60, 62, 64, 65, 67, 69, 71, 72]
    assert Key(0, "major").ladder(60, 72, five=True) == [60, 62, 64, 67, 69, 72]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("section", ["verse", "chorus", "bridge"])
def test_progressions_stay_in_the_key(mode: str, section: str) -> None:
    """Every turn of every mode has four chords of its own scale."""
    key = Key(3, mode)
    allowed = {(3 + step) % 12 for step in MODES[mode]}
    for seed in range(8):
        chords = progression(key, section, random.Random(seed), 3)
        assert len(chords) == 4
        assert all(set(chord.tones) <= allowed for chord in chords)


def test_voices_move_little() -> None:
    """From C to F the common tone stays and the others move by a step."""
    key = Key(0, "major")
    first = voicing(key.chord(0), (), 60)
    second = voicing(key.chord(3), first, 60)
    assert {pitch % 12 for pitch in second} == {5, 9, 0}
    assert max(min(abs(pitch - before) for before in first) for pitch in second) <= 2


def test_nearest() -> None:
    """The nearest pitch of the wanted classes, the lower of two, within the range."""
    assert nearest(61, (0, 4), 55, 72) == 60
    assert nearest(62, (0, 4), 55, 72) == 60
    assert nearest(90, (0,), 55, 72) == 72
