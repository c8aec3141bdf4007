"""CosyVoice's family: its fields and its bill, and that the envelope reads its events.

Invariant under test: what the provider documents is what is written and what is read.
It must not know HTTP or the simulator.
"""

import json

import pytest

from gateway.errors import RequestError
from gateway.model import Accepted, AudioDelta, Billed, Finished, Mode, SpeechInput, SpeechRequest
from gateway.protocol.cosyvoice import FAMILY, MAX_CHARACTERS
from gateway.protocol.dashscope import GenerationDecoder
from gateway.protocol.family import LastWord, Made
from gateway.protocol.sse import SseEvent

REQUEST = SpeechRequest("cosyvoice-v3-flash", Mode.STREAM, SpeechInput("你好, world", "longanyang", sample_rate=24000))

# The events of one sentence, as the provider documents them.
EVENTS = (
    b'{"output":{"finish_reason":"null","type":"sentence-begin","original_text":"A","sentence":{"index":0,"words":[]},'
    b'"audio":{"data":"","expires_at":1,"id":"audio_r"}},"usage":{"characters":1},"request_id":"r"}',
    b'{"output":{"finish_reason":"null","type":"sentence-synthesis","sentence":{"index":0,"words":[]},'
    b'"audio":{"data":"aGVsbG8=","expires_at":1,"id":"audio_r"}},"request_id":"r"}',
    b'{"output":{"finish_reason":"null","type":"sentence-end","audio":null},"usage":{"characters":9},"request_id":"r"}',
    b'{"output":{"finish_reason":"stop","audio":{"data":"","url":"http://host/a.mp3"}},"usage":{"characters":9},'
    b'"request_id":"r"}',
)


def test_its_events_are_sound_and_a_bill_in_characters() -> None:
    """Sentences begin and end without a sound; the last word has the url and the characters, and no seconds."""
    decoder = GenerationDecoder()
    said = [event for data in EVENTS for event in decoder.feed(SseEvent("1", "result", data, 200, ()))]
    assert said == [
        Accepted("r"),
        Billed(characters=1),
        AudioDelta(b"hello"),
        Billed(characters=9),
        Finished(None, url="http://host/a.mp3", billed_characters=9),
    ]


def test_its_call_has_the_documented_fields() -> None:
    """All in `input`, and none that was not given."""
    spoken = {"text": "你好, world", "voice": "longanyang", "format": "mp3", "sample_rate": 24000}
    assert json.loads(FAMILY.body(REQUEST)) == {"model": "cosyvoice-v3-flash", "input": spoken}
    assert FAMILY.parse(FAMILY.body(REQUEST)) == REQUEST


def test_a_long_text_is_refused() -> None:
    """Its own limit holds."""
    long = SpeechRequest(REQUEST.model, Mode.STREAM, SpeechInput("x" * (MAX_CHARACTERS + 1), "longanyang"))
    assert FAMILY.check(REQUEST) == []
    with pytest.raises(RequestError):
        FAMILY.check(long)


def test_its_last_word_is_the_bill() -> None:
    """Two ideographs, a comma, a space and five letters."""
    assert FAMILY.last_word(REQUEST, Made(1, 24000, 1, "")) == LastWord({}, {"characters": 11})
    assert FAMILY.prelude(b"\xff\xfb") == b""
