"""What an order in OpenAI's words means here: which of our models, and which of its fields say it.

Invariant: every field that was given reaches the model or is refused by OpenAI's own name for it; nothing is ignored,
guessed, or taken for something similar. OpenAI's names of models and voices mean only what the configuration says.
It must not know HTTP, or who asks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config.schema import SpeechAlias
from gateway.errors import RequestError, StartError
from gateway.model import Principal, SongInput
from gateway.protocol.families import MODELS
from gateway.protocol.family import ModelFamily
from gateway.protocol.limits import GENDERS, PREVIEW, V1
from gateway.protocol.messages import CreateBody, FormatSpec, InputSpec
from gateway.protocol.openai import VOICES, Model, SpeechBody
from gateway.protocol.speech import RANGES
from gateway.relay.order import Order
from gateway.relay.wishes import Wished, possible
from gateway.server.ordering import order_of

OWNER = "alibaba-cloud"
# OpenAI's pcm has no header, so it is always this.
PCM_RATE = 24000
FORMATS = {
    "mp3": FormatSpec("mp3"),
    "opus": FormatSpec("ogg"),
    "aac": FormatSpec("aac"),
    "flac": FormatSpec("flac"),
    "wav": FormatSpec("wav"),
    "pcm": FormatSpec("pcm", PCM_RATE, 1),
}
STREAM_FORMATS = ("audio", "sse")
SPEEDS = (0.25, 4.0)
INSTRUMENTAL = "instrumental"
# The voice that a song has when nobody chooses one.
DEFAULT_VOICE = "default"
_OURS = re.compile(r"\binput\.(\w+)")


@dataclass(frozen=True, slots=True)
class Meaning:
    """An order in our words; `names` are OpenAI's for the fields of our input."""

    body: CreateBody
    names: Mapping[str, str]

    def order(self, principal: Principal, abandon: str) -> Order:
        """Raises RequestError in OpenAI's words."""
        assert self.body.model is not None
        try:
            return order_of(self.body, principal, abandon, self.body.model)
        except RequestError as mistake:
            raise self._renamed(mistake) from None

    def _renamed(self, mistake: RequestError) -> RequestError:
        def name(ours: str) -> str:
            return _OURS.sub(lambda found: self.names.get(found[1], found[1]), ours)

        param = None if mistake.param is None else name(mistake.param)
        return RequestError(mistake.code, name(mistake.message), param=param)


class Dictionary:
    """`aliases` are names that the configuration gives models; `default_model` is that of an order without one.

    Raises StartError for an alias of nothing, or of the name of a model.
    """

    def __init__(self, aliases: Mapping[str, SpeechAlias], default_model: str) -> None:
        for name, alias in aliases.items():
            if name in MODELS:
                raise StartError(f"upstream.speech_aliases.{name}: is a model already, and cannot mean another.")
            if alias.model not in MODELS:
                raise StartError(f"upstream.speech_aliases.{name}.model: must be one of {', '.join(MODELS)}.")
        self._aliases = dict(aliases)
        self._default_model = default_model

    def models(self, created: int) -> list[Model]:
        """All that can be named in an order; `created` is since when."""
        named = [Model(name, created, OWNER) for name in MODELS]
        return named + [
            Model(name, created, OWNER, alias_of=alias.model) for name, alias in sorted(self._aliases.items())
        ]

    def heard(self, said: SpeechBody) -> list[Wished]:
        """The format that is asked for. Raises RequestError."""
        form = FORMATS.get(said.response_format)
        if form is None:
            raise RequestError(
                "invalid_input", f"The response_format is one of: {', '.join(FORMATS)}.", param="response_format"
            )
        if said.stream_format not in STREAM_FORMATS:
            raise RequestError("invalid_input", "The stream_format is `audio` or `sse`.", param="stream_format")
        return possible([form])

    def meaning(self, said: SpeechBody) -> Meaning:
        """What is to be bought. Raises RequestError `invalid_input`, naming the field."""
        name = said.model or self._default_model
        alias = self._aliases.get(name)
        model = alias.model if alias is not None else name
        family = MODELS.get(model)
        if family is None:
            known = ", ".join([*MODELS, *sorted(self._aliases)])
            raise _wrong("model", f"This gateway has no such model. It has: {known}.")
        if not said.input.strip():
            raise _wrong("input", "There is nothing to say: give an input.")
        low, high = SPEEDS
        if not low <= said.speed <= high:
            raise _wrong("speed", f"The speed is {low:g} to {high:g}.")
        voice = said.voice_name
        if alias is not None and voice is not None:
            voice = alias.voices.get(voice, voice)
        # An mp3 is the provider's own where there is one. All else is made of what has lost nothing yet.
        wanted = "mp3" if said.response_format == "mp3" else "wav"
        form = wanted if wanted in family.formats else family.formats[0]
        if family.input is SongInput:
            return _song(said, model, voice, form)
        return _speech(said, model, family, voice, form)


