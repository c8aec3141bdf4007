"""The mark that says so when a machine made the song: "AI" in Morse, appended to its end.

Invariant: the mark is the same samples every time and lengthens what it is appended to by `SECONDS`.
It must not know songs or encodings.
"""

import numpy as np

from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.music.synthesiser import Block

_MORSE = ".- .."
_DOT = 0.08
_HERTZ = 700.0
_LEVEL = 0.12
_PAUSE = 0.4
_EDGE = 0.008


def _beats() -> list[tuple[bool, int]]:
    """On and off, in dots: a dash is three, letters are three apart."""
    beats: list[tuple[bool, int]] = []
    for sign in _MORSE:
        beats += [(False, 2)] if sign == " " else [(True, 3 if sign == "-" else 1), (False, 1)]
    return beats


SECONDS = 2 * _PAUSE + sum(dots for _, dots in _beats()) * _DOT


def mark() -> Block:
    """The whole mark, (n, 2) samples, a pause before and after it."""
    gate = [np.zeros(int(_PAUSE * SAMPLE_RATE))]
    for on, dots in _beats():
        count = round(dots * _DOT * SAMPLE_RATE)
        rise = np.clip(np.arange(count) / (_EDGE * SAMPLE_RATE), 0.0, 1.0)
        gate.append(rise * rise[::-1] if on else np.zeros(count))
    whole = np.concatenate([*gate, gate[0]])
    tone = whole * np.sin(2 * np.pi * _HERTZ * np.arange(len(whole)) / SAMPLE_RATE) * (_LEVEL * 32767)
    side = tone.round().astype(np.int16)
    return np.stack((side, side), axis=1)
