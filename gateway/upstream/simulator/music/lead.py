"""The foreground: the lead's lines, the answers to them, a second voice below, and the hook in intro and outro.

Lines with words are sung by the lead; a song that nobody sings gives them to an instrument, which passes every fourth
line to the counter voice. Invariant: the same kind of section always has the same tunes.
It must not know accompaniment, seconds or sound.
"""

from collections.abc import Sequence

from gateway.upstream.simulator.music import melody
from gateway.upstream.simulator.music.form import Passage
from gateway.upstream.simulator.music.grid import BAR, Event
from gateway.upstream.simulator.music.harmony import Key
from gateway.upstream.simulator.music.melody import Rhythm, Tune
from gateway.upstream.simulator.music.mood import Mood, Style
from gateway.upstream.simulator.music.score import Part

_RANGES = {"female": (60, 79), "male": (48, 67), None: (64, 84)}
_COUNTER_RANGE = (64, 84)
_LIFT = {"chorus": 2, "bridge": 1}
_ANSWER_CENTRE = 76
_HOOK_NOTES = 6


class Leader:
    """Writes the foreground of one song. `gender` is None when nobody sings."""

    def __init__(self, mood: Mood, key: Key, gender: str | None) -> None:
        self._mood = mood
        self._key = key
        self._gender = gender
        self._five = mood.style in (Style.ORIENTAL, Style.ROCK) or mood.dice("ladder").random() < 0.6
        self._ladder = key.ladder(*_RANGES[gender], five=self._five)

    def play(self, passages: Sequence[Passage]) -> list[Event]:
        events: list[Event] = []
        for passage in passages:
            lines = self._lines(passage)
            events += self._section(passage, lines) if lines else self._hook(passage)
        return events

    def _lines(self, passage: Passage) -> list[list[str]]:
        """What each line sings, a sound a note; an instrument's notes have no sound."""
        if self._gender is not None:
            return [[f"{syllable.onset} {syllable.vowel}" for syllable in line] for line in passage.lines]
        if passage.name not in ("verse", "chorus", "bridge"):
            return []
        draw = self._mood.dice(f"lengths {passage.name}")
        longer = 2 if self._mood.energy > 0.5 else 0
        counts = [draw.randint(5, 8) + longer for _ in range(2)]
        return [[""] * counts[number % 2] for number in range(passage.bars // passage.line_bars)]

    def _tune(self, name: str, purpose: str = "tune") -> Tune:
        return Tune.draw(self._mood.dice(f"{purpose} {name}"), _LIFT.get(name, 0))

    def _section(self, passage: Passage, lines: Sequence[Sequence[str]]) -> list[Event]:
        first, second = self._tune(passage.name), self._tune(passage.name, "second tune")
        span = passage.line_bars * BAR
        events: list[Event] = []
        for number, sounds in enumerate(lines[: passage.bars // passage.line_bars]):
            start = passage.beat + number * span
            tune = second if number % 4 == 2 else first
            times = melody.rhythm(len(sounds), span, tune.seed)
            pitches = self._pitches(tune, passage, start, times, home=number % 2 == 1)
            swaps = self._gender is None and number % 4 == 3
            part = Part.COUNTER if swaps else Part.LEAD
            events += _phrase(part, start, times, pitches, sounds, 0.55 + 0.35 * passage.energy)
            if passage.name == "chorus" and passage.turn > 0 and not swaps:
                lower = [
                    melody.below(self._key, pitch, passage.chord_at(start + at))
                    for pitch, (at, _) in zip(pitches, times, strict=True)
                ]
                events += _phrase(Part.CHOIR, start, times, lower, sounds, 0.5)
            if number % 2 == 0:
                events += self._answer(passage, number, start + times[-1][0] + max(1.0, times[-1][1]), start + span)
        return events

    def _pitches(self, tune: Tune, passage: Passage, start: float, times: Rhythm, *, home: bool) -> list[int]:
        return melody.sing(
            tune, times, lambda beat: passage.chord_at(start + beat), self._ladder, self._key.tonic if home else None
        )

    def _answer(self, passage: Passage, number: int, start: float, end: float) -> list[Event]:
        if end - start < 1.0:
            return []
        draw = self._mood.dice(f"answer {passage.name} {passage.turn} {number}")
        reply = melody.answer(draw, start, end - start, passage.chord_at(start), _ANSWER_CENTRE)
        force = 0.4 + 0.2 * passage.energy
        return [Event(Part.COUNTER, at, beats, pitch, force) for at, beats, pitch in reply]

    def _hook(self, passage: Passage) -> list[Event]:
        """The chorus's tune, announced or remembered by the counter voice where nobody sings."""
        tune = self._tune("chorus")
        span = 2 * BAR
        start = passage.end - span if passage.name == "intro" else passage.beat
        times = melody.rhythm(_HOOK_NOTES, span, tune.seed)
        ladder = self._key.ladder(*_COUNTER_RANGE, five=self._five)
        pitches = melody.sing(tune, times, lambda beat: passage.chord_at(start + beat), ladder, self._key.tonic)
        return _phrase(Part.COUNTER, start, times, pitches, [""] * _HOOK_NOTES, 0.5)


def _phrase(
    part: Part, start: float, times: Rhythm, pitches: Sequence[int], sounds: Sequence[str], force: float
) -> list[Event]:
    """A line as events: notes that follow closely slide from the one before, the highest note is leaned on."""
    events = []
    peak = max(pitches)
    before, free = pitches[0], 0.0
    for (at, beats), pitch, sound in zip(times, pitches, sounds, strict=False):
        slide = before - pitch if at - free < 0.05 and at > 0 else -1
        accent = 0.07 * (pitch == peak) + 0.05 * (at % 2 == 0)
        events.append(Event(part, start + at, beats * 0.97, pitch, min(1.0, force + accent), sound, slide))
        before, free = pitch, at + beats
    return events
