"""How the sound of one song came: the sizes of its slices, where they are cut, and how fast they follow each other.

Invariant: pure; times are seconds since the call, speeds seconds of sound a second, and sound is counted in whole
frames, because a player cannot use less. It must not know what is made of the numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from gateway.upstream.probe.purchase import Marks
from gateway.upstream.probe.sound import Sound
from gateway.upstream.probe.wire import WireLog

QUARTERS = (25, 50, 75, 100)


@dataclass(frozen=True, slots=True)
class Silence:
    """`seconds` without sound after `begins`, with so many comments in it."""

    begins: float
    seconds: float
    comments: int


@dataclass(frozen=True, slots=True)
class Moment:
    """The audio of one event, and all the sound in whole frames up to it."""

    at: float
    bytes: int
    total: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the sound came.

    `on_border` of the `cuts` between slices stand where a frame ends. `speeds` are those since the first sound, at a
    quarter, half, three quarters and the whole of it (None: no time had passed), `overall` is since the call.
    `head_start` is how long a player that starts at the first sound must wait so that it never runs dry.
    """

    smallest: int
    median: float
    largest: int
    cuts: int
    on_border: int
    median_gap: float | None
    before_sound: Silence
    longest: Silence
    speeds: dict[int, float | None]
    overall: float
    head_start: float
    timeline: tuple[Moment, ...]


def deliver(log: WireLog, marks: Marks, sound: Sound) -> Delivery:
    """From what was taken down; there must be a slice. `sound` describes the joined slices."""
    timeline: list[Moment] = []
    total = 0
    for piece in log.slices:
        total += len(piece.data)
        timeline.append(Moment(piece.at, len(piece.data), total, sound.seconds_at(total)))
    sizes = [moment.bytes for moment in timeline]
    first, last = timeline[0].at, timeline[-1].at
    gaps = [later.at - earlier.at for earlier, later in pairwise(timeline)]
    times = [moment.at for moment in timeline]
    silences = [_silence(log.lines.comments, *pair) for pair in pairwise([*times, marks.ended or last])]
    lacks = [later.at - first - earlier.seconds for earlier, later in pairwise(timeline)]
    return Delivery(
        smallest=min(sizes),
        median=median(sizes),
        largest=max(sizes),
        cuts=len(timeline) - 1,
        on_border=sum(sound.on_border(moment.total) for moment in timeline[:-1]),
        median_gap=median(gaps) if gaps else None,
        before_sound=_silence(log.lines.comments, marks.answered or 0.0, first),
        longest=max(silences, key=lambda silence: silence.seconds),
        speeds={percent: _speed(timeline, sound.seconds * percent / 100) for percent in QUARTERS},
        overall=sound.seconds / last if last else 0.0,
        head_start=max(0.0, *lacks) if lacks else 0.0,
        timeline=tuple(timeline),
    )


def _silence(comments: Sequence[float], begins: float, ends: float) -> Silence:
    return Silence(begins, ends - begins, sum(begins < at <= ends for at in comments))


def _speed(timeline: Sequence[Moment], seconds: float) -> float | None:
    """Times real time when so much sound was there, since the first of it."""
    # A quarter may miss the slice that ends with it by a rounding.
    enough = seconds - 1e-6
    reached = next(moment for moment in timeline if moment.seconds >= enough or moment is timeline[-1])
    passed = reached.at - timeline[0].at
    return reached.seconds / passed if passed > 0 else None
