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
"""Pitches before they come again: 100 seconds, at rates that hold them all."""

_LOWEST = 400.0
_SPACING = 20.0  # two zero crossings more in 50 ms than the neighbour
_LEVEL = 0.25
_ROOM = 0.43  # of a sample rate: below its half, and below where a resampler begins to fade
_STEP = int(SAMPLE_RATE * STEP_SECONDS)


def pitch(step: int, sample_rate: int = SAMPLE_RATE) -> float:
    """Hertz of the `step`-th half second, counted from 0: 400, 420, ... 4380, and again from 400.

    At a rate too low for the highest, they come again as soon as `_ROOM` of the rate is reached.
    """
    steps = min(STEPS, int((sample_rate * _ROOM - _LOWEST) / _SPACING))
    return _LOWEST + _SPACING * (step % steps)


def blocks(seconds: float, sample_rate: int = SAMPLE_RATE) -> Iterator[Block]:
    """The scale in blocks of half a second, both sides alike; the last one is as short as it must be.

    `sample_rate` is that at which it will be heard; the blocks are at 48 kHz all the same.
    """
    samples = round(seconds * SAMPLE_RATE)
    time = np.arange(_STEP) / SAMPLE_RATE
    for step, start in enumerate(range(0, samples, _STEP)):
        tone = np.sin(2 * np.pi * pitch(step, sample_rate) * time[: samples - start]) * (_LEVEL * 32767)
        side = tone.round().astype(np.int16)
        yield np.stack((side, side), axis=1)
