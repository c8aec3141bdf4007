"""Lyrics cut into stanzas, lines and syllables.

Invariant tested: every text, tagged or not, English or Chinese, gives lines that one breath can hold.
It must not know how syllables are sung.
"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.simulator.music.lyric import LONGEST_LINE, Syllable, stanzas


def test_tags_make_sections() -> None:
    """Each tag opens a section of the provider's five names, in order, and other writers' names are understood."""
    found = stanzas("[Intro]\n[Verse 1]\nhello darkness my old friend\n[Hook]\nla la la la\n[间奏]\n[End]")
    assert [stanza.name for stanza in found] == ["intro", "verse", "chorus", "bridge", "outro"]
    assert [len(stanza.lines) for stanza in found] == [0, 1, 1, 0, 0]


def test_words_before_the_first_tag_are_sung() -> None:
    """Text in front of the first tag is a verse of its own."""
    found = stanzas("we begin without a tag\n[chorus]\nand then there is one")
    assert [stanza.name for stanza in found] == ["verse", "chorus"]


def test_untagged_text_becomes_stanzas_of_four_lines() -> None:
    """Without tags, verses and choruses of four lines take turns."""
    found = stanzas("\n".join(["this is a line of words"] * 9))
    assert [(stanza.name, len(stanza.lines)) for stanza in found] == [("verse", 4), ("chorus", 4), ("verse", 1)]


def test_english_syllables() -> None:
    """A word has as many syllables as vowel groups, silent final e left out, and at least one."""
    assert [len(stanzas(word)[0].lines[0]) for word in ("time", "loved", "river", "the", "hmm", "beautiful")] == [
        1,
        1,
        2,
        1,
        1,
        3,
    ]
    assert stanzas("moon")[0].lines[0] == (Syllable("soft", "u"),)
    assert stanzas("see")[0].lines[0] == (Syllable("hiss", "i"),)


def test_a_chinese_character_is_a_syllable() -> None:
    """Every character is sung once, always with the same sound."""
    line = stanzas("江南江南")[0].lines[0]
    assert len(line) == 4
    assert line[:2] == line[2:]


def test_short_pieces_join() -> None:
    """A cry between commas is not a line of its own."""
    assert [len(line) for line in stanzas("oh, the long and winding road")[0].lines] == [7]


def test_nothing_gives_nothing() -> None:
    """Text without a letter has no stanzas."""
    assert stanzas("") == []
    assert stanzas("  ... 123\n") == []


@given(st.text(alphabet="ab e\n,[]verse江南", max_size=300))
def test_no_line_is_longer_than_a_breath(text: str) -> None:
    """Whatever the text, lines are sung in one breath and are never empty."""
    for stanza in stanzas(text):
        assert all(1 <= len(line) <= LONGEST_LINE for line in stanza.lines)
