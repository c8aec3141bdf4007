"""Keys, chords and how one chord moves to the next.

A chord is a set of pitch classes with a root; a voicing is the notes that are really played, chosen so that every voice
moves as little as it can. Invariant: all chords belong to the key's own scale.
It must not know rhythm, sections or instruments.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

NAMES = ("C", "D♭", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
# Steps of the scale (from 0) that make the five-note scale in which nothing clashes.
_FIVE = {"major": (0, 1, 2, 4, 5), "minor": (0, 2, 3, 4, 6), "dorian": (0, 2, 3, 4, 6), "mixolydian": (0, 1, 2, 4, 5)}
# Four-chord turns as steps of the scale from 0; the first lists rest, the second ones lift.
_VERSE: dict[str, tuple[tuple[int, ...], ...]] = {
    "major": ((0, 5, 3, 4), (0, 2, 3, 4), (0, 4, 5, 3), (0, 3, 5, 4), (0, 5, 1, 4), (5, 3, 0, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 5, 6), (0, 6, 5, 6), (0, 2, 5, 6), (0, 5, 3, 6)),
    "dorian": ((0, 3, 0, 3), (0, 6, 3, 0), (0, 2, 3, 6), (0, 3, 6, 2)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 6, 3), (0, 4, 6, 3)),
}
_CHORUS: dict[str, tuple[tuple[int, ...], ...]] = {
    "major": ((3, 4, 2, 5), (0, 4, 5, 3), (3, 0, 4, 5), (5, 3, 0, 4), (0, 4, 1, 3), (3, 4, 5, 0)),
    "minor": ((5, 6, 0, 0), (0, 5, 2, 6), (5, 2, 6, 0), (3, 0, 5, 6), (5, 6, 2, 0)),
    "dorian": ((2, 3, 0, 6), (0, 6, 3, 3), (6, 3, 0, 0)),
    "mixolydian": ((3, 0, 6, 0), (0, 6, 3, 3), (6, 3, 0, 0)),
}


@dataclass(frozen=True, slots=True)
class Chord:
    """`root` and `tones` are pitch classes; `tones` begins with the root and is stacked in thirds."""

    root: int
    tones: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """A tonic (pitch class) and a mode of `MODES`."""

    tonic: int
    mode: str

    @property
    def name(self) -> str:
        return f"{NAMES[self.tonic]} {self.mode}"

    def chord(self, step: int, size: int = 3) -> Chord:
        """The chord of `size` tones on a step of the scale, counted from 0."""
        scale = MODES[self.mode]
        tones = tuple((self.tonic + scale[(step + 2 * third) % 7]) % 12 for third in range(size))
        return Chord(tones[0], tones)

    def ladder(self, low: int, high: int, *, five: bool = False) -> list[int]:
        """All pitches of the scale from `low` to `high` inclusive; with `five`, of its five-note selection."""
        scale = MODES[self.mode]
        steps = [scale[step] for step in _FIVE[self.mode]] if five else list(scale)
        classes = {(self.tonic + step) % 12 for step in steps}
        return [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]


def progression(key: Key, section: str, draw: random.Random, size: int) -> list[Chord]:
    """Four bars of chords for a kind of section."""
    table = _CHORUS if section in ("chorus", "bridge") else _VERSE
    return [key.chord(step, size) for step in draw.choice(table[key.mode])]


def voicing(chord: Chord, previous: Sequence[int], centre: int) -> tuple[int, ...]:
    """Close position, the inversion whose voices move least from `previous` and stay near `centre`."""
    turns = [chord.tones[turn:] + chord.tones[:turn] for turn in range(len(chord.tones))]
    bottoms = range(centre - 12, centre + 5)
    candidates = [_stack(bottom, order) for order in turns for bottom in bottoms if bottom % 12 == order[0]]
    return min(candidates, key=lambda voices: _effort(voices, previous, centre))


def nearest(pitch: int, classes: Sequence[int], low: int, high: int) -> int:
    """The pitch of one of the pitch classes that is closest to `pitch` within the range."""
    inside = [candidate for candidate in range(low, high + 1) if candidate % 12 in classes]
    return min(inside, key=lambda candidate: (abs(candidate - pitch), candidate))


def _stack(bottom: int, order: Sequence[int]) -> tuple[int, ...]:
    voices = [bottom]
    for tone in order[1:]:
        voices.append(voices[-1] + (tone - voices[-1]) % 12)
    return tuple(voices)


def _effort(voices: Sequence[int], previous: Sequence[int], centre: int) -> float:
    middle = sum(voices) / len(voices)
    moves = sum(min(abs(voice - before) for before in previous) for voice in voices) if previous else 0
    return moves + 0.6 * abs(middle - centre)
