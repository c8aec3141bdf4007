"""Whole scores.

Invariant tested: a score is a function of its words, different words differ, and every part of the promise is kept.
It must not know sound.
"""

import time

import pytest

from gateway.upstream.simulator.music.composer import compose, title
from gateway.upstream.simulator.music.mood import Style
from gateway.upstream.simulator.music.score import Part

TEXTS = [
    "a calm piano piece",
    "欢快的夏天流行",
    "loud rock",
    "lofi",
    "江南",
    "jazz",
    "ambient",
    "8-bit",
    "folk",
    "ballad",
    "edm",
    "waltz",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("gender", ["female", None])
def test_every_score_is_sound(text: str, gender: str | None) -> None:
    """Notes are in order, inside the song, playable, and the song lasts one to two minutes."""
    score = compose(text, gender=gender)
    starts = [note.start for note in score.notes]
    assert starts == sorted(starts)
    assert starts[0] >= 0
    assert 55 <= score.seconds <= 130
    for note in score.notes:
        assert note.start + note.seconds <= score.seconds
        assert note.seconds > 0
        assert 0 < note.velocity <= 1
        assert note.part is Part.DRUMS or 28 <= note.pitch <= 100


def test_the_same_words_give_the_same_score() -> None:
    """A score is a pure function of what is asked for."""
    assert compose("the same words") == compose("the same words")


def test_different_words_give_different_songs() -> None:
    """Prompts that differ a little differ in their notes, and many prompts differ in key, tempo and style."""
    scores = [compose(f"song number {n}") for n in range(10)]
    assert len({score.notes for score in scores}) == 10
    assert len({(score.key, score.tempo) for score in scores}) == 10
    assert len({score.style for score in scores}) > 2


def test_lyrics_are_sung_and_reported() -> None:
    """Given lyrics are what the song says that it sings, and every part of it is there."""
    lyrics = "[verse]\nthe river runs along the road\n[chorus]\nhold me now and never let me go"
    score = compose(lyrics, lyrics=lyrics, gender="male")
    assert score.lyrics == lyrics
    assert [section.name for section in score.sections][:3] == ["intro", "verse", "chorus"]
    assert score.title == "the river runs along the road hold me now and never let me g"
    assert score.instruments[Part.LEAD] == "voice"


def test_a_prompt_is_sung_when_there_are_no_lyrics() -> None:
    """Without lyrics the words of the prompt are sung, and reported."""
    score = compose("a song about the sea")
    assert "a song about the sea" in score.lyrics
    assert any(note.sound for note in score.notes if note.part is Part.LEAD)


def test_an_instrumental_sings_nothing() -> None:
    """With nobody to sing there are no lyrics and no voice."""
    score = compose("a song about the sea", lyrics="la la la", gender=None)
    assert score.lyrics == ""
    assert score.instruments[Part.LEAD] != "voice"
    assert not any(note.sound for note in score.notes if note.part is not Part.DRUMS)


def test_quiet_styles_have_no_drums() -> None:
    """A classical song has no drums, a rock song has."""
    assert not any(note.part is Part.DRUMS for note in compose("classical").notes)
    rock = compose("rock")
    assert rock.style == Style.ROCK
    assert any(note.sound == "crash" for note in rock.notes)


def test_titles() -> None:
    """A title is the text's beginning without its tags, and never empty."""
    assert title("[verse]\n hello \n world") == "hello world"
    assert title(" [verse] ") == "Untitled"
    assert len(title("word " * 40)) <= 60


def test_composing_is_quick() -> None:
    """A score takes milliseconds of the processor, so the first sound is not kept waiting."""
    start = time.process_time()
    compose("a quick one")
    assert time.process_time() - start < 0.5
