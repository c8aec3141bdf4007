"""Melodies: a rhythm for so many notes, a contour over the chords, an answer in the gap, a third below.

What makes a tune is kept apart from chance: `Tune` holds one motif (rhythm draw, contour, reach), and every line of a
section states it again over its own chords, so sections have a hook and their repetitions are recognised.
Invariant: long notes and those on strong beats belong to the chord, others move by step; leaps are a fifth at most.
It must not know which voice or instrument plays, nor seconds.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.upstream.simulator.music.harmony import Chord, Key, nearest

Rhythm = list[tuple[float, float]]

_WIDEST_LEAP = 7
_SHAPES = ((0.0, 1.0, 0.2), (1.0, 0.5, 0.0), (0.2, 0.4, 1.0, 0.5), (0.3, 1.0, 0.1, 0.6, 0.0), (0.5, 0.0, 1.0, 0.4))
_WIGGLES = ((0, 1, 0, -1), (0, 0, 1, 0), (0, 1, 2, 1), (0, -1, 1, 0), (0, 2, 1, -1), (0, 0, -1, 1))


@dataclass(frozen=True, slots=True)
class Tune:
    """A motif: `shape` is its contour from 0 to 1, `reach` that contour's height, `wiggle` and `base` what is added.

    All but the shape are steps of the ladder, counted from its middle.
    """

    shape: tuple[float, ...]
    wiggle: tuple[int, ...]
    reach: int
    base: int
    seed: int

    @classmethod
    def draw(cls, draw: random.Random, lift: int) -> "Tune":
        """A new motif; `lift` raises it by so many steps, as a chorus is raised above its verse."""
        return cls(
            draw.choice(_SHAPES),
            draw.choice(_WIGGLES),
            draw.randint(3, 5),
            lift - draw.randint(1, 3),
            draw.getrandbits(32),
        )


def rhythm(count: int, beats: int, seed: int) -> Rhythm:
    """Onsets and lengths, in beats from the line's start, for `count` notes in `beats`; a breath stays free at the end.

    The same seed gives related rhythms for different counts: a slot that is taken for five notes is taken for six.
    """
    draw = random.Random(seed)  # noqa: S311 - music, not secrets
    room = beats - (1.0 if beats > 4 else 0.5)
    step = 0.5 if count <= room * 2 * 0.85 else 0.25
    slots = [number * step for number in range(int(room / step))]
    weights = {slot: _weight(slot) + draw.uniform(0.0, 1.9) for slot in slots}
    onsets = sorted(sorted(slots, key=lambda slot: -weights[slot])[:count])
    ends = [*onsets[1:], min(float(beats), onsets[-1] + 2.5)]
    return [(onset, min(end - onset, 2.0)) for onset, end in zip(onsets, ends, strict=True)]


def _weight(slot: float) -> float:
    in_bar = slot % 4
    if in_bar == 0:
        return 3.2
    if in_bar == 2:
        return 2.5
    if in_bar % 1 == 0:
        return 2.0
    return 1.5 if in_bar % 0.5 == 0 else 0.2


def sing(
    tune: Tune, line: Rhythm, chord_at: Callable[[float], Chord], ladder: Sequence[int], home: int | None
) -> list[int]:
    """Pitches for a line. `chord_at` takes beats from the line's start; `home` is the pitch class to end on, if any."""
    pitches: list[int] = []
    middle, top = len(ladder) // 2, len(ladder) - 1
    for number, (onset, beats) in enumerate(line):
        along = number / max(1, len(line) - 1)
        height = round(_height(tune.shape, along) * tune.reach) + tune.wiggle[number % len(tune.wiggle)]
        wanted = ladder[max(0, min(top, middle + tune.base + height))]
        tones = chord_at(onset).tones[:3]
        before = pitches[-1] if pitches else wanted
        if number == len(line) - 1:
            pitch = nearest(before, (home,) if home in tones else tones, ladder[0], ladder[-1])
        elif onset % 2 == 0 or beats >= 1.5:
            pitch = _leap(wanted, before, tones, ladder, stuck=pitches[-2:] == [before, before])
        else:
            pitch = _step(wanted, before, ladder, stuck=len(set(pitches[-2:])) < 2)
        pitches.append(pitch)
    return pitches


def _leap(wanted: int, before: int, tones: Sequence[int], ladder: Sequence[int], *, stuck: bool) -> int:
    """The chord tone nearest to `wanted` that can be reached; another one than before when the tune is stuck."""
    within = [p for p in ladder if p % 12 in tones and abs(p - before) <= _WIDEST_LEAP and not (stuck and p == before)]
    return min(within, key=lambda pitch: (abs(pitch - wanted), abs(pitch - before))) if within else before


def _step(wanted: int, before: int, ladder: Sequence[int], *, stuck: bool) -> int:
    """One or two steps of the ladder towards `wanted`; it moves on when the tune is stuck."""
    at = min(range(len(ladder)), key=lambda index: abs(ladder[index] - before))
    goal = min(range(len(ladder)), key=lambda index: abs(ladder[index] - wanted))
    move = max(-2, min(2, goal - at))
    if move == 0 and stuck:
        move = 1 if at < len(ladder) // 2 else -1
    return ladder[at + move]


def _height(shape: Sequence[float], along: float) -> float:
    position = along * (len(shape) - 1)
    at = min(int(position), len(shape) - 2)
    return shape[at] + (shape[at + 1] - shape[at]) * (position - at)


def answer(
    draw: random.Random, start: float, beats: float, chord: Chord, centre: int
) -> list[tuple[float, float, int]]:
    """A short reply in a gap: onset, length and pitch of two to four chord tones in eighths, up or down."""
    count = min(4, int(beats / 0.5))
    pitches = sorted({nearest(centre + offset, chord.tones, centre - 12, centre + 14) for offset in (-7, -3, 0, 4, 7)})
    if draw.random() < 0.5:
        pitches.reverse()
    first = draw.randrange(max(1, len(pitches) - count + 1))
    chosen = pitches[first : first + count]
    return [
        (start + number * 0.5, 0.5 if number < len(chosen) - 1 else 1.0, pitch) for number, pitch in enumerate(chosen)
    ]


def below(key: Key, pitch: int, chord: Chord) -> int:
    """The harmony voice: a third below in the key, or a fourth where that is what the chord has."""
    third = [candidate for candidate in key.ladder(pitch - 5, pitch - 3) if candidate % 12 in chord.tones]
    return third[-1] if third else key.ladder(pitch - 5, pitch - 2)[-1]
