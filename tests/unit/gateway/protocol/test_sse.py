"""The SSE decoder, held to the WHATWG rules, to arbitrary slicing, and to linear time.

Invariant under test: the same bytes give the same events however they are sliced. The hypothesis tests draw the bytes
from the pieces that matter (line ends, colons, field names), so that they meet the grammar and not only noise.
"""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.protocol.sse import SseDecoder, SseEvent, encode_event

LIMIT = 1 << 20


def decode(*slices: bytes, limit: int = LIMIT) -> list[SseEvent]:
    decoder = SseDecoder(limit)
    events = [event for data in slices for event in decoder.feed(data)]
    return events + decoder.flush()


def event(data: bytes, *, name: str = "message", number: str | None = None) -> SseEvent:
    return SseEvent(number, name, data, None, ())


def test_the_provider_s_event_is_read_with_its_status() -> None:
    """Id, event, data and the status in the comment all come out of the provider's own form."""
    wire = b'id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"a":1}\n\n'
    assert decode(wire) == [SseEvent("1", "result", b'{"a":1}', 200, (b"HTTP_STATUS/200",))]


def test_encode_event_gives_the_provider_s_exact_bytes() -> None:
    """The simulator's events are the provider's to the byte."""
    assert encode_event(1, "result", 200, b'{"a":1}') == b'id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"a":1}\n\n'


def test_encoded_data_with_line_feeds_comes_back_whole() -> None:
    """A line feed in the data becomes a further data line and is put back by the decoder."""
    assert decode(encode_event(7, "error", 429, b"a\n\nb"))[0] == SseEvent(
        "7", "error", b"a\n\nb", 429, (b"HTTP_STATUS/429",)
    )


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_end_ends_a_line(end: bytes) -> None:
    """LF, CR and CRLF are the same, one byte at a time too."""
    wire = end.join([b"event:x", b"data:1", b"data:2", b"", b"data:3", b"", b""])
    expected = [event(b"1\n2", name="x"), event(b"3")]
    assert decode(wire) == expected
    assert decode(*(bytes([octet]) for octet in wire)) == expected


def test_a_line_feed_in_the_next_slice_belongs_to_the_carriage_return() -> None:
    """CRLF cut in two, with empty slices between, does not make a blank line."""
    assert decode(b"data:1\r", b"", b"\n", b"data:2\r", b"\n\r\n") == [event(b"1\n2")]


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"data: a\n\n", [event(b"a")]),
        (b"data:  a\n\n", [event(b" a")]),
        (b"data\n\n", [event(b"")]),
        (b"data:a:b\n\n", [event(b"a:b")]),
        (b"data:\ndata:\n\n", [event(b"\n")]),
        (b"event:x\n\n", []),
        (b": only a comment\n\n", []),
        (b"\n\n\n", []),
        (b"unknown:1\nretry:10\nDATA:2\n\n", []),
        (b"event:x\n\ndata:1\n\n", [event(b"1")]),
        (b"id:5\ndata:1\n\ndata:2\n\n", [event(b"1", number="5"), event(b"2", number="5")]),
        (b"id:5\nid\ndata:1\n\n", [event(b"1", number="")]),
        (b"id:5\nid:a\0b\ndata:1\n\n", [event(b"1", number="5")]),
        (b"\xef\xbb\xbfdata:1\n\n", [event(b"1")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\n", []),
        (b"data:1\n\n\xef\xbb\xbfdata:2\n\n", [event(b"1")]),
        ("data:\u2028\x85\x0b\x0c\x1c\n\n".encode(), [event("\u2028\x85\x0b\x0c\x1c".encode())]),
        (b"event:\xff\ndata:1\n\n", [event(b"1", name="\ufffd")]),
    ],
)
def test_the_grammar_of_fields(wire: bytes, expected: list[SseEvent]) -> None:
    """Spaces, missing colons, unknown fields, ids, byte order marks and odd characters follow the standard."""
    assert decode(wire) == expected
    assert decode(*(bytes([octet]) for octet in wire)) == expected


def test_comments_are_kept_and_only_a_true_status_is_read() -> None:
    """Comments come with their event; one that merely resembles a status is not one."""
    (first, second) = decode(b":keepalive\n:HTTP_STATUS/20\n:HTTP_STATUS/2000\ndata:1\n\n: HTTP_STATUS/503\ndata:2\n\n")
    assert (first.status, first.comments) == (None, (b"keepalive", b"HTTP_STATUS/20", b"HTTP_STATUS/2000"))
    assert (second.status, second.comments) == (503, (b"HTTP_STATUS/503",))


