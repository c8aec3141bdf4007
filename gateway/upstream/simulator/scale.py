"""The position-coded scale: from any tenth of a second of it, one can tell where in the song it was.

Every half second has a pitch of its own, so a test that decodes what a listener got can say what was lost, doubled or
late. Invariant: every pitch makes a whole number of cycles in its step, so steps join without a click, and the level
never changes. It must not know encodings or who asks.
"""

from collections.abc import Iterator

import numpy as np

from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.music.synthesiser import Block

STEP_SECONDS = 0.5
STEPS = 200
"""Pitches before they come again: 100 seconds."""

_LOWEST = 400.0
_SPACING = 20.0  # two zero crossings more in 50 ms than the neighbour
_LEVEL = 0.25
_STEP = int(SAMPLE_RATE * STEP_SECONDS)


def pitch(step: int) -> float:
    """Hertz of the `step`-th half second, counted from 0: 400, 420, ... 4380, and again from 400."""
    return _LOWEST + _SPACING * (step % STEPS)


def blocks(seconds: float) -> Iterator[Block]:
    """The scale in blocks of half a second, both sides alike; the last one is as short as it must be."""
    samples = round(seconds * SAMPLE_RATE)
    time = np.arange(_STEP) / SAMPLE_RATE
    for step, start in enumerate(range(0, samples, _STEP)):
        tone = np.sin(2 * np.pi * pitch(step) * time[: samples - start]) * (_LEVEL * 32767)
        side = tone.round().astype(np.int16)
        yield np.stack((side, side), axis=1)
