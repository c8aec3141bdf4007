"""The composer: words in, a score out.

`compose` reads the mood, plans the sections, lets every chair of the band play its bars, and puts the events on the
clock with a player's small unevenness. Invariant: the score is a pure function of the arguments.
It must not know samples, instruments' sound or the wire.
"""

import re
from collections.abc import Sequence

from gateway.upstream.simulator.music import accompaniment, percussion
from gateway.upstream.simulator.music.form import Passage, plan, with_words
from gateway.upstream.simulator.music.grid import BAR, Event, Grid
from gateway.upstream.simulator.music.harmony import Key, voicing
from gateway.upstream.simulator.music.lead import Leader
from gateway.upstream.simulator.music.lyric import LA, OO, stanzas
from gateway.upstream.simulator.music.mood import Mood, Style, mood_of
from gateway.upstream.simulator.music.score import Note, Part, Score, Section

# Style -> keys, counter voice, pad, bass, and the instrument that leads when nobody sings.
_BANDS: dict[Style, tuple[str, str, str, str, str]] = {
    Style.POP: ("electric piano", "bell", "warm pad", "finger bass", "soft lead"),
    Style.ROCK: ("crunch", "guitar", "warm pad", "pick bass", "soft lead"),
    Style.LOFI: ("electric piano", "guitar", "warm pad", "finger bass", "flute"),
    Style.ELECTRONIC: ("synth pluck", "bell", "bright pad", "synth bass", "soft lead"),
    Style.BALLAD: ("piano", "bell", "strings", "finger bass", "violin"),
    Style.FOLK: ("guitar", "flute", "strings", "finger bass", "flute"),
    Style.JAZZ: ("electric piano", "guitar", "warm pad", "finger bass", "flute"),
    Style.AMBIENT: ("bell", "flute", "bright pad", "synth bass", "flute"),
    Style.CLASSICAL: ("piano", "flute", "strings", "finger bass", "violin"),
    Style.ORIENTAL: ("zither", "flute", "strings", "finger bass", "flute"),
    Style.CHIP: ("square", "square", "bright pad", "synth bass", "square"),
}
_SWING = {Style.LOFI: 0.09, Style.JAZZ: 0.15}
_ROOM = {
    Style.AMBIENT: 3.2,
    Style.CLASSICAL: 2.4,
    Style.ORIENTAL: 2.4,
    Style.BALLAD: 2.2,
    Style.LOFI: 1.4,
    Style.CHIP: 1.2,
}
_TAG = re.compile(r"\[.*?\]")
_CENTRE = 60
_TAIL = 3.0
_REFRAIN = (LA, LA, OO, LA, LA, LA, OO)
_REFRAIN_WORDS = "la la ooh, la la la ooh"
_UNEVENNESS = {Part.DRUMS: 0.003, Part.BASS: 0.004, Part.PAD: 0.0}


def compose(text: str, *, lyrics: str = "", gender: str | None = "female") -> Score:
    """A song on `text`. `lyrics` are sung when given, else the text itself; with no `gender` nobody sings."""
    mood = mood_of(text)
    key = Key(mood.tonic, mood.mode)
    stanzas_sung = stanzas(lyrics) if gender else []
    passages = plan(mood, key, stanzas_sung)
    words = lyrics if gender else ""
    if gender and not stanzas_sung:
        own = [line for stanza in stanzas(text) for line in stanza.lines]
        passages = with_words(passages, own, _REFRAIN)
        words = f"[verse]\n{text.strip()}\n[chorus]\n{_REFRAIN_WORDS}"
    end = passages[-1].end
    grid = Grid(mood.tempo, _SWING.get(mood.style, 0.0), end)
    events = _band(mood, key, passages) + Leader(mood, key, gender).play(passages)
    return Score(
        title=title(text),
        tempo=mood.tempo,
        key=key.name,
        style=mood.style,
        seconds=round(grid.seconds(end + BAR) + _TAIL, 3),
        sections=tuple(Section(passage.name, grid.seconds(passage.beat)) for passage in passages),
        instruments=_instruments(mood, sung=gender is not None),
        notes=_played(events, grid, mood),
        gender=gender,
        lyrics=words,
        echo=round(grid.seconds(0.75 if mood.tempo > 90 else 0.5), 3),
        room=_ROOM.get(mood.style, 1.8),
        seed=mood.seed,
    )


def title(text: str) -> str:
    """The beginning of the text, without tags, as the song's name."""
    return " ".join(_TAG.sub(" ", text).split())[:60] or "Untitled"


def _instruments(mood: Mood, *, sung: bool) -> dict[Part, str]:
    keys, counter, pad, bass, lead = _BANDS[mood.style]
    top = "voice" if sung else lead
    return {
        Part.LEAD: top,
        Part.CHOIR: top,
        Part.KEYS: mood.colour or keys,
        Part.COUNTER: counter,
        Part.PAD: pad,
        Part.BASS: bass,
        Part.DRUMS: mood.style,
    }


def _band(mood: Mood, key: Key, passages: Sequence[Passage]) -> list[Event]:
    """Keys, pad, bass and drums, section by section, and the last chord."""
    events: list[Event] = []
    voices: tuple[int, ...] = ()
    draw = mood.dice("band")
    following = [*[chord for passage in passages for chord in passage.chords][1:], key.chord(0)]
    for passage in passages:
        variant = mood.dice(f"pattern {passage.name}").randrange(6)
        for bar, chord in enumerate(passage.chords):
            beat = passage.beat + bar * BAR
            energy = passage.energy + 0.06 * bar / passage.bars
            voices = voicing(chord, voices, _CENTRE)
            events += accompaniment.keys(mood.style, energy, variant, beat, voices, draw)
            if passage.name != "intro" or bar >= passage.bars // 2:
                events += accompaniment.pad(beat, BAR, voices, energy)
                goal = following[passage.first_bar + bar]
                events += accompaniment.bass(mood.style, energy, beat, chord, goal, key, draw)
            if percussion.has_drums(mood.style) and passage.name not in ("intro", "outro"):
                closing = bar == passage.bars - 1 and passage.bars > 2
                play = percussion.fill if closing else percussion.bar
                events += play(mood.style, energy, beat, draw)
                if bar == 0 and energy > 0.75:
                    events += percussion.crash(beat, energy)
    home = voicing(key.chord(0), voices, _CENTRE)
    return events + accompaniment.last_chord(passages[-1].end, home, key.tonic)


def _played(events: list[Event], grid: Grid, mood: Mood) -> tuple[Note, ...]:
    """The events on the clock, in order, a few milliseconds away from it as people are."""
    draw = mood.dice("hands")
    notes = []
    for event in events:
        start = grid.seconds(event.beat)
        seconds = grid.seconds(event.beat + event.beats) - start
        drift = _UNEVENNESS.get(event.part, 0.006)
        start = max(0.0, start + draw.gauss(0.0, drift) if drift else start)
        force = min(1.0, max(0.05, event.velocity * draw.uniform(0.93, 1.05)))
        notes.append(Note(event.part, start, seconds, event.pitch, force, event.sound, event.slide))
    return tuple(sorted(notes, key=lambda note: note.start))
