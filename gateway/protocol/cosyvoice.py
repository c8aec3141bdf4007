"""CosyVoice's call, which is Qwen-Audio-TTS's too: a text and a voice in, speech out, billed by the character.

Invariant: only documented fields are sent. The sound stands in the events about a sentence's synthesis, the others have
none; the envelope reads both. Source: the provider's CosyVoice HTTP API reference of October 2026.
It must not know HTTP or who asks.
"""

from functools import partial

from gateway.model import SpeechInput, SpeechRequest
from gateway.protocol import speech
from gateway.protocol.family import LastWord, Made, ModelFamily

PATH = "/api/v1/services/audio/tts/SpeechSynthesizer"
MODELS = (
    "cosyvoice-v3.5-plus",
    "cosyvoice-v3.5-flash",
    "cosyvoice-v3-plus",
    "cosyvoice-v3-flash",
    "cosyvoice-v2",
    "qwen-audio-3.0-tts-flash",
)
# It could give pcm and Ogg Opus too; what the gateway takes in is these.
FORMATS = ("mp3", "wav")
FIELDS = frozenset(
    {
        "text",
        "voice",
        "format",
        "sample_rate",
        "volume",
        "rate",
        "pitch",
        "seed",
        "instruction",
        "language_hints",
        "enable_ssml",
    }
)
MAX_CHARACTERS = 20_000


def last_word(request: SpeechRequest, made: Made) -> LastWord:
    """The billed characters, and nothing of the sound."""
    del made
    return LastWord({}, {"characters": speech.billed_characters(request.input.text)})


FAMILY = ModelFamily(
    models=MODELS,
    path=PATH,
    formats=FORMATS,
    fields=FIELDS,
    input=SpeechInput,
    request=SpeechRequest,
    check=partial(speech.check, characters=MAX_CHARACTERS, formats=FORMATS),
    body=partial(speech.call_body, names=FIELDS),
    parse=partial(speech.parse, default_format="mp3"),
    last_word=last_word,
    interim={"type": "sentence-synthesis", "sentence": {"index": 0, "words": []}},
)
