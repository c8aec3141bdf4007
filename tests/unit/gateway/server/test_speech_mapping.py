"""What an order in OpenAI's words means: each field of each family, and everything that has no meaning here.

Invariant under test: a field that was given arrives or is refused by OpenAI's name for it, before anything is bought.
It must not know HTTP.
"""

from typing import Any

import msgspec
import pytest

from gateway.config.schema import SpeechAlias
from gateway.errors import RequestError, StartError
from gateway.model import SpeechInput
from gateway.protocol.families import MODELS
from gateway.protocol.messages import FormatSpec
from gateway.protocol.openai import VOICES, SpeechBody, VoiceId
from gateway.relay.order import Order
from gateway.relay.wishes import possible
from gateway.server.speech_mapping import Dictionary
from tests.support.relay import BUYER

ALIASES = {
    "tts-1": SpeechAlias(model="cosyvoice-v3-flash", voices={"alloy": "longanyang"}),
    "singer": SpeechAlias(model="fun-music-v1", voices={"alloy": "female"}),
}
COSY = {"model": "cosyvoice-v3-flash", "voice": "longanyang", "input": "Good evening."}
QWEN = {"model": "qwen3-tts-flash", "voice": "Cherry", "input": "Good evening."}
TOLD = QWEN | {"model": "qwen3-tts-instruct-flash"}
SONG = {"model": "fun-music-v1", "input": "a calm song for the night"}
PREVIEW = SONG | {"model": "fun-music-preview"}
WORDS = " ".join(["word"] * 220)


def ordered(fields: dict[str, Any], aliases: dict[str, SpeechAlias] | None = None) -> Order:
    dictionary = Dictionary(ALIASES if aliases is None else aliases, "fun-music-v1")
    return dictionary.meaning(SpeechBody(**fields)).order(BUYER, "finish")


def bought(fields: dict[str, Any]) -> dict[str, Any]:
    """What the provider is asked for, without what is as usual."""
    given = ordered(fields).request.input
    usual = SpeechInput("", "") if isinstance(given, SpeechInput) else type(given)()
    names = [name for name in type(given).__dataclass_fields__ if getattr(given, name) != getattr(usual, name)]
    return {name: getattr(given, name) for name in names}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (COSY, {"text": "Good evening.", "voice": "longanyang"}),
        (COSY | {"voice": VoiceId("longanyang")}, {"text": "Good evening.", "voice": "longanyang"}),
        (COSY | {"speed": 0.5}, {"text": "Good evening.", "voice": "longanyang", "rate": 0.5}),
        (COSY | {"speed": 2.0, "instructions": "Whisper."}, {"rate": 2.0, "instruction": "Whisper."}),
        (COSY | {"instructions": ""}, {"text": "Good evening.", "voice": "longanyang"}),
        (COSY | {"response_format": "opus"}, {"format": "wav"}),
        (COSY | {"response_format": "pcm"}, {"format": "wav", "sample_rate": 24000}),
        (COSY | {"model": "tts-1", "voice": "alloy"}, {"voice": "longanyang"}),
        (COSY | {"model": "tts-1", "voice": "another"}, {"voice": "another"}),
        (QWEN, {"text": "Good evening.", "voice": "Cherry", "format": "wav"}),
        (QWEN | {"response_format": "pcm"}, {"text": "Good evening.", "voice": "Cherry", "format": "wav"}),
        (TOLD | {"instructions": "Whisper."}, {"instructions": "Whisper.", "format": "wav"}),
        (SONG, {"prompt": "a calm song for the night"}),
        ({"input": "a calm song for the night"}, {"prompt": "a calm song for the night"}),
        (SONG | {"voice": "default"}, {"prompt": "a calm song for the night"}),
        (SONG | {"voice": "male", "response_format": "flac"}, {"gender": "male", "format": "wav"}),
        (SONG | {"voice": "instrumental"}, {"prompt": "a calm song for the night", "is_instrumental": True}),
        (SONG | {"model": "singer", "voice": "alloy"}, {"prompt": "a calm song for the night", "gender": "female"}),
        (SONG | {"input": WORDS, "input_type": "lyrics"}, {"lyrics": WORDS}),
        (PREVIEW, {"prompt": "a calm song for the night"}),
        (PREVIEW | {"input_type": "prompt"}, {"prompt": "a calm song for the night"}),
        (
            PREVIEW | {"input": WORDS, "input_type": "lyrics", "instructions": "a slow waltz for two guitars"},
            {"lyrics": WORDS, "prompt": "a slow waltz for two guitars"},
        ),
    ],
)
def test_each_field_reaches_the_model(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """By the model's own name for it; a speed of 1 and empty instructions are nothing to tell."""
    found = bought(fields)
    assert found | expected == found
    order = ordered(fields)
    assert order.warnings == []
    assert (order.principal, order.grace, order.share, order.request.mode.value) == (BUYER, None, False, "stream")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (COSY | {"model": "gpt-4o-mini-tts"}, "model"),
        (COSY | {"input": " \n"}, "input"),
        (COSY | {"input": "x" * 20_001}, "input"),
        (COSY | {"voice": None}, "voice"),
        (COSY | {"voice": "no/such"}, "voice"),
        (COSY | {"speed": 0.2}, "speed"),
        (COSY | {"speed": 4.1}, "speed"),
        (COSY | {"speed": 0.25}, "speed"),
        (COSY | {"speed": 2.5}, "speed"),
        (COSY | {"instructions": "x" * 1601}, "instructions"),
        (COSY | {"input_type": "lyrics"}, "input_type"),
        (COSY | {"model": "tts-1", "voice": "nova"}, "voice"),
        (QWEN | {"speed": 1.5}, "speed"),
        (QWEN | {"instructions": "Whisper."}, "instructions"),
        (QWEN | {"input": "x" * 601}, "input"),
        (SONG | {"voice": "Cherry"}, "voice"),
        (SONG | {"voice": "alloy"}, "voice"),
        (SONG | {"speed": 1.1}, "speed"),
        (SONG | {"instructions": "a waltz"}, "instructions"),
        (SONG | {"input_type": "poem"}, "input_type"),
        (SONG | {"input": "short"}, "input"),
        (SONG | {"input": "too few words", "input_type": "lyrics"}, "input"),
        (SONG | {"input": WORDS, "input_type": "lyrics", "voice": "instrumental"}, "voice"),
        (SONG | {"input": WORDS, "input_type": "lyrics", "instructions": "a waltz"}, "instructions"),
        (SONG | {"input": "спокойная песня для тихой ночи"}, "input"),
        (PREVIEW | {"voice": "female"}, "voice"),
        (PREVIEW | {"instructions": "a waltz"}, "instructions"),
        (PREVIEW | {"input": WORDS, "input_type": "lyrics"}, "instructions"),
        (PREVIEW | {"input": WORDS, "input_type": "lyrics", "instructions": "waltz"}, "instructions"),
    ],
)
def test_what_has_no_meaning_is_refused_by_openais_name(fields: dict[str, Any], param: str) -> None:
    """And in words in which our own names of fields do not stand."""
    with pytest.raises(RequestError) as refused:
        ordered(fields)
    assert refused.value.code in ("invalid_input", "unsupported_language")
    assert refused.value.param == param
    assert "input." not in refused.value.message.removesuffix("input.")


