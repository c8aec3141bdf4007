"""Qwen-TTS's call: a text and a voice in, 24 kHz mono speech as a WAV out, billed by the character.

Invariant: only documented fields are sent. A stream is PCM, with a WAV header before it or without one, depending on
the model: here it always has one. Source: the provider's Qwen-TTS API reference; the header was seen by third parties.
It must not know HTTP or who asks.
"""

from functools import partial

from gateway.errors import RequestError
from gateway.model import SpeechInput, SpeechRequest
from gateway.protocol import speech
from gateway.protocol.family import LastWord, Made, ModelFamily
from transcode.wavheader import wav_header

PATH = "/api/v1/services/aigc/multimodal-generation/generation"
# Those that can be told how to speak.
INSTRUCTED = ("qwen3-tts-instruct-flash", "qwen3-tts-instruct-flash-2026-01-26")
MODELS = (
    "qwen3-tts-flash",
    "qwen3-tts-flash-2025-11-27",
    "qwen3-tts-flash-2025-09-18",
    *INSTRUCTED,
)
FORMATS = ("wav",)
# What goes into the call. The format is no field of it: there is one only.
INSTRUCTIONS = frozenset({"instructions", "optimize_instructions"})
FIELDS = frozenset({"text", "voice", "language_type"}) | INSTRUCTIONS
MAX_CHARACTERS = 600
SAMPLE_RATE = 24000
CHANNELS = 1
LANGUAGES = (
    "Auto",
    "Chinese",
    "English",
    "German",
    "Italian",
    "Portuguese",
    "Spanish",
    "Japanese",
    "Korean",
    "French",
    "Russian",
)


def check(request: SpeechRequest) -> list[str]:
    """No warnings; raises RequestError `invalid_input`."""
    language = request.input.language_type
    if language is not None and language not in LANGUAGES:
        raise RequestError(
            "invalid_input", f"The language must be one of {', '.join(LANGUAGES)}.", param="input.language_type"
        )
    for name in sorted(INSTRUCTIONS) if request.model not in INSTRUCTED else ():
        if getattr(request.input, name):
            raise RequestError(
                "invalid_input", f"{request.model} has no {name}; {INSTRUCTED[0]} has.", param=f"input.{name}"
            )
    return speech.check(request, characters=MAX_CHARACTERS, formats=FORMATS)


def prelude(first: bytes) -> bytes:
    """A header of a WAV without a known end, unless the sound begins with one of its own."""
    return b"" if first[:4] == b"RIFF"[: len(first)] else wav_header(SAMPLE_RATE, CHANNELS)


def last_word(request: SpeechRequest, made: Made) -> LastWord:
    """The billed characters, and nothing of the sound."""
    del made
    return LastWord({"text": None, "choices": None}, {"characters": speech.billed_characters(request.input.text)})


FAMILY = ModelFamily(
    models=MODELS,
    path=PATH,
    formats=FORMATS,
    fields=FIELDS | {"format"},
    input=SpeechInput,
    request=SpeechRequest,
    check=check,
    body=partial(speech.call_body, names=FIELDS),
    parse=partial(speech.parse, default_format="wav"),
    last_word=last_word,
    prelude=prelude,
    interim={"text": None, "choices": None},
)
