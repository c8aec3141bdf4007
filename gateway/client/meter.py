"""How loud the song is that comes in: its newest moment, and the peaks of all of it, for whoever draws them.

Whoever can decode the sound measures it and is handed in; the client itself knows no codec. Invariant: only what was
measured is kept; a song that cannot be measured, or whose measuring failed, has no levels, and is heard all the same.
It must not know decoders or terminals.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from gateway.protocol.events import FormatInfo

# As many levels a second as a measure gives, and how many of them make one peak of the picture.
STEPS_A_SECOND = 20
STEPS_A_PEAK = 2
PEAKS_A_SECOND = STEPS_A_SECOND // STEPS_A_PEAK


class LevelOf(Protocol):
    """A twentieth of a second: largest amplitude and RMS of each channel, 1 is full scale."""

    @property
    def peak(self) -> tuple[float, ...]: ...
    @property
    def rms(self) -> tuple[float, ...]: ...


class Measure(Protocol):
    """Measures one rendition, payload after payload, a container's header first."""

    def feed(self, payload: bytes) -> Sequence[LevelOf]:
        """The levels of what the payload completes."""
        ...


Measuring = Callable[[str, int, int], Measure | None]
"""Makes a measure from mime, sample rate and channels; None for what it cannot measure."""


class Loudness(NamedTuple):
    """The newest moment, a value a channel, 1 is full scale."""

    rms: tuple[float, ...]
    peak: tuple[float, ...]


class Meter:
    """Fed from one thread, and looked at from another."""

    def __init__(self, measuring: Measuring | None) -> None:
        self.peaks: list[float] = []
        self.now: Loudness | None = None
        self._measuring = measuring
        self._measure: Measure | None = None
        self._steps: list[float] = []

    def feed(self, form: FormatInfo, payload: bytes) -> None:
        """Measures a payload. Takes its time: a decoder may be behind it. Never raises."""
        if self._measuring is None:
            return
        try:
            if self._measure is None:
                self._measure = self._measuring(form.mime, form.sample_rate, form.channels)
            if self._measure is None:
                self._measuring = None
                return
            self._take(self._measure.feed(payload))
        except Exception:
            # No picture is worth a song.
            self._measuring = self.now = None
            self.peaks = []

    def _take(self, levels: Sequence[LevelOf]) -> None:
        if not levels:
            return
        self._steps += [max(level.peak, default=0.0) for level in levels]
        whole = len(self._steps) - len(self._steps) % STEPS_A_PEAK
        self.peaks += [max(self._steps[at : at + STEPS_A_PEAK]) for at in range(0, whole, STEPS_A_PEAK)]
        del self._steps[:whole]
        newest = levels[-4:]  # a fifth of a second: shorter is nervous, longer is late
        channels = range(len(levels[-1].peak))
        self.now = Loudness(
            tuple((sum(level.rms[at] ** 2 for level in newest) / len(newest)) ** 0.5 for at in channels),
            tuple(max(level.peak[at] for level in newest) for at in channels),
        )
