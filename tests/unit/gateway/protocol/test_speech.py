"""What CosyVoice and Qwen-TTS share: counting as the bill does, the check of every field, and the call both ways.

Invariant under test: a field is refused by its name, before anything is spent, or goes out as it came in.
It must not know HTTP or which family takes which field.
"""

import json
from dataclasses import replace

import pytest

from gateway.errors import RequestError
from gateway.model import Mode, SpeechInput, SpeechRequest
from gateway.protocol import speech

FORMATS = ("mp3", "wav")
GOOD = SpeechInput("Good morning.", "longanyang")


def request(**changes: object) -> SpeechRequest:
    return SpeechRequest("cosyvoice-v3-flash", Mode.STREAM, replace(GOOD, **changes))  # type: ignore[arg-type] - by name


@pytest.mark.parametrize(
    ("text", "characters"),
    [("你好", 4), ("中A文123", 8), ("中文。", 5), ("中 文。", 6), ("Good day", 8), ("", 0), ("ひらがな", 4)],
)
def test_ideographs_cost_two_and_the_rest_one(text: str, characters: int) -> None:
    """The provider's own examples of what it bills."""
    assert speech.billed_characters(text) == characters


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"text": "x" * 20},
        {"voice": "cosyvoice-v3-plus-mine-8aae0c0397fc"},
        {"voice": "Cherry", "format": "wav", "sample_rate": 8000},
        {"volume": 0, "rate": 0.5, "pitch": 2.0, "seed": 65535},
        {"instruction": "Speak softly.", "language_hints": ("zh", "en"), "enable_ssml": True},
    ],
)
def test_what_the_provider_takes_is_let_through(changes: dict[str, object]) -> None:
    """At the ends of every range, and with every field."""
    assert speech.check(request(**changes), characters=20, formats=FORMATS) == []


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"text": " \n"}, "text"),
        ({"text": "... __ 。！😀"}, "text"),
        ({"text": "x" * 21}, "text"),
        ({"voice": ""}, "voice"),
        ({"voice": "x" * 129}, "voice"),
        ({"voice": "a/../b"}, "voice"),
        ({"format": "opus"}, "format"),
        ({"sample_rate": 11025}, "sample_rate"),
        ({"volume": 101}, "volume"),
        ({"rate": 0.4}, "rate"),
        ({"pitch": 2.1}, "pitch"),
        ({"seed": -1}, "seed"),
        ({"instruction": "x" * 1601}, "instruction"),
        ({"language_hints": ("zh", "Chinese")}, "language_hints"),
    ],
)
def test_what_the_provider_would_refuse_is_refused_by_name(changes: dict[str, object], param: str) -> None:
    """Before anything is bought, with the field that is wrong."""
    with pytest.raises(RequestError) as caught:
        speech.check(request(**changes), characters=20, formats=FORMATS)
    assert (caught.value.code, caught.value.param) == ("invalid_input", f"input.{param}")


def test_a_call_has_the_fields_of_its_family_that_were_given() -> None:
    """What was not given is left to the provider; what the family does not know is not sent."""
    given = request(rate=1.5, language_type="English")
    body = json.loads(speech.call_body(given, frozenset({"text", "voice", "format", "rate"})))
    spoken = {"text": "Good morning.", "voice": "longanyang", "format": "mp3", "rate": 1.5}
    assert body == {"model": "cosyvoice-v3-flash", "input": spoken}


def test_a_call_is_understood_as_it_was_meant() -> None:
    """The simulator reads from a call what the gateway wrote into it; a format that is not said is the usual one."""
    given = request(format="wav", sample_rate=24000, language_hints=("en",))
    fields = frozenset({"text", "voice", "format", "sample_rate", "language_hints"})
    assert speech.parse(speech.call_body(given, fields), "mp3") == given
    assert speech.parse(b'{"model":"m","input":{"text":"a","voice":"b"}}', "wav").input.format == "wav"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model":"m","input":{"text":"a"}}', b"[" * 100_000, b'"\xff"'])
def test_a_call_that_is_none_is_refused(body: bytes) -> None:
    """What is not the documented object is `invalid_request`, however deep or broken it is."""
    with pytest.raises(RequestError) as caught:
        speech.parse(body, "mp3")
    assert caught.value.code == "invalid_request"