def _song(said: SpeechBody, model: str, voice: str | None, form: str) -> Meaning:
    voice = voice or DEFAULT_VOICE
    voices = (*GENDERS, INSTRUMENTAL, DEFAULT_VOICE) if model == V1 else (INSTRUMENTAL, DEFAULT_VOICE)
    if voice not in voices:
        raise _wrong("voice", f"The voices of {model} are: {', '.join(voices)}.")
    if said.speed != 1:
        raise _wrong("speed", f"{model} cannot be told how fast to sing: leave speed out.")
    if said.input_type not in (None, "prompt", "lyrics"):
        raise _wrong("input_type", "The input_type is `prompt`, what the song is like, or `lyrics`, what is sung.")
    sung = said.input_type == "lyrics"
    if sung and voice == INSTRUMENTAL:
        raise _wrong("voice", "Nobody sings the lyrics of an instrumental: choose another voice, or give a prompt.")
    instructions = said.instructions or None
    if instructions is not None and not (sung and model == PREVIEW):
        sentence = f"{model} takes instructions only beside lyrics." if model == PREVIEW else f"{model} takes none."
        raise _wrong("instructions", f"{sentence} What the music is like can be the input, as a prompt.")
    spec = InputSpec(
        prompt=instructions if sung else said.input,
        lyrics=said.input if sung else None,
        gender=voice if voice in GENDERS else None,
        is_instrumental=voice == INSTRUMENTAL,
        format=form,
    )
    return Meaning(CreateBody(spec, model), {"lyrics": "input", "prompt": "instructions" if sung else "input"})


def _speech(said: SpeechBody, model: str, family: ModelFamily[Any], voice: str | None, form: str) -> Meaning:
    if said.input_type is not None:
        raise _wrong("input_type", f"{model} speaks its input: only songs have a prompt or lyrics.")
    if voice is None:
        raise _wrong("voice", f"{model} needs a voice: the name of one of the provider's.")
    if voice in VOICES:
        raise _wrong(
            "voice", f"{voice} is OpenAI's: {model} has no such voice. Give the name of one that it has, or an alias."
        )
    if said.speed != 1:
        if "rate" not in family.fields:
            raise _wrong("speed", f"{model} cannot be told how fast to speak: leave speed out.")
        low, high = RANGES["rate"]
        if not low <= said.speed <= high:
            raise _wrong("speed", f"{model} speaks from {low:g} to {high:g} times as fast.")
    told = "instruction" if "instruction" in family.fields else "instructions"
    fields: dict[str, Any] = {
        "text": said.input,
        "voice": voice,
        "rate": None if said.speed == 1 else said.speed,
        told: said.instructions or None,
        "format": form,
    }
    if said.response_format == "pcm" and "sample_rate" in family.fields:
        fields["sample_rate"] = PCM_RATE
    return Meaning(CreateBody(InputSpec(**fields), model), {"text": "input", "rate": "speed", told: "instructions"})


def _wrong(name: str, sentence: str) -> RequestError:
    return RequestError("invalid_input", sentence, param=name)
