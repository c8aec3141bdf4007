"""Everything that shapes the bytes of a song, and nothing that does not.

Invariant: equal recipes give identical bytes, so a song made once can be given to whoever asks for it, and `key` names
it in its url. Pacing is no part of it. It must not know sound or the wire.
"""

import hashlib
from dataclasses import dataclass, replace

from gateway.model import Mode, SongRequest
from gateway.protocol.limits import PREVIEW, applied
from gateway.upstream.simulator import vbr
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.scenario import Scenario

CHANNELS = 2
SCALE_SECONDS = 30.0
BITRATE = 192_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """`text` sets the mood, `lyrics` are sung, `gender` None means that nobody sings; `bitrate` in bit/s is for mp3.

    `streamed` tells a WAV whose length is not known when its header goes out. `seconds` None plays the whole song.
    `wav` names a form of header, None for the one that fits. `garbage` is how many foreign bytes stand in the file, and
    after how many seconds of it; with `noise` it is all foreign.
    """

    tune: str
    seconds: float | None
    text: str
    lyrics: str
    gender: str | None
    format: str
    bitrate: int
    watermark: bool
    streamed: bool
    id3: bool = True
    xing: bool = False
    vbr: bool = False
    wav: str | None = None
    garbage: tuple[int, float] | None = None
    noise: bool = False

    @property
    def bytes_per_second(self) -> float:
        """Of a file of constant bitrate; of another one, what its encoder makes of it before the sizes are varied."""
        return self.bitrate / 8 if self.format == "mp3" else float(SAMPLE_RATE * CHANNELS * 2)

    @property
    def key(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


def recipe(request: SongRequest, scenario: Scenario | None) -> Recipe:
    """What to make for a request from which the scenario has been taken out already."""
    scenario = scenario or Scenario("song")
    counts = applied(request)
    text = counts.prompt or counts.lyrics or ""
    song = Recipe(
        tune=scenario.tune,
        seconds=scenario.seconds,
        text=text,
        lyrics=counts.lyrics or "",
        gender=_singer(request, text),
        format=request.input.format,
        bitrate=0,
        watermark=request.input.enable_aigc_watermark,
        streamed=True,
        garbage=(scenario.size, scenario.after) if scenario.fault == "garbage" else None,
        noise=scenario.fault == "noise",
    )
    if song.format == "wav":
        song = replace(song, streamed=request.mode is Mode.STREAM, wav=scenario.wav)
    else:
        bitrate = vbr.BITRATE if scenario.vbr else scenario.bitrate or BITRATE
        song = replace(song, bitrate=bitrate, id3=scenario.id3, xing=scenario.xing, vbr=scenario.vbr)
    if song.tune == "scale":
        return replace(song, seconds=scenario.seconds or SCALE_SECONDS, text="", lyrics="", gender=None)
    return song


def _singer(request: SongRequest, text: str) -> str | None:
    if request.input.is_instrumental:
        return None
    if request.model == PREVIEW:
        # The preview chooses the voice itself.
        return ("female", "male")[hashlib.sha256(text.encode()).digest()[0] % 2]
    return request.input.gender or "female"
