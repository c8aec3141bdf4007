"""The provider's answers in both directions: what is understood of them, and the inverse.

Answers are written out here as the provider documents them; the payload builders are tested against the same text,
so that the simulator is held to the documents and not to our decoder.
"""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Billed, Finished, SourceEvent
from gateway.protocol.dashscope import GenerationDecoder, decode_whole, delta_payload, error_payload
from gateway.protocol.sse import SseEvent
from tests.support.wire import stop_payload, whole_payload

INTERIM = (
    '{"output":{"audio":{"data":"aGVsbG8=","expires_at":1774937185,"id":"audio_r1"},"finish_reason":"null"},'
    '"request_id":"r1"}'
)
STOP = (
    '{"output":{"audio":{"data":"","expires_at":1774937185,"id":"audio_r1","url":"http://host/a.mp3?s=%2F"},'
    '"extra_info":{"channels":2,"sample_rate":"48000","lyrics":"[verse]\\nla"},"finish_reason":"stop"},'
    '"usage":{"duration":200},"request_id":"r1"}'
)
END = Finished(200.0, 48000, 2, "[verse]\nla", "http://host/a.mp3?s=%2F")


def sse(data: str | bytes, *, event: str = "result", status: int | None = 200) -> SseEvent:
    return SseEvent("1", event, data.encode() if isinstance(data, str) else data, status, ())


def feed(*events: SseEvent) -> list[SourceEvent]:
    decoder = GenerationDecoder()
    return [said for event in events for said in decoder.feed(event)]


def failure(*events: SseEvent) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        feed(*events)
    return caught.value


# -- streamed answers ------------------------------------------------------------------------------------------------


def test_a_generation_is_accepted_sounds_and_finishes() -> None:
    """The documented events give Accepted once, the audio's bytes, and the last word with everything in it."""
    assert feed(sse(INTERIM), sse(INTERIM), sse(STOP)) == [
        Accepted("r1"),
        AudioDelta(b"hello"),
        AudioDelta(b"hello"),
        END,
    ]


def test_characters_are_told_as_they_are_billed() -> None:
    """Those of interim events, when their number is another; those of the last one stand in the last word."""
    interim, stop = json.loads(INTERIM), json.loads(STOP)
    said = [feed_of | {"usage": {"characters": number}} for feed_of in (interim,) for number in (0, 12, 12, "20")]
    events = feed(*[sse(json.dumps(one)) for one in said], sse(json.dumps(stop | {"usage": {"characters": 30}})))
    assert [event for event in events if not isinstance(event, AudioDelta)][1:-1] == [
        Billed(characters=12),
        Billed(characters=20),
    ]
    assert isinstance(events[-1], Finished)
    assert events[-1].billed_characters == 30


def test_the_decoder_knows_the_request_and_whether_it_is_over() -> None:
    """`request_id` is known from the first event on, `finished` at the last, and nothing is heard after it."""
    decoder = GenerationDecoder(simulated=True)
    assert (decoder.request_id, decoder.finished) == (None, False)
    assert decoder.feed(sse(INTERIM))[0] == Accepted("r1", simulated=True)
    assert (decoder.request_id, decoder.finished) == ("r1", False)
    decoder.feed(sse(STOP))
    assert decoder.finished
    assert decoder.feed(sse(INTERIM)) == []


def test_audio_on_the_stop_event_is_heard_before_the_end() -> None:
    """Data that comes with the last event is not lost."""
    assert feed(sse(STOP.replace('"data":""', '"data":"aGVsbG8="'))) == [Accepted("r1"), AudioDelta(b"hello"), END]


@pytest.mark.parametrize("reason", ['"null"', "null", '"running"'])
def test_only_stop_is_the_end(reason: str) -> None:
    """The string "null", null and unknown reasons all mean that the song goes on."""
    assert feed(sse(INTERIM.replace('"null"', reason))) == [Accepted("r1"), AudioDelta(b"hello")]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"48000"', "48000", END),
        ('"48000"', '"fast"', Finished(200.0, None, 2, "[verse]\nla", END.url)),
        ("200", '"200"', END),
        ("200", "12.5", Finished(12.5, 48000, 2, "[verse]\nla", END.url)),
        ("200", "0", Finished(0.0, 48000, 2, "[verse]\nla", END.url)),
        ("200", "-1", Finished(None, 48000, 2, "[verse]\nla", END.url)),
        ("200", "10000001", Finished(None, 48000, 2, "[verse]\nla", END.url)),
        ("200", '"NaN"', Finished(None, 48000, 2, "[verse]\nla", END.url)),
        ("200", '"inf"', Finished(None, 48000, 2, "[verse]\nla", END.url)),
        ("200", "1" + "0" * 400, Finished(None, 48000, 2, "[verse]\nla", END.url)),
        ('"usage":{"duration":200},', "", Finished(None, 48000, 2, "[verse]\nla", END.url)),
        ('"http://host/a.mp3?s=%2F"', '""', Finished(200.0, 48000, 2, "[verse]\nla", None)),
    ],
)
def test_the_last_event_s_numbers_are_read_in_any_dress(old: str, new: str, expected: Finished) -> None:
    """Numbers may be strings, be missing or be nonsense; nonsense is as good as missing."""
    assert feed(sse(STOP.replace(old, new))) == [Accepted("r1"), expected]


def test_a_last_event_may_say_no_more_than_stop() -> None:
    """Without audio, extra information and usage there is still an end."""
    assert feed(sse('{"output":{"finish_reason":"stop"}}', status=None)) == [Accepted(""), Finished(None)]