@pytest.mark.parametrize("voice", sorted(VOICES))
def test_openais_voices_mean_nothing_by_themselves(voice: str) -> None:
    """Nobody hears another voice than the one that was asked for and believes it is that."""
    for fields in (COSY, QWEN, SONG):
        with pytest.raises(RequestError) as refused:
            ordered(fields | {"voice": voice}, aliases={})
        assert refused.value.param == "voice"


def test_a_refusal_of_a_model_names_those_there_are() -> None:
    """Its own and those of the configuration."""
    with pytest.raises(RequestError, match=r"cosyvoice-v2.*singer, tts-1"):
        ordered(COSY | {"model": "gpt-4o-mini-tts"})


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mp3", FormatSpec("mp3")),
        ("opus", FormatSpec("ogg")),
        ("aac", FormatSpec("aac")),
        ("flac", FormatSpec("flac")),
        ("wav", FormatSpec("wav")),
        ("pcm", FormatSpec("pcm", 24000, 1)),
    ],
)
def test_each_format_is_one_of_ours(name: str, wanted: FormatSpec) -> None:
    """Opus comes in Ogg, AAC as ADTS, and pcm as OpenAI documents it."""
    assert Dictionary({}, "fun-music-v1").heard(SpeechBody("x", response_format=name)) == possible([wanted])


@pytest.mark.parametrize("field", ["response_format", "stream_format"])
def test_a_format_that_openai_does_not_have_is_refused(field: str) -> None:
    """Also one that other doors have."""
    with pytest.raises(RequestError) as refused:
        Dictionary({}, "fun-music-v1").heard(msgspec.structs.replace(SpeechBody("x"), **{field: "webm"}))
    assert (refused.value.code, refused.value.param) == ("invalid_input", field)


def test_all_models_are_listed_and_aliases_say_of_what() -> None:
    """In the order of the families, names of the configuration behind them."""
    models = Dictionary(ALIASES, "fun-music-v1").models(5)
    assert [model.id for model in models] == [*MODELS, "singer", "tts-1"]
    assert [model.alias_of for model in models[-2:]] == ["fun-music-v1", "cosyvoice-v3-flash"]
    assert {model.created for model in models} == {5}


@pytest.mark.parametrize(
    ("aliases", "path"),
    [
        ({"tts-1": SpeechAlias(model="cosyvoice")}, r"upstream\.speech_aliases\.tts-1\.model: must be one of"),
        ({"fun-music-v1": SpeechAlias(model="cosyvoice-v2")}, r"upstream\.speech_aliases\.fun-music-v1: is a model"),
    ],
)
def test_an_alias_of_nothing_stops_the_start(aliases: dict[str, SpeechAlias], path: str) -> None:
    """By its path, before anybody orders; and no alias hides a model."""
    with pytest.raises(StartError, match=path):
        Dictionary(aliases, "fun-music-v1")
