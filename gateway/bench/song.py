"""The song that is converted: the simulator's own, an MP3 of 192 kbit/s.

Invariant: equal numbers give the same bytes, on every machine of one version.
It must not know what is measured.
"""

from dataclasses import dataclass
from functools import lru_cache

from gateway.upstream.simulator.recipe import BITRATE, CHANNELS, Recipe
from gateway.upstream.simulator.rendering import Rendering
from transcode.framer import Framer

_MOOD = "a calm piano tune at night, and then a dance"
STEP_SECONDS = 0.25  # what the gateway gives a worker at once, at most


@dataclass(frozen=True, slots=True)
class Song:
    """`frames` joined are the file. `frame_seconds` is what each lasts."""

    frames: tuple[bytes, ...]
    sample_rate: int
    frame_seconds: float

    @property
    def seconds(self) -> float:
        return len(self.frames) * self.frame_seconds

    @property
    def data(self) -> bytes:
        return b"".join(self.frames)

    def first(self, seconds: float) -> "Song":
        """Its beginning, of at least one frame."""
        return Song(self.frames[: max(1, round(seconds / self.frame_seconds))], self.sample_rate, self.frame_seconds)

    def steps(self, seconds: float = STEP_SECONDS) -> list[bytes]:
        """All of it in slices of about so many seconds, cut at frames."""
        count = max(1, round(seconds / self.frame_seconds))
        return [b"".join(self.frames[at : at + count]) for at in range(0, len(self.frames), count)]


@lru_cache(maxsize=2)
def song(seconds: float, sample_rate: int = 48_000) -> Song:
    """The first `seconds` of it, at one of MP3's rates; it is over after some minutes. It is made once."""
    recipe = Recipe(
        tune="song",
        seconds=seconds,
        text=_MOOD,
        lyrics="",
        gender=None,
        format="mp3",
        bitrate=BITRATE,
        watermark=False,
        streamed=True,
        id3=False,
        sample_rate=sample_rate,
        channels=CHANNELS,
    )
    framer = Framer()
    frames = [frame for piece in Rendering(recipe).pieces() for frame in framer.feed(piece)] + framer.flush()
    return Song(tuple(frame.data for frame in frames), sample_rate, frames[0].samples / sample_rate)
