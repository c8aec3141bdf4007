"""What pad, keys and bass play under a bar: patterns in tables, filled with the bar's chord.

A pattern row is (beat, beats, voice): `voice` counts the voicing's notes from the lowest, going on an octave higher,
and `ALL` plays the chord. Invariant: every pattern stays within its bar, apart from what rings on.
It must not know the melody, the drums or seconds.
"""

import random
from collections.abc import Sequence

from gateway.upstream.simulator.music.grid import BAR, Event
from gateway.upstream.simulator.music.harmony import Chord, Key
from gateway.upstream.simulator.music.mood import Style
from gateway.upstream.simulator.music.score import Part

ALL = -1
Pattern = tuple[tuple[float, float, int], ...]


def _run(step: float, beats: float, order: str) -> Pattern:
    """A broken chord: one digit of `order` a step."""
    return tuple((number * step, beats, int(voice)) for number, voice in enumerate(order))


_KEYS: dict[str, tuple[Pattern, ...]] = {
    "held": (((0, 4, ALL),), ((0, 2, ALL), (2, 2, ALL))),
    "broken": (_run(0.5, 1.5, "01231321"), _run(0.5, 1.5, "02132313"), _run(0.5, 1.5, "01243421")),
    "alberti": (_run(0.5, 0.75, "02120212"), _run(0.5, 1.0, "01210121")),
    "picked": (_run(0.5, 1.5, "03124231"), _run(0.5, 1.5, "02314213")),
    "sixteenths": (_run(0.25, 0.3, "0120312013204231"), _run(0.25, 0.3, "0213021304320213")),
    "pushed": (((0, 1.4, ALL), (1.5, 1.0, ALL), (3, 0.9, ALL)), ((0, 0.9, ALL), (1.5, 1.5, ALL), (3.5, 0.5, ALL))),
    "comped": (((0, 1.0, ALL), (1.5, 0.4, ALL)), ((0.5, 0.5, ALL), (2.5, 0.8, ALL)), ((1, 0.4, ALL), (2.5, 1.0, ALL))),
    "strummed": (
        ((0, 1, ALL), (1, 0.5, ALL), (1.5, 0.5, ALL), (2.5, 0.5, ALL), (3, 0.5, ALL), (3.5, 0.5, ALL)),
        ((0, 1.5, ALL), (1.5, 0.5, ALL), (2, 1, ALL), (3, 0.5, ALL), (3.5, 0.5, ALL)),
    ),
    "chugged": (tuple((number / 2, 0.45, ALL) for number in range(8)), ((0, 1.4, ALL), (1.5, 0.5, ALL), (2, 2, ALL))),
    "lazy": (((0, 1.8, ALL), (2.5, 1.4, ALL)), ((0, 2.4, ALL), (2.5, 0.5, 2), (3, 0.8, 3)), ((0.5, 3.0, ALL),)),
}
# Style -> what the keys do when the song is low, and when it is high.
_KEYS_OF: dict[Style, tuple[str, str]] = {
    Style.POP: ("broken", "pushed"),
    Style.ROCK: ("picked", "chugged"),
    Style.LOFI: ("lazy", "comped"),
    Style.ELECTRONIC: ("held", "sixteenths"),
    Style.BALLAD: ("broken", "broken"),
    Style.FOLK: ("picked", "strummed"),
    Style.JAZZ: ("lazy", "comped"),
    Style.AMBIENT: ("held", "broken"),
    Style.CLASSICAL: ("broken", "alberti"),
    Style.ORIENTAL: ("picked", "broken"),
    Style.CHIP: ("alberti", "sixteenths"),
}
# Rows are (beat, beats, what): r root, f fifth, o octave, a a step towards the next root.
_BASS: dict[str, tuple[tuple[float, float, str], ...]] = {
    "long": ((0, 3.9, "r"),),
    "slow": ((0, 2.4, "r"), (2.5, 1.0, "f"), (3.5, 0.45, "a")),
    "pushed": ((0, 1.4, "r"), (1.5, 0.45, "r"), (2, 1.4, "f"), (3.5, 0.45, "a")),
    "eighths": (*((number / 2, 0.42, "r") for number in range(7)), (3.5, 0.42, "a")),
    "off": ((0.5, 0.4, "r"), (1.5, 0.4, "o"), (2.5, 0.4, "r"), (3.5, 0.4, "o")),
    "walking": ((0, 0.9, "r"), (1, 0.9, "t"), (2, 0.9, "f"), (3, 0.9, "a")),
    "two": ((0, 1.6, "r"), (2, 1.6, "f"), (3.5, 0.4, "a")),
}
_BASS_OF: dict[Style, tuple[str, str]] = {
    Style.POP: ("slow", "pushed"),
    Style.ROCK: ("pushed", "eighths"),
    Style.LOFI: ("slow", "pushed"),
    Style.ELECTRONIC: ("long", "off"),
    Style.BALLAD: ("long", "slow"),
    Style.FOLK: ("two", "two"),
    Style.JAZZ: ("two", "walking"),
    Style.AMBIENT: ("long", "long"),
    Style.CLASSICAL: ("long", "two"),
    Style.ORIENTAL: ("long", "slow"),
    Style.CHIP: ("eighths", "off"),
}
_LOWEST = 33


