"""Moods read from words.

Invariant tested: words push where they should, and everything else follows from the text's hash.
It must not know how moods are played.
"""

import pytest

from gateway.upstream.simulator.music.mood import Style, mood_of


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("a lo-fi evening", Style.LOFI),
        ("loud punk please", Style.ROCK),
        ("江南古筝", Style.ORIENTAL),
        ("an 8-bit adventure", Style.CHIP),
        ("爵士夜晚", Style.JAZZ),
        ("a ballad for the sea", Style.BALLAD),
        ("pop", Style.POP),
    ],
)
def test_words_choose_the_style(text: str, style: Style) -> None:
    """A style's word, in either language, chooses that style."""
    assert mood_of(text).style is style


def test_words_are_words() -> None:
    """A word counts where a word begins, not in the middle of another."""
    assert mood_of("bedrock ballad").style is Style.BALLAD
    assert mood_of("rocky ballad").style is Style.ROCK


@pytest.mark.parametrize(("low", "high"), [("calm", "energetic"), ("安静", "热血")])
def test_energy_and_tempo_follow_words(low: str, high: str) -> None:
    """Calm words slow a style down and take its energy, lively ones do the opposite."""
    calm, lively = mood_of(f"{low} pop"), mood_of(f"{high} pop")
    assert calm.energy < lively.energy
    assert calm.tempo < lively.tempo


def test_sad_is_minor_and_happy_is_major() -> None:
    """Brightness decides the mode."""
    assert mood_of("a sad lonely pop song").mode in ("minor", "dorian")
    assert mood_of("a happy sunny pop song").mode == "major"


def test_modes_of_rock_and_lofi() -> None:
    """Rock that is neither sad nor bright is mixolydian, darkish lo-fi dorian, for some texts at least."""
    assert "mixolydian" in {mood_of(f"rock {n}").mode for n in range(12)}
    assert "dorian" in {mood_of(f"lofi {n}").mode for n in range(12)}


def test_an_instrument_may_be_asked_for() -> None:
    """The keys take the sound that the words name."""
    assert mood_of("钢琴 流行").colour == "piano"
    assert mood_of("pop").colour is None


@pytest.mark.parametrize("push", ["calm", "", "energetic"])
def test_a_style_is_drawn_when_no_word_names_one(push: str) -> None:
    """Without a style's word the hash draws one, not always the same."""
    assert len({mood_of(f"{push} thing number {n}").style for n in range(12)}) > 2


def test_one_text_one_mood_and_two_texts_two() -> None:
    """The mood is a function of the text, and texts that differ by a letter differ in it."""
    assert mood_of("the same words") == mood_of("the same words")
    assert mood_of("the same words") != mood_of("the same word")


def test_dice_are_independent() -> None:
    """Draws for one purpose do not depend on draws for another, and repeat."""
    mood = mood_of("x")
    first = mood.dice("melody").random()
    mood.dice("drums").random()
    assert mood.dice("melody").random() == first != mood.dice("drums").random()
