"""What is taken down of an answer, however it is sliced and whatever it is.

Invariant under test: nothing that comes raises, and no text of the provider's is kept.
It must not know HTTP.
"""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.dashscope import delta_payload, error_payload
from gateway.protocol.sse import encode_event
from gateway.upstream.probe.wire import WireLog, provider_code
from tests.support.wire import stop_payload

DELTA = encode_event(1, "result", 200, delta_payload(request_id="r1", expires_at=7, data=b"hello"))
STOP = encode_event(
    2,
    "result",
    200,
    stop_payload(
        request_id="r1",
        expires_at=8,
        url="http://host/secret",
        channels=2,
        sample_rate="48000",
        lyrics="[verse] a secret",
        duration=200,
    ),
)
ANSWER = b":\n\n" + DELTA + b": still here\n\n" + DELTA + STOP


def log_of(*pieces: bytes, limit: int = 1 << 20) -> WireLog:
    log = WireLog(limit)
    for second, piece in enumerate(pieces):
        log.feed(float(second), piece)
    log.feed(float(len(pieces)), b"")
    return log


def test_a_song_is_taken_down() -> None:
    """Slices with their times, lines, events, types, and the last words without their texts."""
    log = log_of(b":\n\n", DELTA, b": still here\n\n", DELTA, STOP)
    assert [(piece.at, piece.data) for piece in log.slices] == [(1.0, b"hello"), (3.0, b"hello")]
    assert log.reads == [(0.0, 3), (1.0, len(DELTA)), (2.0, 14), (3.0, len(DELTA)), (4.0, len(STOP))]
    assert log.first_event == 1.0
    assert log.lines.comments == [0.0, 2.0]
    assert log.lines.fields == {"id": 3, "event": 3, "data": 3}
    assert log.lines.ends == {"LF": 19}
    assert log.events == {"result": 3}
    assert log.statuses == {"200": 3}
    assert log.finish_reasons == {'"null"': 2, '"stop"': 1}
    assert log.usage == {"duration": 200}
    assert log.extra_info == {"channels": 2, "sample_rate": "48000", "lyrics": "(16 characters)"}
    assert log.expires_at == 8
    assert log.request_id == "r1"
    assert log.types["output.extra_info.sample_rate"] == {"string"}
    assert log.types["usage.duration"] == {"integer"}
    assert (log.failed, log.code, log.multiline) == (False, None, 0)


@given(st.lists(st.integers(0, len(ANSWER)), max_size=12), st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_slicing_changes_times_only(cuts: list[int], end: bytes) -> None:
    """Lines, fields and sound are the same however the bytes are cut, with each kind of line end."""
    answer = ANSWER.replace(b"\n", end)
    places = sorted({0, *(cut for cut in cuts if cut < len(answer)), len(answer)})
    log = log_of(*(answer[low:high] for low, high in pairwise(places)))
    assert [piece.data for piece in log.slices] == [b"hello", b"hello"]
    assert +log.lines.ends == {{b"\n": "LF", b"\r": "CR", b"\r\n": "CRLF"}[end]: ANSWER.count(b"\n")}
    assert len(log.lines.comments) == 2
    assert log.lines.fields == {"id": 3, "event": 3, "data": 3}


def test_a_last_event_without_its_blank_line_counts() -> None:
    """At the end of the answer, as the gateway's client has it."""
    log = log_of(DELTA.rstrip(b"\n"))
    assert [piece.data for piece in log.slices] == [b"hello"]


def test_several_data_lines_are_noticed() -> None:
    """A document over several lines is one event."""
    log = log_of(DELTA.replace(b'"finish_reason"', b'\ndata:"finish_reason"'))
    assert (log.multiline, log.events) == (1, {"result": 1})


def test_a_null_that_is_no_string_is_told_apart() -> None:
    """The kinds of null and unknown reasons are counted as JSON has them; prose is not repeated."""
    reasons = [None, "null", "length", "a long sentence", 3]
    pieces = [encode_event(1, "result", 200, json.dumps({"output": {"finish_reason": r}}).encode()) for r in reasons]
    assert log_of(*pieces).finish_reasons == {"null": 1, '"null"': 1, '"length"': 1, '"(other)"': 1, "integer": 1}


@pytest.mark.parametrize(
    ("event", "code", "status"),
    [
        (
            encode_event(2, "error", 429, error_payload(code="Throttling", message="m", request_id="r")),
            "Throttling",
            429,
        ),
        (encode_event(2, "result", 200, b'{"code":"InternalError.Algo","message":"m"}'), "InternalError.Algo", 200),
        (encode_event(2, "result", 200, b"not json"), None, 200),
        (b'data:{"code":"a whole sentence","message":"m"}\n\n', None, None),
    ],
)
def test_an_error_is_known_by_its_code_alone(event: bytes, code: str | None, status: int | None) -> None:
    """In each shape in which one can come within events, after sound."""
    log = log_of(DELTA, event)
    assert (log.failed, log.code, log.status) == (True, code, status)
    assert len(log.slices) == 1


def test_a_code_is_found_in_any_body() -> None:
    """Flat, framed, or in OpenAI's shape; a sentence is no code."""
    assert provider_code(b'{"code": "InvalidApiKey", "message": "m"}') == "InvalidApiKey"
    assert provider_code(b'data:{"code":"Throttling.RateQuota"}\n\n') == "Throttling.RateQuota"
    assert provider_code(b'{"error":{"code":"model_not_found"}}') == "model_not_found"
    assert provider_code(b'{"code":"no such thing"}') is None


@pytest.mark.parametrize(
    "document",
    [
        b"[1]",
        b'{"output":3}',
        b'{"output":{"audio":3,"extra_info":[]},"usage":[]}',
        b'{"output":{"audio":{"expires_at":"x"}}}',
        b'{"usage":{"a":{"b":1},"c":[1],"d":1.5,"e":true,"f":null,"a sentence here":1}}',
    ],
)
def test_strange_documents_are_only_described(document: bytes) -> None:
    """Nothing that can be JSON is too strange."""
    log = log_of(encode_event(1, "result", 200, document))
    assert log.events == {"result": 1}
    assert log.types
    if log.usage:
        assert log.usage == {"a": "(object)", "c": "(array)", "d": 1.5, "e": True, "f": None, "(other)": 1}


def test_what_is_no_stream_is_bounded() -> None:
    """A page, a flood of names, deep nesting and an event over the limit keep little, and do not raise."""
    page = log_of(b"<html>" + b"a b\n" * 500)
    assert page.lines.fields == {"(other)": 500}
    names = log_of(b"".join(b"n%d:\n" % number for number in range(500)))
    assert len(names.lines.fields) == 101
    assert names.lines.fields["(other)"] == 400
    deep = log_of(encode_event(1, "result", 200, b'{"a":' * 2000 + b"1" + b"}" * 2000))
    assert len(deep.types) <= 1
    wide = log_of(encode_event(1, "result", 200, json.dumps({f"n{n}": 1 for n in range(500)}).encode()))
    assert len(wide.types) == 100
    big = log_of(DELTA, b"data:" + b"x" * 2000, DELTA, limit=1000)
    assert len(big.slices) == 1
    assert log_of(b":\n" * 10_100).lines.comments == [0.0] * 10_000
