"""Plans of songs.

Invariant tested: every plan fits its length, begins with an intro and ends with an outro, and joins without a gap.
It must not know melodies.
"""

import pytest

from gateway.upstream.simulator.music.form import LONGEST, SHORTEST, Passage, plan, with_words
from gateway.upstream.simulator.music.grid import BAR
from gateway.upstream.simulator.music.harmony import Key
from gateway.upstream.simulator.music.lyric import LA, OO, stanzas
from gateway.upstream.simulator.music.mood import Mood, Style

KEY = Key(0, "major")


def mood(tempo: float, style: Style = Style.POP) -> Mood:
    return Mood(style, 0.5, tempo, "major", 0, None, 7)


def seconds(passages: list[Passage], tempo: float) -> float:
    return sum(passage.bars for passage in passages) * BAR * 60 / tempo


@pytest.mark.parametrize("tempo", [56, 80, 100, 120, 156])
@pytest.mark.parametrize(
    "lyrics",
    [
        "",
        "two words",
        "[verse]\n" + "a line that somebody sings\n" * 80,
        "a line that somebody sings\n" * 50,
        "[intro]\n[outro]",
        "[intro]\nhere we go again\n[verse]\n"
        + "a line that somebody sings\n" * 9
        + "[chorus]\nla la la la\n[outro]\nbye",
    ],
)
def test_every_plan_fits(tempo: float, lyrics: str) -> None:
    """Whatever the tempo and the lyrics, a song lasts about one to two minutes and its sections follow each other."""
    passages = plan(mood(tempo), KEY, stanzas(lyrics))
    assert SHORTEST * 0.9 <= seconds(passages, tempo) <= LONGEST * 1.1
    assert (passages[0].name, passages[-1].name) == ("intro", "outro")
    assert [passage.first_bar for passage in passages[1:]] == [
        passage.first_bar + passage.bars for passage in passages[:-1]
    ]
    assert all(len(passage.chords) == passage.bars and 0 < passage.energy <= 1 for passage in passages)


def test_lines_get_two_bars_when_there_is_room() -> None:
    """A short lyric is sung calmly, a long one faster."""
    short = plan(mood(110), KEY, stanzas("[verse]\n" + "a line that somebody sings\n" * 8))
    long = plan(mood(110), KEY, stanzas("[verse]\n" + "a line that somebody sings\n" * 30))
    assert short[1].line_bars == 2
    assert long[1].line_bars == 1


def test_a_kind_of_section_keeps_its_chords() -> None:
    """The second chorus has the chords of the first, and is louder."""
    choruses = [passage for passage in plan(mood(120), KEY, []) if passage.name == "chorus"]
    assert len(choruses) == 3
    assert choruses[0].chords == choruses[1].chords
    assert choruses[0].energy < choruses[1].energy


def test_jazz_has_sevenths() -> None:
    """Styles that ask for it get four-note chords."""
    assert len(plan(mood(100, Style.JAZZ), KEY, [])[0].chords[0].tones) == 4


def test_the_chord_at_a_beat() -> None:
    """A beat finds its bar's chord, the last chord past the end and the first before the start."""
    passage = plan(mood(100), KEY, [])[1]
    assert passage.chord_at(passage.beat + BAR + 1) is passage.chords[1]
    assert passage.chord_at(passage.end + 9) is passage.chords[-1]
    assert passage.chord_at(0) is passage.chords[0]


def test_words_fill_verses_and_the_refrain_choruses() -> None:
    """A plan without lyrics sings the words in its verses, in turn, and the refrain in its choruses."""
    words = [(LA,), (OO,), (LA, OO)]
    passages = with_words(plan(mood(120), KEY, []), words, (LA, LA))
    verses = [passage.lines for passage in passages if passage.name == "verse"]
    assert verses[0][:3] == tuple(words)
    assert verses[0] != verses[1]
    assert all(passage.lines == ((LA, LA),) * 4 for passage in passages if passage.name == "chorus")
    assert passages[0].lines == passages[-1].lines == ()
    assert with_words(passages, [], (LA,))[1].lines == ((LA,),) * 4