def keys(
    style: Style, energy: float, variant: int, beat: float, voices: Sequence[int], draw: random.Random
) -> list[Event]:
    """One bar of keys from `beat`; `variant` picks among a name's patterns and stays for a section."""
    name = _KEYS_OF[style][energy > 0.62]
    pattern = _KEYS[name][variant % len(_KEYS[name])]
    roll = {"strummed": 0.045, "picked": 0.0, "chugged": 0.015}.get(name, 0.012)
    events = []
    for at, beats, voice in pattern:
        accent = 0.09 if at % 2 == 0 else 0.0
        force = 0.42 + 0.28 * energy + accent + draw.uniform(-0.06, 0.06)
        sounding = list(voices) if voice == ALL else [_voice(voices, voice)]
        spread = roll if at % 1 == 0 else -roll
        for number, pitch in enumerate(sounding if spread >= 0 else reversed(sounding)):
            late = abs(spread) * number
            events.append(Event(Part.KEYS, beat + at + late, beats - late, pitch, force / len(sounding) ** 0.25))
    return events


def _voice(voices: Sequence[int], index: int) -> int:
    octave, position = divmod(index, len(voices))
    return voices[position] + 12 * octave


def pad(beat: float, beats: float, voices: Sequence[int], energy: float) -> list[Event]:
    """The chord, held."""
    return [Event(Part.PAD, beat, beats, pitch, 0.4 + 0.35 * energy) for pitch in voices]


def bass(
    style: Style, energy: float, beat: float, chord: Chord, following: Chord, key: Key, draw: random.Random
) -> list[Event]:
    """One bar of bass: the root where it counts, and a step that leads into the `following` chord."""
    root, target = _low(chord.root), _low(following.root)
    fifth = root + (chord.tones[2] - chord.root) % 12
    pitches = {
        "r": root,
        "o": root + 12,
        "f": fifth if fifth < _LOWEST + 15 else fifth - 12,
        "t": root + (chord.tones[1] - chord.root) % 12,
        "a": _approach(target, root, key),
    }
    rows = _BASS[_BASS_OF[style][energy > 0.55]]
    return [
        Event(
            Part.BASS,
            beat + at,
            beats,
            pitches[what],
            0.62 + 0.2 * energy + 0.08 * (at == 0) + draw.uniform(-0.05, 0.05),
        )
        for at, beats, what in rows
    ]


def _low(pitch_class: int) -> int:
    return _LOWEST + (pitch_class - _LOWEST) % 12


def _approach(target: int, root: int, key: Key) -> int:
    """The scale's neighbour of the next root on the side the bass comes from; the root itself when nothing moves."""
    if target == root:
        return root
    return key.ladder(target - 2, target - 1)[-1] if root < target else key.ladder(target + 1, target + 2)[0]


def last_chord(beat: float, voices: Sequence[int], root: int) -> list[Event]:
    """The end: everybody on the tonic, the keys spread, the bass an octave deep."""
    spread = [*voices, voices[0] + 12]
    ending = [Event(Part.KEYS, beat + 0.09 * number, BAR + 1, pitch, 0.5) for number, pitch in enumerate(spread)]
    return [*ending, Event(Part.BASS, beat, BAR, _low(root), 0.66), *pad(beat, BAR, voices, 0.4)]
