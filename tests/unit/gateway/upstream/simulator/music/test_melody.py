"""Melodies.

Invariant tested: long and strong notes belong to the chord, leaps are singable, and rhythms leave room to breathe.
It must not know who sings.
"""

import random
from itertools import pairwise

import pytest

from gateway.upstream.simulator.music.harmony import Key
from gateway.upstream.simulator.music.melody import Tune, answer, below, rhythm, sing

KEY = Key(0, "major")
LADDER = KEY.ladder(60, 79)


@pytest.mark.parametrize("beats", [4, 8])
@pytest.mark.parametrize("count", [1, 3, 7, 13])
def test_rhythms(beats: int, count: int) -> None:
    """As many notes as asked for, in order, without overlap, with a breath before the next line."""
    for seed in range(20):
        line = rhythm(count, beats, seed)
        assert len(line) == count
        assert all(at + length <= then + 1e-9 for (at, length), (then, _) in pairwise(line))
        assert line[-1][0] <= beats - 0.5
        assert line[-1][0] + line[-1][1] <= beats


def test_related_rhythms() -> None:
    """With one seed, the slots taken for five notes are among those taken for six."""
    five, six = ({at for at, _ in rhythm(count, 8, 3)} for count in (5, 6))
    assert five < six


@pytest.mark.parametrize("seed", range(25))
def test_strong_notes_belong_to_the_chord_and_leaps_are_small(seed: int) -> None:
    """Notes on strong beats and long ones are chord tones; intervals are fifths at most, the last an octave."""
    draw = random.Random(seed)
    tune = Tune.draw(draw, draw.randint(0, 2))
    chords = [KEY.chord(step) for step in (0, 5, 3, 4)]
    line = rhythm(draw.randint(4, 13), 8, tune.seed)
    pitches = sing(tune, line, lambda beat: chords[int(beat // 4)], LADDER, None)
    for (at, length), pitch in zip(line, pitches, strict=True):
        assert 60 <= pitch <= 79
        if at % 2 == 0 or length >= 1.5:
            assert pitch % 12 in chords[int(at // 4)].tones
    assert all(abs(one - two) <= 7 for one, two in pairwise(pitches[:-1]))
    assert abs(pitches[-1] - pitches[-2]) <= 12


def test_a_line_may_go_home() -> None:
    """The last note is the wanted one when the chord has it, and a chord tone when not."""
    tune = Tune.draw(random.Random(1), 0)
    line = rhythm(6, 8, 5)
    assert sing(tune, line, lambda _: KEY.chord(0), LADDER, 0)[-1] % 12 == 0
    assert sing(tune, line, lambda _: KEY.chord(4), LADDER, 0)[-1] % 12 in KEY.chord(4).tones


def test_tunes_are_not_monotone() -> None:
    """Tunes use several pitches, and different draws give different tunes."""
    lines = set()
    for seed in range(12):
        tune = Tune.draw(random.Random(seed), 0)
        lines.add(tuple(sing(tune, rhythm(8, 8, seed), lambda _: KEY.chord(0), LADDER, 0)))
    assert len(lines) > 9
    assert all(len(set(line)) >= 3 for line in lines)


def test_answers_are_chord_tones() -> None:
    """A reply fits its gap and uses the chord alone, upwards or downwards."""
    directions = set()
    for seed in range(20):
        reply = answer(random.Random(seed), 6.0, 2.0, KEY.chord(0), 76)
        pitches = [pitch for _, _, pitch in reply]
        directions.add(pitches == sorted(pitches))
        assert 2 <= len(reply) <= 4
        assert all(pitch % 12 in (0, 4, 7) for pitch in pitches)
    assert directions == {True, False}


def test_the_voice_below() -> None:
    """A third below where the chord has it, else the nearest note of the key."""
    assert below(KEY, 67, KEY.chord(0)) == 64
    assert below(KEY, 65, KEY.chord(4)) == 62
    assert below(KEY, 69, KEY.chord(4)) in KEY.ladder(64, 67)
