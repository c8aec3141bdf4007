"""Everything that shapes the bytes of a song, and nothing that does not.

Invariant: equal recipes give identical bytes, so a song made once can be given to whoever asks for it, and `key` names
it in its url. Pacing is no part of it. It must not know sound or the wire.
"""

import hashlib
from dataclasses import dataclass, replace

from gateway.model import Mode, SongRequest
from gateway.protocol.limits import PREVIEW, applied
from gateway.upstream.simulator.scenario import Scenario

SCALE_SECONDS = 30.0
BITRATE = 192_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """`text` sets the mood, `lyrics` are sung, `gender` None means that nobody sings; `bitrate` in bit/s is for mp3.

    `streamed` tells a WAV whose length is not known when its header goes out. `seconds` None plays the whole song.
    """

    scenario: str
    seconds: float | None
    text: str
    lyrics: str
    gender: str | None
    format: str
    bitrate: int
    watermark: bool
    streamed: bool

    @property
    def key(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


def recipe(request: SongRequest, scenario: Scenario | None) -> Recipe:
    """What to make for a request from which the scenario has been taken out already."""
    scenario = scenario or Scenario("song")
    made = request.input
    wav = made.format == "wav"
    counts = applied(request)
    text = counts.prompt or counts.lyrics or ""
    song = Recipe(
        scenario=scenario.name,
        seconds=scenario.seconds,
        text=text,
        lyrics=counts.lyrics or "",
        gender=_singer(request, text),
        format=made.format,
        bitrate=0 if wav else scenario.bitrate or BITRATE,
        watermark=made.enable_aigc_watermark,
        streamed=not wav or request.mode is Mode.STREAM,
    )
    if scenario.name == "scale":
        return replace(song, seconds=scenario.seconds or SCALE_SECONDS, text="", lyrics="", gender=None)
    return song


def _singer(request: SongRequest, text: str) -> str | None:
    if request.input.is_instrumental:
        return None
    if request.model == PREVIEW:
        # The preview chooses the voice itself.
        return ("female", "male")[hashlib.sha256(text.encode()).digest()[0] % 2]
    return request.input.gender or "female"