@pytest.mark.parametrize("wire", [b"data:1", b"data:1\n", b"data:1\r"])
def test_flush_gives_the_last_event_without_its_blank_line(wire: bytes) -> None:
    """What ends without a blank line is still an event, once."""
    decoder = SseDecoder(LIMIT)
    assert decoder.feed(wire) == []
    assert decoder.flush() == [event(b"1")]
    assert decoder.flush() == []


def test_an_event_over_the_limit_is_refused_in_any_slicing() -> None:
    """The limit counts an event's bytes whether its line is finished or not, and starts anew with each event."""
    fits, too_big = b"data:12345\n\n", b"data:123456\n\n"
    assert len(decode(fits * 3, limit=10)) == 3
    for slices in ([too_big], [too_big[:-2]], [bytes([octet]) for octet in too_big], [b":" * 6 + b"\n", b"data:"]):
        with pytest.raises(UpstreamError) as caught:
            decode(*slices, limit=10)
        assert caught.value.code == "upstream_protocol"


def test_good_events_come_before_the_error_of_a_later_one() -> None:
    """What was whole in the slice is given; the error comes with the next call, whichever that is."""
    calls: list[Callable[[SseDecoder], object]] = [
        SseDecoder.check,
        SseDecoder.flush,
        lambda decoder: decoder.feed(b"data:1\n\n"),
    ]
    for call in calls:
        decoder = SseDecoder(10)
        decoder.check()
        assert decoder.feed(b"data:1\n\ndata:" + b"x" * 20 + b"\n\ndata:2\n\n") == [event(b"1")]
        with pytest.raises(UpstreamError, match="more than 10 bytes"):
            call(decoder)


def test_a_megabyte_event_in_single_bytes_takes_linear_time() -> None:
    """An event of a megabyte a byte at a time stays far from the minute that a rescan per slice would take."""
    wire = b"data:" + b"x" * 1_000_000 + b"\n\n"
    decoder = SseDecoder(1 << 21)
    began = time.process_time()
    events = [event for octet in wire for event in decoder.feed(bytes((octet,)))]
    assert time.process_time() - began < 15
    assert [len(event.data) for event in events] == [1_000_000]


PIECES = st.sampled_from(
    b"\n|\r|\r\n|\n\n|:| |data|data:|event:|id:|id|\0|\xef\xbb\xbf|:HTTP_STATUS/200|result|x|\xe2\x80\xa8".split(b"|")
)
WIRES = st.lists(PIECES | st.binary(max_size=4), max_size=40).map(b"".join)


@given(WIRES, st.lists(st.integers(0, 200), max_size=12))
def test_any_slicing_gives_the_same_events(wire: bytes, cuts: list[int]) -> None:
    """Where the network cuts changes nothing."""
    at = sorted({0, *(cut for cut in cuts if cut < len(wire)), len(wire)})
    slices = [wire[start:end] for start, end in pairwise(at)]
    assert decode(*slices) == decode(wire)
    assert decode(*(bytes([octet]) for octet in wire)) == decode(wire)


@given(WIRES, st.integers(1, 30))
def test_a_limit_holds_in_any_slicing(wire: bytes, limit: int) -> None:
    """Any bytes give events within the limit or the one error, and the same of the two in any slicing."""

    def outcome(*slices: bytes) -> list[SseEvent] | str:
        try:
            return decode(*slices, limit=limit)
        except UpstreamError as error:
            return error.code

    seen = outcome(wire)
    assert outcome(*(bytes([octet]) for octet in wire)) == seen
    if isinstance(seen, str):
        assert seen == "upstream_protocol"
    else:
        assert all(len(event.data) <= limit for event in seen)


@given(st.binary(max_size=200).filter(lambda data: b"\r" not in data and data[:1] != b" " and b"\n " not in data))
def test_what_is_encoded_is_decoded(data: bytes) -> None:
    """The simulator's encoder and the decoder are inverse to each other."""
    assert decode(encode_event(3, "result", 200, data)) == [
        SseEvent("3", "result", data, 200, (b"HTTP_STATUS/200",)),
    ]
