"""Musical time: from beats to seconds, with swing inside each beat and a ritardando before the last chord.

Invariant: later beats never come earlier in seconds.
It must not know chords, sections or sound.
"""

from dataclasses import dataclass
from typing import NamedTuple

from gateway.upstream.simulator.music.score import Part

BAR = 4
_SLOWING = 0.035


class Event(NamedTuple):
    """A note before it has seconds: `beat` and `beats` count quarter notes from the start of the song."""

    part: Part
    beat: float
    beats: float
    pitch: int
    velocity: float
    sound: str = ""
    slide: int = 0


@dataclass(frozen=True, slots=True)
class Grid:
    """`swing` is how late the off-beat comes, as a part of a beat; the last `BAR` beats before `end` slow down."""

    tempo: float
    swing: float
    end: float

    def seconds(self, beat: float) -> float:
        whole, part = divmod(beat, 1.0)
        half = 0.5 + self.swing
        warped = part * half / 0.5 if part < 0.5 else half + (part - 0.5) * (1 - half) / 0.5
        late = max(0.0, beat - (self.end - BAR))
        return (whole + warped + _SLOWING * late * late) * 60.0 / self.tempo
