"""Everything that shapes the bytes of a song or of speech, and nothing that does not.

Invariant: equal recipes give identical bytes, so a song made once can be given to whoever asks for it, and `key` names
it in its url. Pacing is no part of it. It must not know sound or the wire.
"""

import hashlib
from dataclasses import dataclass, replace

from gateway.model import GenerationRequest, Mode, SongRequest
from gateway.protocol.limits import PREVIEW, applied
from gateway.upstream.simulator import vbr
from gateway.upstream.simulator.music.oscillator import SAMPLE_RATE
from gateway.upstream.simulator.prosody import USUAL_VOLUME, Delivery
from gateway.upstream.simulator.scenario import Scenario
from transcode.mp3header import bitrates

CHANNELS = 2
SCALE_SECONDS = 30.0
BITRATE = 192_000
SPEECH_BITRATE = 64_000
SPEECH_RATE = 24_000  # where a call does not say another


@dataclass(frozen=True, slots=True)
class Recipe:
    """`tune` is song, scale or speech. `text` sets a song's mood, `lyrics` are sung, `gender` None means that nobody
    sings; `delivery` is how speech says its text. `bitrate` in bit/s is for mp3, `sample_rate` in Hz.

    `streamed` tells a WAV whose length is not known when its header goes out. `seconds` None plays the whole song.
    `wav` names a form of header, None for the one that fits. `garbage` is how many foreign bytes stand in the file, and
    after how many seconds of it; with `noise` it is all foreign. From second `mute` on there is nothing but zeros.
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
    sample_rate: int = SAMPLE_RATE
    channels: int = CHANNELS
    delivery: Delivery | None = None
    mute: float | None = None

    @property
    def bytes_per_second(self) -> float:
        """Of a file of constant bitrate; of another one, what its encoder makes of it before the sizes are varied."""
        return self.bitrate / 8 if self.format == "mp3" else float(self.sample_rate * self.channels * 2)

    @property
    def key(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


def recipe_of(request: GenerationRequest, scenario: Scenario) -> Recipe:
    """What to make for a request of any family, from which the scenario has been taken out already."""
    if isinstance(request, SongRequest):
        return recipe(request, scenario)
    said = request.input
    return speech_recipe(
        text=said.text,
        voice=said.voice,
        format=said.format,
        sample_rate=said.sample_rate or SPEECH_RATE,
        rate=said.rate or 1.0,
        pitch=said.pitch or 1.0,
        volume=USUAL_VOLUME if said.volume is None else said.volume,
        streamed=request.mode is Mode.STREAM,
        scenario=scenario,
    )


def recipe(request: SongRequest, scenario: Scenario | None) -> Recipe:
    """What to make for a song."""
    counts = applied(request)
    text = counts.prompt or counts.lyrics or ""
    song = Recipe(
        tune="song",
        seconds=None,
        text=text,
        lyrics=counts.lyrics or "",
        gender=_singer(request, text),
        format=request.input.format,
        bitrate=BITRATE,
        watermark=request.input.enable_aigc_watermark,
        streamed=request.mode is Mode.STREAM,
    )
    return _as_wanted(song, scenario or Scenario())


def speech_recipe(
    *,
    text: str,
    voice: str,
    format: str,  # noqa: A002 - the provider's name for it, as the field is called
    sample_rate: int,
    rate: float = 1.0,
    pitch: float = 1.0,
    volume: int = USUAL_VOLUME,
    streamed: bool = True,
    scenario: Scenario | None = None,
) -> Recipe:
    """What to make when `text`, without its scenario, is to be said in mono.

    `format` is mp3 or wav; `sample_rate` in Hz, for mp3 one that MP3 has; `rate`, `pitch` and `volume` are those of a
    `Delivery`, `streamed` that of a `Recipe`.
    """
    said = Recipe(
        tune="speech",
        seconds=None,
        text=text,
        lyrics="",
        gender=None,
        format=format,
        bitrate=SPEECH_BITRATE,
        watermark=False,
        streamed=streamed,
        sample_rate=sample_rate,
        channels=1,
        delivery=Delivery(voice, float(rate), float(pitch), volume),  # 1 and 1.0 are written alike in the key
    )
    return _as_wanted(said, scenario or Scenario())


def _as_wanted(usual: Recipe, scenario: Scenario) -> Recipe:
    """The usual recipe as the scenario changes it, without what is nothing to its format or its tune."""
    made = replace(
        usual,
        seconds=scenario.seconds,
        garbage=(scenario.size, scenario.after) if scenario.fault == "garbage" else None,
        noise=scenario.fault == "noise",
        mute=scenario.mute,
    )
    if made.format == "wav":
        made = replace(made, bitrate=0, wav=scenario.wav)
    else:
        # Only a WAV's header knows whether it was streamed.
        made = replace(made, streamed=True, id3=scenario.id3, xing=scenario.xing, vbr=scenario.vbr)
        made = replace(made, bitrate=_bitrate(made, scenario.bitrate))
    if scenario.tune == "scale":
        seconds = scenario.seconds or SCALE_SECONDS
        return replace(made, tune="scale", seconds=seconds, text="", lyrics="", gender=None, delivery=None)
    return made


def _bitrate(made: Recipe, wanted: int | None) -> int:
    """The one that MP3 has at the recipe's rate nearest to the wanted one, or to the usual."""
    if made.vbr:
        return vbr.bitrate(made.sample_rate, made.channels)
    near = wanted or made.bitrate
    return min(bitrates(made.sample_rate), key=lambda bitrate: abs(bitrate - near))


def _singer(request: SongRequest, text: str) -> str | None:
    if request.input.is_instrumental:
        return None
    if request.model == PREVIEW:
        # The preview chooses the voice itself.
        return ("female", "male")[hashlib.sha256(text.encode()).digest()[0] % 2]
    return request.input.gender or "female"
