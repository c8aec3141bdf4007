"""The plan of a song: its sections, and how long each is, how loud, over which chords and with which words.

Invariant: a plan is between about 60 and 115 seconds long at its tempo, whatever the lyrics; lines that do not fit are
left out. It must not know melodies, patterns or sound.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.upstream.simulator.music.grid import BAR
from gateway.upstream.simulator.music.harmony import Chord, Key, progression
from gateway.upstream.simulator.music.lyric import Stanza, Syllable
from gateway.upstream.simulator.music.mood import Mood, Style

SHORTEST, LONGEST = 64.0, 110.0

_PLANS: tuple[tuple[tuple[str, int], ...], ...] = tuple(
    tuple((name, int(bars)) for name, bars in (section.split(":") for section in plan_.split()))
    for plan_ in (
        "intro:4 verse:8 chorus:8 verse:8 chorus:8 bridge:4 chorus:8 outro:4",
        "intro:4 verse:8 chorus:8 verse:8 chorus:8 outro:4",
        "intro:2 verse:8 chorus:8 bridge:4 chorus:8 outro:2",
        "intro:2 verse:8 chorus:8 outro:4",
    )
)
_LEVELS = {"intro": 0.4, "verse": 0.6, "chorus": 0.95, "bridge": 0.55, "outro": 0.45}


@dataclass(frozen=True, slots=True)
class Passage:
    """One section. `turn` counts its kind from 0, `chords` has one a bar, `line_bars` is how long a sung line takes."""

    name: str
    turn: int
    first_bar: int
    bars: int
    energy: float
    chords: tuple[Chord, ...]
    lines: tuple[tuple[Syllable, ...], ...] = ()
    line_bars: int = 2

    @property
    def beat(self) -> float:
        return float(self.first_bar * BAR)

    @property
    def end(self) -> float:
        return float((self.first_bar + self.bars) * BAR)

    def chord_at(self, beat: float) -> Chord:
        """The chord that sounds at a beat of the song, the last one beyond the end."""
        return self.chords[max(0, min(self.bars - 1, int(beat // BAR) - self.first_bar))]


def plan(mood: Mood, key: Key, stanzas: Sequence[Stanza]) -> list[Passage]:
    """Sections for these stanzas, or a usual arrangement when there are none."""
    bar_seconds = BAR * 60.0 / mood.tempo
    if stanzas:
        outline, line_bars = _sung(stanzas, bar_seconds)
    else:
        usual = next((row for row in _PLANS if sum(bars for _, bars in row) * bar_seconds <= LONGEST), _PLANS[-1])
        outline, line_bars = [(Stanza(name, ()), bars) for name, bars in usual], 2
    return _passages(mood, key, outline, line_bars)


def with_words(
    passages: Sequence[Passage], words: Sequence[tuple[Syllable, ...]], refrain: tuple[Syllable, ...]
) -> list[Passage]:
    """Gives a plan without lyrics something to sing: the words in its verses, the refrain in its choruses."""
    sung = []
    for passage in passages:
        count = passage.bars // passage.line_bars
        if passage.name in ("verse", "bridge") and words:
            lines = tuple(words[(passage.turn * count + number) % len(words)] for number in range(count))
        else:
            lines = (refrain,) * count if passage.name in ("verse", "chorus") else ()
        sung.append(replace(passage, lines=lines))
    return sung


def _sung(stanzas: Sequence[Stanza], bar_seconds: float) -> tuple[list[tuple[Stanza, int]], int]:
    """Two bars for every line if that fits, else one; then sections are left out from the end, or sung again."""
    line_bars = 2
    outline = _outline(stanzas, line_bars, bar_seconds)
    if _seconds(outline, bar_seconds) > LONGEST:
        line_bars = 1
        outline = _outline(stanzas, line_bars, bar_seconds)
    while _seconds(outline, bar_seconds) > LONGEST and len(outline) > 3:
        outline.pop(-2)
    middle = outline[1:-1]
    again = 0
    while _seconds(outline, bar_seconds) < SHORTEST:
        outline.insert(-1, middle[again % len(middle)])
        again += 1
    return outline, line_bars


def _seconds(outline: Sequence[tuple[Stanza, int]], bar_seconds: float) -> float:
    return sum(bars for _, bars in outline) * bar_seconds


def _outline(stanzas: Sequence[Stanza], line_bars: int, bar_seconds: float) -> list[tuple[Stanza, int]]:
    short = 2 if bar_seconds > 2.6 else 4
    longest = (int(LONGEST / bar_seconds) - 2 * short) // 2 * 2
    outline = []
    for stanza in _framed(stanzas):
        sung = len(stanza.lines) * line_bars
        outline.append((stanza, min(sung + sung % 2, longest) if sung else short))
    return outline


def _framed(stanzas: Sequence[Stanza]) -> list[Stanza]:
    """Every song begins with an intro and ends with an outro, and something stands between them."""
    first = [] if stanzas[0].name == "intro" else [Stanza("intro", ())]
    last = [] if stanzas[-1].name == "outro" else [Stanza("outro", ())]
    whole = [*first, *stanzas, *last]
    return whole if len(whole) > 2 else [whole[0], Stanza("verse", ()), whole[-1]]


def _passages(mood: Mood, key: Key, outline: Sequence[tuple[Stanza, int]], line_bars: int) -> list[Passage]:
    size = 4 if mood.style in (Style.JAZZ, Style.LOFI) else 3
    turns: dict[str, int] = {}
    passages: list[Passage] = []
    first_bar = 0
    for stanza, bars in outline:
        turn = turns.setdefault(stanza.name, 0)
        turns[stanza.name] += 1
        # An intro and an outro borrow the verse's chords, so that the song has few turns and knows them well.
        kind = stanza.name if stanza.name in ("chorus", "bridge") else "verse"
        loop = progression(key, kind, mood.dice(f"chords {kind}"), size)
        chords = [loop[bar % len(loop)] for bar in range(bars)]
        energy = _LEVELS[stanza.name] * (0.7 + 0.3 * mood.energy) + 0.04 * turn
        line = min(line_bars, max(1, bars // max(1, len(stanza.lines))))
        passages.append(
            Passage(stanza.name, turn, first_bar, bars, min(1.0, energy), tuple(chords), stanza.lines, line)
        )
        first_bar += bars
    return passages
