"""How a text is said.

Invariant tested: every text becomes syllables in order, by voice and delivery alone, and no more of it than is asked.
It must not know samples.
"""

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.simulator.music.score import Note
from gateway.upstream.simulator.prosody import Delivery, notes, speaker

ENGLISH = "The river answers every morning with a longer song"
USUAL = Delivery("Cherry")


def said(text: str, delivery: Delivery = USUAL) -> list[Note]:
    return list(notes(text, delivery))


def gaps(text: str) -> list[float]:
    """Seconds between the starts of neighbours, where they are more than a syllable apart."""
    steps = (later.start - earlier.start for earlier, later in pairwise(said(text)))
    return [step for step in steps if step > 0.35]


@pytest.mark.parametrize(
    ("text", "syllables"),
    [
        ("hello world", 3),
        ("今天天气很好", 6),
        ("in 2024", 5),
        ("３.14", 3),
        ("über", 2),
        ("こんにちは", 5),
        ("...!", 0),
        ("", 0),
    ],
)
def test_what_is_a_syllable(text: str, syllables: int) -> None:
    """English by vowels, a Chinese character each, and so each digit; other scripts are not silent either."""
    assert len(said(text)) == syllables


@pytest.mark.parametrize("text", [ENGLISH * 3, "很" * 40])
@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0])
def test_four_to_five_syllables_a_second(text: str, rate: float) -> None:
    """Times the rate that was asked for, pauses for breath included."""
    found = said(text, Delivery("a", rate=rate))
    assert 4.0 * rate < (len(found) - 1) / (found[-1].start - found[0].start) < 5.0 * rate


def test_signs_are_pauses() -> None:
    """A full stop is a longer one than a comma, and a point between digits is none."""
    assert len(gaps("one, two, three")) == 2
    assert min(gaps("one. two. three")) > max(gaps("one, two, three"))
    assert gaps("你好，世界。再见") == pytest.approx(gaps("你好,世界.再见"), abs=0.1)
    assert gaps("12.50") == []


def test_a_sentence_falls_and_a_question_rises() -> None:
    """From its beginning to its end, by several semitones; the last syllable of a question is above those before it."""
    pitches = [note.pitch for note in said(ENGLISH + ".")]
    assert sum(pitches[:4]) / 4 > sum(pitches[-4:]) / 4 + 3
    asked = [note.pitch for note in said(ENGLISH + "?")]
    assert asked[-1] > max(asked[-4:-1])


def test_the_pitch_asked_for_moves_all() -> None:
    """An octave up is twelve semitones for each syllable, and nothing else."""
    usual, high = said(ENGLISH), said(ENGLISH, Delivery("Cherry", pitch=2.0))
    assert [note.pitch + 12 for note in usual] == [note.pitch for note in high]
    assert [note.start for note in usual] == [note.start for note in high]


def test_a_voice_is_its_name() -> None:
    """Names are men and women of several pitches, always the same."""
    names = [f"voice {number}" for number in range(40)]
    people = [speaker(name) for name in names]
    assert people == [speaker(name) for name in names]
    assert {one.gender for one in people} == {"female", "male"}
    assert len({one.pitch for one in people}) > 6
    assert max(one.pitch for one in people if one.gender == "male") < min(
        one.pitch for one in people if one.gender == "female"
    )
    assert said(ENGLISH) == said(ENGLISH) != said(ENGLISH, Delivery("Ethan"))


def test_a_long_text_is_not_cut_at_once() -> None:
    """The beginning of an endless one comes without the rest; a phrase without a sign is cut by breaths."""
    found = list(islice(notes("又一句话，" * 4000, USUAL), 5))
    assert len(found) == 5
    assert len(gaps("长" * 60)) >= 4


@given(st.text(alphabet="ab e.,?!\n3（“é江南", max_size=200), st.floats(0.5, 2.0))
def test_notes_come_in_order(text: str, rate: float) -> None:
    """Whatever the text, each syllable begins after the one before and lasts for a moment that a voice has."""
    found = said(text, Delivery("v", rate=rate))
    assert all(earlier.start < later.start for earlier, later in pairwise(found))
    assert all(0.03 <= note.seconds < 1.0 and 0 < note.velocity <= 1 for note in found)
