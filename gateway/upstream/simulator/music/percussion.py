"""What the drums play: a groove for each style and energy, a fill at the end of a section, a crash at the next one.

Grooves are strings of sixteenths, one row a drum: a digit is a velocity of tenths, a dot is a rest.
Invariant: one bar is sixteen characters. It must not know pitches, chords or sound.
"""

import random

from gateway.upstream.simulator.music.grid import Event
from gateway.upstream.simulator.music.mood import Style
from gateway.upstream.simulator.music.score import Part

Groove = dict[str, str]

_GROOVES: dict[str, tuple[Groove, Groove]] = {
    "pop": (
        {"kick": "8.......8.5.....", "rim": "....6.......6...", "hat": "5.3.5.3.5.3.5.3."},
        {
            "kick": "9.....5.8.7.....",
            "snare": "....8.......8..2",
            "hat": "6.4.6.4.6.4.6.4.",
            "shaker": ".2.2.2.2.2.2.2.2",
        },
    ),
    "rock": (
        {"kick": "9.......8.7.....", "snare": "....7.......7...", "hat": "6.4.6.4.6.4.6.4."},
        {"kick": "9.6...5.9.8.....", "snare": "....9.......9...", "ride": "7.5.7.5.7.5.7.5."},
    ),
    "lo-fi": (
        {"kick": "8.....5...6.....", "rim": "....6.......6...", "hat": "4.3.4.3.4.3.4.3."},
        {"kick": "8.....5...7....3", "snare": "....6.......6...", "hat": "5.3.5.324.3.5.3."},
    ),
    "electronic": (
        {"kick": "8...8...8...8...", "hat": "..4...4...4...4."},
        {
            "kick": "9...9...9...9...",
            "clap": "....7.......7...",
            "open": "..5...5...5...5.",
            "shaker": "3.2.3.2.3.2.3.2.",
        },
    ),
    "ballad": (
        {"shaker": "4...2...4...2..."},
        {"kick": "7.........5.....", "rim": "........6.......", "hat": "4...3...4...3..."},
    ),
    "folk": (
        {"shaker": "5.2.4.2.5.2.4.2."},
        {"kick": "7.......7.......", "rim": "....5.......5...", "shaker": "5.3.6.3.5.3.6.3."},
    ),
    "jazz": (
        {"ride": "5...6.3.5...6.3.", "hat": "....4.......4..."},
        {"ride": "6...7.4.6...7.4.", "hat": "....5.......5...", "kick": "4.......3.......", "rim": "......3.......4."},
    ),
    "oriental": (
        {"low tom": "6...............", "rim": "........3.....3."},
        {"low tom": "7.....4...5.....", "rim": "....4.......4..3", "shaker": "..3...3...3...3."},
    ),
}
_GROOVE_OF: dict[Style, str] = {
    Style.POP: "pop",
    Style.CHIP: "pop",
    Style.ROCK: "rock",
    Style.LOFI: "lo-fi",
    Style.ELECTRONIC: "electronic",
    Style.BALLAD: "ballad",
    Style.FOLK: "folk",
    Style.JAZZ: "jazz",
    Style.ORIENTAL: "oriental",
}
_FILLS: tuple[Groove, ...] = (
    {"snare": "........5.6.7.8.", "kick": "8..............."},
    {"high tom": "........7.6.....", "low tom": "............7.8.", "kick": "8......."+"........"},
    {"snare": "..........4567..", "low tom": "..............88", "kick": "8.....5........."},
    {"snare": "....7.....5.7.78", "kick": "8.......7......."},
)  # fmt: skip
_GENTLE_FILLS: tuple[Groove, ...] = (
    {"rim": "..........3.4.5.", "shaker": "5.3.4.3.........", "kick": "6..............."},
    {"low tom": "..........4.5.6.", "shaker": "5...4...5......."},
)


def has_drums(style: Style) -> bool:
    return style in _GROOVE_OF


def bar(style: Style, energy: float, beat: float, draw: random.Random) -> list[Event]:
    """One bar of the groove."""
    return _play(_GROOVES[_GROOVE_OF[style]][energy > 0.66], beat, 0.75 + 0.25 * energy, draw)


def fill(style: Style, energy: float, beat: float, draw: random.Random) -> list[Event]:
    """The bar that ends a section."""
    gentle = energy < 0.6 or style in (Style.BALLAD, Style.FOLK, Style.JAZZ, Style.ORIENTAL, Style.LOFI)
    return _play(draw.choice(_GENTLE_FILLS if gentle else _FILLS), beat, 0.8 + 0.2 * energy, draw)


def crash(beat: float, energy: float) -> list[Event]:
    """The first beat of a loud section."""
    return [Event(Part.DRUMS, beat, 0.25, 0, 0.45 + 0.35 * energy, "crash")]


def _play(groove: Groove, beat: float, force: float, draw: random.Random) -> list[Event]:
    return [
        Event(Part.DRUMS, beat + step / 4, 0.25, 0, int(mark) / 10 * force * draw.uniform(0.88, 1.08), drum)
        for drum, row in groove.items()
        for step, mark in enumerate(row)
        if mark != "."
    ]
