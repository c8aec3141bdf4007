"""What a request for audio is answered with, as far as it is known before anybody listens.

Invariant under test: an answer claims a length and ranges only of bytes that are there for everybody.
It must not know sockets.
"""

import pytest

from gateway.errors import RequestError, UpstreamError
from gateway.model import Flag, Position
from gateway.relay.channel import Channel
from gateway.relay.outcome import Bill
from gateway.relay.since import FromStart, SecondsAgo, Since
from gateway.relay.stream import Stream
from gateway.server.listening import LIVE_BURST_SECONDS, Offer, offered, since_of
from tests.support.relay import DETAILS, RATE, grow
from tests.support.server import new_stream
from transcode.formats import PCM, WAV, StreamFormat

BILL = Bill(1.0, settled=True)
ICY = {"Icy-MetaData": "1"}


def stream_of(chunks: int, *, whole: bool = False, init: bytes = b"", lost: int = 0) -> Stream:
    """Its native channel has so many chunks of 100 bytes and a tenth of a second, of which the first are `lost`."""
    stream = new_stream()
    channel = stream.native
    channel.open(DETAILS, init, 1000.0)
    grow(channel, chunks)
    for _ in range(lost):
        channel.retained_bytes -= len(channel._chunks.pop(0).payload)
        channel.first += 1
    if whole:
        channel.close(None, BILL)
    return stream


def offer(stream: Stream, headers: dict[str, str] | None = None, since: Since | None = None) -> Offer:
    return offered(headers or {}, stream, stream.native, since or FromStart())


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("start", FromStart()),
        ("live", SecondsAgo(LIVE_BURST_SECONDS)),
        ("0", SecondsAgo(0.0)),
        ("12.5", SecondsAgo(12.5)),
        ("5.", SecondsAgo(5.0)),
        ("1e3", SecondsAgo(1000.0)),
        ("999999999", SecondsAgo(999_999_999.0)),
    ],
)
def test_where_one_may_begin(text: str, since: Since) -> None:
    """The start, the live edge, and any number of seconds ago."""
    assert since_of(text) == since


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Start",
        "latest",
        "-1",
        "+1",
        "nan",
        "inf",
        "1e9",
        "1_000",
        "٣",
        " 5",
        "5s",
        "0x10",
        ".5",
        "9" * 5000,
        "\x00",
    ],
)
def test_where_one_may_not(text: str) -> None:
    """Whatever else Python would take for a number is none here."""
    with pytest.raises(RequestError) as caught:
        since_of(text)
    assert (caught.value.code, caught.value.param) == ("invalid_request", "since")


def test_a_song_without_an_end_has_a_tag_and_no_length() -> None:
    """And keeps the tag when it is whole; another song has another."""
    live = offer(stream := stream_of(5))
    assert live.status == 200
    headers = live.headers(DETAILS, 0)
    assert not {"Content-Length", "Content-Range", "Accept-Ranges"} & headers.keys()
    stream.native.close(None, BILL)
    whole = offer(stream).headers(DETAILS, 0)
    assert (whole["Content-Length"], whole["Accept-Ranges"]) == ("500", "bytes")
    assert whole["ETag"] == headers["ETag"]


def test_a_part_says_which_one_it_is() -> None:
    """Of a whole song and of one in the making."""
    stream = stream_of(5)
    part = offer(stream, {"Range": "bytes=100-"})
    assert (part.status, part.part.length) == (206, None)
    assert part.headers(DETAILS, 0)["Content-Range"].startswith("bytes 100-")
    stream.native.close(None, BILL)
    headers = offer(stream, {"Range": "bytes=100-"}).headers(DETAILS, 0)
    assert (headers["Content-Range"], headers["Content-Length"]) == ("bytes 100-499/500", "400")


