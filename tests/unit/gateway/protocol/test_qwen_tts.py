"""Qwen-TTS's family: its fields, its bill, and the header that a stream of it may lack.

Invariant under test: what comes in can be cut into frames whether or not it has a header.
It must not know HTTP or the simulator.
"""

import json
from dataclasses import replace

import pytest

from gateway.errors import RequestError
from gateway.model import AudioDelta, Billed, Mode, SpeechInput, SpeechRequest
from gateway.protocol.dashscope import GenerationDecoder
from gateway.protocol.family import LastWord, Made
from gateway.protocol.qwen_tts import FAMILY, INSTRUCTED
from gateway.protocol.sse import SseEvent
from transcode.framer import Framer
from transcode.wavheader import wav_header

MODEL = "qwen3-tts-flash"


def request(text: str = "Hello", **fields: object) -> SpeechRequest:
    return SpeechRequest(MODEL, Mode.STREAM, SpeechInput(text, "Cherry", "wav", **fields))  # type: ignore[arg-type] - by name


def test_its_call_has_no_format() -> None:
    """The format is no field of the call: there is one only."""
    given = request(language_type="English")
    spoken = {"text": "Hello", "voice": "Cherry", "language_type": "English"}
    assert json.loads(FAMILY.body(given)) == {"model": MODEL, "input": spoken}
    assert FAMILY.parse(FAMILY.body(given)) == given


def test_an_instructed_model_is_told_how_to_speak() -> None:
    """Both fields go out and come back as they were given; a model that cannot be told says so, before it is paid."""
    given = replace(request(instructions="Whisper.", optimize_instructions=True), model=INSTRUCTED[0])
    spoken = {"text": "Hello", "voice": "Cherry", "instructions": "Whisper.", "optimize_instructions": True}
    assert FAMILY.check(given) == []
    assert json.loads(FAMILY.body(given)) == {"model": INSTRUCTED[0], "input": spoken}
    assert FAMILY.parse(FAMILY.body(given)) == given


def test_its_events_are_read() -> None:
    """Documented with choices and text that are null, and a status code of its own in the body."""
    data = (
        b'{"status_code":200,"request_id":"r","code":"","message":"","output":{"text":null,"finish_reason":null,'
        b'"choices":null,"audio":{"data":"aGVsbG8=","url":"","id":"audio_r","expires_at":1}},'
        b'"usage":{"input_tokens":0,"output_tokens":0,"characters":195}}'
    )
    assert GenerationDecoder().feed(SseEvent("1", "result", data, 200, ()))[1:] == [
        Billed(characters=195),
        AudioDelta(b"hello"),
    ]


@pytest.mark.parametrize("first", [b"\0\1" * 2400, b"R1" * 2400])
def test_bare_pcm_is_given_the_header_it_lacks(first: bytes) -> None:
    """What follows can be cut into frames like any WAV of 24 kHz, mono."""
    framer = Framer()
    frames = framer.feed(FAMILY.prelude(first) + first) + framer.flush()
    assert framer.format is not None
    assert (framer.format.sample_rate, framer.format.channels) == (24000, 1)
    assert b"".join(frame.data for frame in frames) == first


@pytest.mark.parametrize("first", [wav_header(24000, 1) + b"\0\0", b"RIFF", b"RI"])
def test_a_header_of_its_own_is_left_alone(first: bytes) -> None:
    """Also when the first slice holds no more than its beginning."""
    assert FAMILY.prelude(first) == b""


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (request(language_type="Klingon"), "language_type"),
        (request("x" * 601), "text"),
        (request(instructions="Whisper."), "instructions"),
        (request(optimize_instructions=True), "optimize_instructions"),
    ],
)
def test_what_it_would_refuse_is_refused(given: SpeechRequest, param: str) -> None:
    """A language that is not documented, and more text than it takes."""
    assert FAMILY.check(request(language_type="Auto")) == []
    with pytest.raises(RequestError) as caught:
        FAMILY.check(given)
    assert caught.value.param == f"input.{param}"


def test_its_last_word_is_the_bill() -> None:
    assert FAMILY.last_word(request("你好"), Made(1, 24000, 1, "")).usage == {"characters": 4}
    assert isinstance(FAMILY.last_word(request(), Made(1, 24000, 1, "")), LastWord)
