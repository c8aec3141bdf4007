"""What a clip is to be: which part of a song, with which fades, how loud, or as a loop; and whether that is possible.

Invariant: what `check` lets through is possible for a song that is long enough; only `Edit.span` needs the song, or as
much of it as there is. Seconds become samples here and nowhere else.
It must not know samples' values, codecs or pydub.
"""

from dataclasses import dataclass
from math import inf, isfinite
from typing import NamedTuple

from transcode.errors import ClipError
from transcode.spec import LOUDNESS

USUAL_LOUDNESS = -16.0  # LUFS; what `normalize=True` means


@dataclass(frozen=True, slots=True)
class Edit:
    """A wish for a clip, times in seconds.

    `duration` None is to the end; what is longer than the song ends with it. `normalize` is a target in LUFS, or True
    for the usual one. With `loop_crossfade` the end of the clip is blended into its beginning, by which it gets so much
    shorter: played over and over, it has no seam.
    """

    start: float = 0.0
    duration: float | None = None
    fade_in: float = 0.0
    fade_out: float = 0.0
    normalize: bool | float = False
    loop_crossfade: float = 0.0

    @property
    def loudness(self) -> float | None:
        """The target in LUFS, None for as it is."""
        if isinstance(self.normalize, bool):
            return USUAL_LOUDNESS if self.normalize else None
        return self.normalize

    def check(self, longest: float = inf) -> None:
        """Raises ClipError for what can be cut of no song, or would be longer than `longest` seconds."""
        for field in ("start", "fade_in", "fade_out", "loop_crossfade"):
            value = getattr(self, field)
            if not isfinite(value) or value < 0:
                raise ClipError(field, f"{field} is a number of seconds from 0 on, not {value:g}.")
        if self.duration is not None and not (isfinite(self.duration) and self.duration > 0):
            raise ClipError("duration", f"duration is a number of seconds above 0, not {self.duration:g}.")
        if self.duration is not None and self.duration > longest:
            raise ClipError("duration", f"A clip is at most {longest:g} s long, not {self.duration:g}.")
        low, high = LOUDNESS
        if self.loudness is not None and not low <= self.loudness <= high:
            raise ClipError(
                "normalize", f"normalize is true, or a loudness from {low:g} to {high:g} LUFS, not {self.loudness:g}."
            )
        if self.loop_crossfade and (self.fade_in or self.fade_out):
            field = "fade_in" if self.fade_in else "fade_out"
            raise ClipError(field, f"A loop has no beginning and no end: give {field} or loop_crossfade, not both.")
        if self.duration is not None:
            self._fits(self.duration)

    def span(self, samples: int, sample_rate: int) -> "Span":
        """Where it lies in a song of which there are so many samples. Raises ClipError when it lies outside."""
        self.check()
        start = round(self.start * sample_rate)
        if start >= samples:
            there = f"only the first {samples / sample_rate:.3f} s of this song are there" if samples else "none is yet"
            raise ClipError("start", f"A clip cannot start at {self.start:g} s: {there}.")
        end = samples
        if self.duration is not None:
            end = min(samples, start + max(1, round(self.duration * sample_rate)))
        length = end - start
        self._fits(length / sample_rate)
        # Rounded each by itself, two fades that fit could be a sample too long together.
        fade_in = min(length, round(self.fade_in * sample_rate))
        fade_out = min(length - fade_in, round(self.fade_out * sample_rate))
        return Span(start, end, fade_in, fade_out, min(length // 2, round(self.loop_crossfade * sample_rate)))

    def _fits(self, length: float) -> None:
        """Raises ClipError for what is too long for a clip of so many seconds."""
        for field in ("fade_in", "fade_out"):
            if getattr(self, field) > length:
                raise ClipError(field, f"{field} can be at most as long as the clip, which is {length:g} s.")
        if self.fade_in + self.fade_out > length:
            left = length - self.fade_in
            raise ClipError(
                "fade_out", f"After a fade_in of {self.fade_in:g} s the clip has {left:g} s left for fade_out."
            )
        if self.loop_crossfade > length / 2:
            raise ClipError(
                "loop_crossfade", f"loop_crossfade can be at most {length / 2:g} s, half of the clip's {length:g} s."
            )


class Span(NamedTuple):
    """An `Edit` in samples: the clip is `start` to `end` of the song, the others are lengths."""

    start: int
    end: int
    fade_in: int
    fade_out: int
    crossfade: int
