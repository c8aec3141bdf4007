"""Lyrics as singable material: stanzas of lines of syllables.

A `Syllable` is what a singing voice needs: how it begins and which vowel it holds. English is cut at vowel groups,
every Chinese character is one syllable whose sound is drawn from its code point, since no pronunciation is known here.
Invariant: the same text always gives the same syllables, and no line is longer than a breath (`LONGEST_LINE`).
It must not know tempo, pitch or sections beyond the names written in [brackets].
"""

import re
from dataclasses import dataclass

LONGEST_LINE = 13
SHORTEST_LINE = 4

_TAG = re.compile(r"^\s*[\[【]\s*([A-Za-z][A-Za-z \-]*?|[\u4e00-\u9fff]{1,4})\s*\d*\s*[\]】]\s*[:：]?\s*", re.MULTILINE)
_BREAK = re.compile(r"[\n\r,.;:!?，。；：！？、…—\"“”]+")
_WORD = re.compile(r"[\u4e00-\u9fff]|[A-Za-z][A-Za-z'’]*")
_VOWELS = re.compile(r"[aeiouy]+")
_ONSETS = (("hiss", "szcxj"), ("stop", "tkpdbgq"), ("breath", "hfv"))

# What other writers call a part of a song, and which of the provider's names it is sung as.
_NAMES = (
    ("intro", ("intro", "前奏")),
    ("chorus", ("chorus", "hook", "refrain", "副歌")),
    ("bridge", ("bridge", "interlude", "solo", "break", "inst", "间奏", "桥段")),
    ("outro", ("outro", "end", "coda", "尾奏", "结尾")),
)


@dataclass(frozen=True, slots=True)
class Syllable:
    """`onset` is hiss, stop, breath or soft; `vowel` is one of a e i o u."""

    onset: str
    vowel: str


@dataclass(frozen=True, slots=True)
class Stanza:
    """One section of the lyrics: intro, verse, chorus, bridge or outro, and its lines, which may be none."""

    name: str
    lines: tuple[tuple[Syllable, ...], ...]


LA = Syllable("soft", "a")
OO = Syllable("soft", "u")


def stanzas(lyrics: str) -> list[Stanza]:
    """Cuts at the [tags]; text without any becomes stanzas of four lines, verse and chorus by turns."""
    found = list(_TAG.finditer(lyrics))
    if not found:
        return _untagged(_lines(lyrics))
    parts = [Stanza("verse", tuple(_lines(lyrics[: found[0].start()])))]
    for tag, following in zip(found, [*found[1:], None], strict=True):
        text = lyrics[tag.end() : following.start() if following else len(lyrics)]
        parts.append(Stanza(_section(tag[1]), tuple(_lines(text))))
    return parts if parts[0].lines else parts[1:]


def _untagged(lines: list[tuple[Syllable, ...]]) -> list[Stanza]:
    names = ("verse", "chorus", "verse", "chorus", "bridge", "chorus")
    groups = [tuple(lines[at : at + 4]) for at in range(0, len(lines), 4)]
    return [Stanza(names[number % len(names)], group) for number, group in enumerate(groups)]


def _section(tag: str) -> str:
    wanted = tag.lower()
    return next((name for name, words in _NAMES if any(word in wanted for word in words)), "verse")


def _lines(text: str) -> list[tuple[Syllable, ...]]:
    """Lines of at most a breath; what is too short to be sung alone joins the line before it."""
    lines: list[list[Syllable]] = []
    for piece in _BREAK.split(text):
        sung = [syllable for word in _WORD.findall(piece) for syllable in _word(word)]
        if sung and lines and min(len(sung), len(lines[-1])) < SHORTEST_LINE and len(sung + lines[-1]) <= LONGEST_LINE:
            lines[-1].extend(sung)
        elif sung:
            lines.extend(_breaths(sung))
    return [tuple(line) for line in lines]


def _breaths(sung: list[Syllable]) -> list[list[Syllable]]:
    count = -(-len(sung) // LONGEST_LINE)
    size = -(-len(sung) // count)
    return [sung[at : at + size] for at in range(0, len(sung), size)]


def _word(word: str) -> list[Syllable]:
    if ord(word[0]) > 0x2E80:
        code = ord(word)
        return [Syllable(("hiss", "stop", "breath", "soft", "soft", "stop")[code % 6], "aeiouaoi"[code // 6 % 8])]
    lower = word.lower()
    nuclei = [match for match in _VOWELS.finditer(lower) if not _silent(lower, match)]
    return [_syllable(lower, nucleus) for nucleus in nuclei] or [Syllable(_onset(lower[0]), "a")]


def _silent(word: str, vowel: re.Match[str]) -> bool:
    """The final e of `time` and the e of `loved` are written and not sung."""
    tail = word[vowel.start() :]
    return vowel.start() > 1 and tail in ("e", "es", "ed") and bool(_VOWELS.search(word[: vowel.start()]))


def _syllable(word: str, nucleus: re.Match[str]) -> Syllable:
    before = word[nucleus.start() - 1] if nucleus.start() else ""
    vowels = nucleus[0]
    return Syllable(
        _onset(before), {"y": "i", "oo": "u", "ee": "i", "ea": "i", "ou": "o"}.get(vowels, vowels[0]).replace("y", "i")
    )


def _onset(letter: str) -> str:
    return next((name for name, letters in _ONSETS if letter and letter in letters), "soft")
