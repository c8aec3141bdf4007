"""The score: a whole song as plain values, from which sound follows without any further choice.

Invariant: notes are in the order of their starts; times are seconds from the first sample and end before `seconds`;
pitches are MIDI numbers (60 = middle C). It must not know how it was composed nor how it will sound.
"""

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """The chairs of the band."""

    LEAD = "lead"
    CHOIR = "choir"
    KEYS = "keys"
    COUNTER = "counter"
    PAD = "pad"
    BASS = "bass"
    DRUMS = "drums"


@dataclass(frozen=True, slots=True)
class Note:
    """One note. `velocity` runs 0..1, `slide` is how many semitones away its pitch begins.

    `sound` is the drum's name for the drums and `onset vowel` for a singing part.
    """

    part: Part
    start: float
    seconds: float
    pitch: int
    velocity: float
    sound: str = ""
    slide: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of the song, for people: its name and where it begins, in seconds."""

    name: str
    start: float


@dataclass(frozen=True, slots=True)
class Score:
    """A song. `instruments` names the sound of every part, `echo` and `room` are seconds.

    `gender` is the singer's, None when nobody sings.
    """

    title: str
    tempo: float
    key: str
    style: str
    seconds: float
    sections: tuple[Section, ...]
    instruments: dict[Part, str]
    notes: tuple[Note, ...]
    gender: str | None
    lyrics: str
    echo: float
    room: float
    seed: int