@pytest.mark.parametrize("event", ["done", "ping"])
def test_other_events_are_passed_over(event: str) -> None:
    """`done` and unknown events say nothing, whatever their data is."""
    assert feed(sse("not json", event=event)) == []


def test_an_event_without_a_name_is_a_result() -> None:
    """Data lines alone are understood, too."""
    assert feed(sse(INTERIM, event="message", status=None)) == [Accepted("r1"), AudioDelta(b"hello")]


def test_a_result_without_output_says_nothing_new() -> None:
    """A document with a request id alone accepts the generation and no more."""
    assert feed(sse('{"request_id":"r1"}')) == [Accepted("r1")]


def test_an_error_event_ends_the_generation_with_our_error() -> None:
    """The code decides; the request id of the error, or of the events before it, is kept."""
    data = '{"code":"Throttling.AllocationQuota","message":"Secret words","request_id":"r9"}'
    error = failure(sse(INTERIM), sse(data, event="error", status=429))
    assert (error.code, error.request_id) == ("upstream_busy", "r9")
    assert "Secret" not in str(error)
    error = failure(sse(INTERIM), sse("garbage", event="error", status=None))
    assert (error.code, error.request_id) == ("upstream_failed", "r1")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ('{"code":"DataInspectionFailed","message":"m"}', 200, "content_rejected"),
        ('{"code":"InternalError"}', 200, "upstream_failed"),
        ('{"code":429}', None, "upstream_failed"),
        ('{"request_id":"r1"}', 429, "upstream_busy"),
        ('{"error":{"code":"InvalidApiKey","message":"m"}}', 200, "upstream_refused"),
    ],
)
def test_an_error_under_the_name_of_a_result_is_an_error(data: str, status: int | None, code: str) -> None:
    """A code at the top, a status in the comment or an `error` object is an error whatever the event is called."""
    assert failure(sse(data, status=status)).code == code


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"request_id":"\xff"}',
        b"[" * 100_000,
        b'{"output":[]}',
        b'{"output":{"audio":{"data":"%%%%"}}}',
        b'{"output":{"audio":{"data":"aGVsbG8"}}}',
        b'{"output":{"audio":{"data":1}}}',
    ],
)
def test_what_cannot_be_read_is_a_protocol_error(data: bytes) -> None:
    """Neither broken JSON nor broken base64 gets out as anything but `upstream_protocol`."""
    assert failure(sse(data)).code == "upstream_protocol"


@given(st.sampled_from([INTERIM, STOP]), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_damaged_events_give_events_or_our_error(text: str, damage: list[tuple[int, int]]) -> None:
    """Whatever octets are changed, only our events or an UpstreamError come out."""
    data = bytearray(text.encode())
    for at, octet in damage:
        data[at % len(data)] = octet
    try:
        said = feed(sse(bytes(data)))
    except UpstreamError:
        return
    assert all(isinstance(event, Accepted | AudioDelta | Finished) for event in said)


# -- answers in one piece --------------------------------------------------------------------------------------------


def test_a_whole_answer_has_its_audio_inside_or_at_a_url() -> None:
    """Both forms come out with the request's id and the same last word."""
    song = decode_whole(STOP.encode())
    assert (song.request_id, song.data, song.finished) == ("r1", b"", END)
    inside = decode_whole(STOP.replace('"data":""', '"data":"aGVsbG8="').encode())
    assert (inside.data, inside.finished) == (b"hello", END)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>", "upstream_protocol"),
        (b"{}", "upstream_protocol"),
        (b'{"output":{}}', "upstream_empty"),
        (b'{"output":{"audio":{"data":"","url":""}},"request_id":"r1"}', "upstream_empty"),
        (b'{"code":"Arrearage","message":"m"}', "upstream_refused"),
        (b'{"error":{"code":"Throttling","message":"m"}}', "upstream_busy"),
        (b'event:error\n:HTTP_STATUS/400\ndata:{"code":"IPInfringementSuspect","message":"m"}\n\n', "content_rejected"),
    ],
)
def test_a_whole_answer_without_a_song_is_an_error(body: bytes, code: str) -> None:
    """Errors in any shape under status 200, unreadable bodies and silence are told apart."""
    with pytest.raises(UpstreamError) as caught:
        decode_whole(body)
    assert caught.value.code == code


# -- the inverse -----------------------------------------------------------------------------------------------------


def test_the_payloads_are_the_documented_ones() -> None:
    """Each payload of the simulator is, field by field and in order, what the provider documents."""
    assert delta_payload(request_id="r1", expires_at=1774937185, data=b"hello").decode() == INTERIM
    facts: dict[str, Any] = {
        "request_id": "r1",
        "expires_at": 1774937185,
        "url": "http://host/a.mp3?s=%2F",
        "channels": 2,
        "lyrics": "[verse]\nla",
        "duration": 200,
    }
    assert stop_payload(sample_rate="48000", **facts).decode() == STOP
    assert whole_payload(sample_rate=48000, **facts).decode() == STOP.replace('"48000"', "48000")
    assert error_payload(code="C", message="m", request_id="r1") == b'{"code":"C","message":"m","request_id":"r1"}'


@given(st.binary(max_size=100))
def test_audio_survives_the_wire(data: bytes) -> None:
    """Any bytes come back as they were, and stand in base64 on the way."""
    payload = delta_payload(request_id="r", expires_at=1, data=data)
    assert json.loads(payload)["output"]["audio"]["data"] == base64.b64encode(data).decode()
    assert feed(sse(payload))[1:] == ([AudioDelta(data)] if data else [])