def test_what_is_not_from_the_start_has_no_ranges() -> None:
    """Nor has a song that has lost its beginning, of which not even the length is told."""
    ago = offer(stream_of(5, whole=True), since=SecondsAgo(0.2))
    assert ago.part.length == 200
    assert ago.headers(DETAILS, 0)["Accept-Ranges"] == "none"
    assert "ETag" not in ago.headers(DETAILS, 0)
    lost = offer(stream_of(5, whole=True, lost=2))
    assert lost.part.length is None
    assert lost.headers(DETAILS, 0)["Accept-Ranges"] == "none"
    for stream in (stream_of(5, lost=2), stream_of(5, whole=True, lost=2)):
        with pytest.raises(RequestError, match="begin anew"):
            offer(stream, {"Range": "bytes=100-"})
    late = offer(stream_of(5, whole=True, lost=2), since=SecondsAgo(0.2))
    assert late.part.length == 200


def test_a_place_that_another_format_has_not_reached_is_its_end() -> None:
    """A format that is shorter than the provider's own by a moment."""
    stream = stream_of(5, whole=True)
    other = Channel(stream.native.rendition, WAV, stream._instruments, 1 << 20)
    other.open(StreamFormat(WAV, RATE, 1, None), b"HEAD", 1000.0)
    grow(other, 4)
    other.close(None, BILL)
    late = offered({}, stream, other, SecondsAgo(0.0))
    assert (late.first_chunk, late.part.length) == (4, 4)


def test_titles_are_for_who_asks_and_for_what_is_not_whole() -> None:
    """A player that could seek in a whole song, and says so, would rather; without a Range it has titles there, too."""
    live, whole = stream_of(5), stream_of(5, whole=True)
    assert offer(live, ICY).titles
    assert offer(live, ICY | {"Range": "bytes=0-"}).titles
    assert offer(whole, ICY).titles
    assert not offer(whole, ICY | {"Range": "bytes=0-"}).titles
    assert not offer(live, {"Icy-MetaData": "0"}).titles
    headers = offer(whole, ICY).headers(DETAILS, 480)
    assert headers["icy-metaint"] == "480"
    assert not {"Content-Length", "ETag", "Accept-Ranges"} & headers.keys()
    with pytest.raises(RequestError, match="begin anew"):
        offer(live, ICY | {"Range": "bytes=100-"})


@pytest.mark.parametrize(
    ("first", "place"),
    [
        (0, None),
        (1, (0, 1)),
        (4, (0, 4)),
        (103, (0, 103)),
        (104, (1, 4)),
        (250, (2, 50 - 4 + 4)),
        (503, (4, 103)),
        (504, (5, 4)),
    ],
)
def test_where_a_listener_of_a_part_begins(first: int, place: tuple[int, int] | None) -> None:
    """In the chunk of its first byte; what is sent before that, the header always, it skips."""
    stream = stream_of(5, init=b"HEAD")
    since, skip = offer(stream, {"Range": f"bytes={first}-"}).place()
    if place is None:
        assert (since, skip) == (FromStart(), 0)
    else:
        assert (since, skip) == (Position(stream.native.rendition.epoch, place[0]), place[1])


def test_a_song_that_failed_before_its_first_sound_is_its_error() -> None:
    """In whatever part it is asked for."""
    stream = new_stream()
    stream.native.close(UpstreamError("upstream_empty", "Nothing came."), BILL)
    with pytest.raises(UpstreamError):
        offer(stream, {"Range": "bytes=0-1"})


def test_which_heads_have_to_wait() -> None:
    """Those that only the first sound can tell: where titles stand, and what raw samples are."""
    stream = new_stream()
    assert offer(stream, ICY).waits
    assert not offer(stream).waits
    raw = Channel(stream.native.rendition, PCM, stream._instruments, 1 << 20)
    assert offered({}, stream, raw, FromStart()).waits
    raw.open(StreamFormat(PCM, RATE, 1, None), b"", 1000.0)
    raw.append(b"..", 1, Flag.RANDOM_ACCESS, 1000.0)
    assert not offered({}, stream, raw, FromStart()).waits
