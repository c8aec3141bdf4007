"""What the simulator says beside the sound: each family's own words, which the gateway's decoder reads.

Invariant under test: the simulator cannot say what the gateway cannot read.
It must not know sound or HTTP.
"""

import msgspec
import pytest

from gateway.model import (
    AudioDelta,
    Finished,
    GenerationRequest,
    Mode,
    SongInput,
    SongRequest,
    SpeechInput,
    SpeechRequest,
)
from gateway.protocol.dashscope import GenerationDecoder
from gateway.protocol.family import Made
from gateway.protocol.sse import SseEvent
from gateway.upstream.simulator.facts import Facts

SONG = SongRequest("fun-music-v1", Mode.STREAM, SongInput(prompt="rain"))
COSY = SpeechRequest("cosyvoice-v3-flash", Mode.STREAM, SpeechInput("你好", "longanyang"))
QWEN = SpeechRequest("qwen3-tts-flash", Mode.STREAM, SpeechInput("Hello", "Cherry", "wav"))
MADE = Made(12, 24000, 1, "la")


@pytest.mark.parametrize(
    ("call", "seconds", "characters", "lyrics"),
    [(SONG, 12.0, None, "la"), (COSY, None, 4, None), (QWEN, None, 5, None)],
)
def test_the_gateway_reads_what_is_said(
    call: GenerationRequest, seconds: float | None, characters: int | None, lyrics: str | None
) -> None:
    """A slice of sound, and a last word with the url and the bill in the family's own unit."""
    facts = Facts(call, "r1", 99, "http://h/a.wav")
    decoder = GenerationDecoder()
    said = [
        event
        for data in (facts.delta(b"hello"), facts.stop(MADE))
        for event in decoder.feed(SseEvent("1", "result", data, 200, ()))
    ]
    assert said[1] == AudioDelta(b"hello")
    finished = said[2]
    assert isinstance(finished, Finished)
    assert (finished.billed_seconds, finished.billed_characters) == (seconds, characters)
    assert (finished.url, finished.lyrics) == ("http://h/a.wav", lyrics)


def test_words_of_its_own_stand_in_every_event() -> None:
    """CosyVoice says what an event is about, Qwen-TTS that there is no text."""
    cosy = msgspec.json.decode(Facts(COSY, "r", 1, "u").delta(b"x"))
    assert cosy["output"]["type"] == "sentence-synthesis"
    qwen = msgspec.json.decode(Facts(QWEN, "r", 1, "u").delta(b"x"))
    assert (qwen["output"]["choices"], qwen["output"]["finish_reason"]) == (None, "null")


def test_a_url_may_be_kept_back() -> None:
    """For an answer that has no file."""
    assert msgspec.json.decode(Facts(SONG, "r", 1, "u").stop(MADE, url=False))["output"]["audio"]["url"] == ""
