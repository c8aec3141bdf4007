"""What is kept of a song's levels.

Invariant under test: only what was measured is kept, and nothing that goes wrong with measuring disturbs the song.
Nothing is decoded here: a measure gives what is scripted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.client.meter import Loudness, Meter
from gateway.protocol.events import FormatInfo

FORM = FormatInfo("mp3", "audio/mpeg", 48000, 2, None)


@dataclass
class Level:
    """A step as loud as said, in both channels."""

    peak: tuple[float, ...]
    rms: tuple[float, ...]


class Measure:
    """Gives what is scripted."""

    def __init__(self, *answers: Sequence[Level]) -> None:
        self.answers = list(answers)

    def feed(self, payload: bytes) -> Sequence[Level]:
        return self.answers.pop(0)


def steps(*peaks: float) -> list[Level]:
    return [Level((peak, peak / 2), (peak / 2, peak / 4)) for peak in peaks]


def fed(*answers: Sequence[Level]) -> Meter:
    meter = Meter(lambda *form: Measure(*answers))
    for _ in answers:
        meter.feed(FORM, b"x")
    return meter


def test_two_steps_are_one_peak() -> None:
    """However they come; one that is alone waits for its neighbour."""
    meter = fed(steps(0.1), steps(0.4, 0.2, 0.3), [], steps(0.5))
    assert meter.peaks == [0.4, 0.3]
    meter = fed(steps(0.1), steps(0.4, 0.2, 0.3, 0.6))
    assert meter.peaks == [0.4, 0.3]


def test_now_is_the_last_fifth_of_a_second() -> None:
    """The power of each channel over it, and its largest peak."""
    meter = fed(steps(0.9, 0.4, 0.4, 0.4, 0.8))
    assert meter.now is not None
    assert meter.now.peak == (0.8, 0.4)
    assert meter.now.rms == pytest.approx((((3 * 0.2**2 + 0.4**2) / 4) ** 0.5, ((3 * 0.1**2 + 0.2**2) / 4) ** 0.5))
    assert isinstance(meter.now, Loudness)


def test_what_cannot_be_measured_has_no_levels() -> None:
    """It is asked once, with what the gateway said of the format."""
    asked: list[Any] = []

    def none(*form: Any) -> None:
        asked.append(form)

    meter = Meter(none)
    meter.feed(FORM, b"x")
    meter.feed(FORM, b"x")
    assert asked == [("audio/mpeg", 48000, 2)]
    assert (meter.peaks, meter.now) == ([], None)
    Meter(None).feed(FORM, b"x")


def test_a_measure_that_fails_takes_its_levels_along() -> None:
    """Half a picture would look like a silent song."""
    meter = fed(steps(0.1, 0.2))
    assert meter.peaks == [0.2]
    meter.feed(FORM, b"x")
    meter.feed(FORM, b"x")
    assert (meter.peaks, meter.now) == ([], None)
