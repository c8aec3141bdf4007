"""What an ear tells of the position-coded scale: which half second of it sounds when.

Invariant: only the sound is judged, never a container's clock. It must not test anything itself, nor know how the
sound came here.
"""

import io
from contextlib import suppress
from itertools import groupby
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gateway.upstream.simulator.scale import STEPS, pitch

RATE = 48_000
WINDOW = 0.05
HOP = 0.01
_PITCHES = np.array([pitch(step) for step in range(STEPS)])


def samples(data: bytes, form: str) -> NDArray[np.float64]:
    """The left side of a file or of a stretch of one, at 48 kHz, as it is decoded."""
    pieces: list[Any] = []
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    with av.open(io.BytesIO(data), format=form) as container:
        for packet in container.demux(audio=0):
            # The last frame of a stretch may be cut through.
            with suppress(av.InvalidDataError):
                for frame in packet.decode():
                    pieces += [one.to_ndarray()[0] for one in resampler.resample(frame)]
    return np.concatenate(pieces).astype(np.float64) if pieces else np.zeros(0)


def steps(sound: NDArray[np.float64]) -> list[tuple[int, float]]:
    """The steps that sound for a tenth of a second and more, each with the second at which it begins to.

    A window that holds two of them counts for the one of which it has more.
    """
    size, hop = int(WINDOW * RATE), int(HOP * RATE)
    shape = np.hanning(size)
    heard: list[int] = []
    for start in range(0, len(sound) - size, hop):
        spectrum = np.abs(np.fft.rfft(sound[start : start + size] * shape, 4 * size))
        loudest = float(spectrum.argmax()) * RATE / (4 * size)
        quiet = float(np.sqrt(np.mean(sound[start : start + size] ** 2))) < 0.02
        heard.append(-1 if quiet else int(np.abs(_PITCHES - loudest).argmin()))
    found, at = [], 0
    for step, run in groupby(heard):
        length = len(list(run))
        if step >= 0 and length * HOP >= 0.1:
            found.append((step, at * HOP + WINDOW / 2))
        at += length
    return found
