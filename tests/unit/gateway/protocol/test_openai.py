"""OpenAI's dialect: bodies of orders as its SDK and strangers write them, and the events of an answer.

Invariant under test: a mistake is refused with the name of its field and without its value; an event is one JSON
document in one data line. It must not know which model takes which field.
"""

import base64
import json

import pytest

from gateway.errors import RequestError, UpstreamError
from gateway.model import Chunk
from gateway.protocol import openai
from gateway.protocol.events import Usage, encode
from gateway.protocol.openai import SpeechBody, VoiceId, decode_speech
from tests.support.relay import RENDITION

CHUNK = Chunk(RENDITION, 0, 0, 1, b"\x00\xff three")


def test_an_order_has_openais_defaults() -> None:
    """What its reference names, and nothing is chosen that was not given."""
    said = decode_speech(b'{"input": "hello"}')
    assert said == SpeechBody("hello", None, None, None, "mp3", 1.0, "audio", None)
    assert said.voice_name is None


@pytest.mark.parametrize(
    ("voice", "name"), [('"Cherry"', "Cherry"), ('{"id": "voice_1"}', "voice_1"), ("null", None), ('""', None)]
)
def test_a_voice_is_a_name_or_an_object(voice: str, name: str | None) -> None:
    """Newer clients write `{"id": ...}`; an empty name is none."""
    assert decode_speech(b'{"input": "x", "voice": %b}' % voice.encode()).voice_name == name


def test_a_voice_that_is_an_object_is_kept_as_one() -> None:
    """So an order under an Idempotency-Key is the same order only if it was written the same way."""
    assert decode_speech(b'{"input": "x", "voice": {"id": "v"}}').voice == VoiceId("v")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"\xff", "invalid_json", None),
        (b'{"input": "\xff"}', "invalid_json", None),
        (b'{"input": ' + b"[" * 100_000, "invalid_request", "input"),
        (b"[]", "invalid_request", None),
        (b"{}", "invalid_request", "input"),
        (b'{"input": 5}', "invalid_request", "input"),
        (b'{"input": "secret words", "sped": 2}', "invalid_request", "sped"),
        (b'{"input": "secret words", "speed": "secret"}', "invalid_request", "speed"),
        (b'{"input": "secret words", "speed": null}', "invalid_request", "speed"),
        (b'{"input": "secret words", "voice": 3}', "invalid_request", "voice"),
        (b'{"input": "secret words", "voice": {}}', "invalid_request", "voice.id"),
        (b'{"input": "secret words", "voice": {"id": "x", "age": 3}}', "invalid_request", "voice.age"),
    ],
)
def test_a_mistake_is_named(body: bytes, code: str, param: str | None) -> None:
    """By its field, also one that is missing or unknown; what stands in it is not repeated."""
    with pytest.raises(RequestError) as refused:
        decode_speech(body)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert "secret" not in refused.value.message


def data_of(event: bytes) -> dict[str, object]:
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    document: dict[str, object] = json.loads(event[6:])
    return document


def test_a_chunk_is_an_event() -> None:
    """Its payload in base64, by OpenAI's name for it; as a chunk of HTTP the very same, with its size before it."""
    event = openai.delta(CHUNK)
    assert data_of(event) == {"type": "speech.audio.delta", "audio": base64.b64encode(CHUNK.payload).decode()}
    assert openai.delta_chunked(CHUNK) == b"%x\r\n%b\r\n" % (len(event), event)


def test_the_last_event_tells_what_was_used_or_what_went_wrong() -> None:
    """The end is OpenAI's, with our usage; a failure is the error body, and `done` does not come."""
    assert data_of(openai.done(Usage(2.5, settled=True, characters=7))) == {
        "type": "speech.audio.done",
        "usage": {"audio_seconds": 2.5, "settled": True, "characters": 7},
    }
    failed = data_of(openai.failed(UpstreamError("upstream_interrupted", "It broke off.")))
    assert failed == {
        "type": "error",
        "error": {
            "code": "upstream_interrupted",
            "message": "It broke off.",
            "retryable": True,
            "retry_after_ms": None,
            "param": None,
        },
    }


def test_a_list_of_models_looks_like_openais() -> None:
    """An alias says of what; others have no such field."""
    models = openai.ModelList([openai.Model("a", 5, "us"), openai.Model("b", 5, "us", alias_of="a")])
    assert json.loads(encode(models)) == {
        "object": "list",
        "data": [
            {"id": "a", "object": "model", "created": 5, "owned_by": "us"},
            {"id": "b", "object": "model", "created": 5, "owned_by": "us", "alias_of": "a"},
        ],
    }
