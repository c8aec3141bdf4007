"""The progressive door where nothing needs to be followed: whole songs and their ranges, heads, and refusals.

Invariant under test: a song that is kept whole has a length; what is not, never claims one.
It must not know how a song is framed.
"""

import asyncio
import json

import pytest

from gateway.config.schema import Config, Relay
from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, SourceEvent
from tests.support.relay import mp3_frames, within
from tests.support.server import audio_place, dechunked, exchange

FRAMES = mp3_frames(80)
FIRST, REST = b"".join(FRAMES[:40]), b"".join(FRAMES[40:])
SONG = FIRST + REST
GOOD: tuple[SourceEvent, ...] = (Accepted("r"), AudioDelta(FIRST), AudioDelta(REST), Finished(2.0))


@pytest.mark.parametrize("since", ["", "yesterday", "-1", "nan", "inf", "1e9", "-0.001"])
async def test_where_one_cannot_begin(since: str) -> None:
    """What is no time ago is refused with the name of the parameter."""
    async with audio_place(*GOOD) as there:
        stream = await there.stream()
        head, body = await there.get(stream, f"?since={since}")
        assert head.startswith(b"HTTP/1.1 400")
        assert json.loads(body)["error"]["param"] == "since"


async def test_a_whole_song_can_be_joined_near_its_end() -> None:
    """`since=live` on a song that is over is its last seconds, and then the end."""
    async with audio_place(*GOOD) as there:
        stream = await there.stream()
        await within(stream.wait())
        head, body = await there.get(stream, "?since=1")
        assert b"Content-Length: %d\r\n" % len(body) in head
        assert b"Accept-Ranges: none" in head
        assert SONG.endswith(body)
        assert 0 < len(body) < len(SONG)
        assert (await there.get(stream, "?since=1", more="Range: bytes=0-\r\n"))[1] == body
        head, refusal = await there.get(stream, "?since=1", more="Range: bytes=9-\r\n")
        assert json.loads(refusal)["error"]["code"] == "position_lost"


async def test_a_song_whose_beginning_is_gone_is_given_from_where_it_is_kept() -> None:
    """The oldest audio that had to go is missing at the front, without a length that would be a lie."""
    async with audio_place(*GOOD, config=Config(relay=Relay(max_stream_bytes=len(REST)))) as there:
        stream = await there.stream()
        await within(stream.wait())
        head, body = await there.get(stream)
        assert b"Content-Length" not in head
        audio_bytes, whole = dechunked(body)
        assert whole
        assert SONG.endswith(audio_bytes)
        assert 0 < len(audio_bytes) <= len(REST)


# -- answers without audio -------------------------------------------------------------------------------------------


async def test_a_head_while_the_song_is_made_tells_the_type_and_no_length() -> None:
    """HEAD joins nothing, and does not claim that there is nothing to hear."""
    hold = asyncio.Event()
    async with audio_place(*GOOD[:2], hold) as there:
        stream = await there.stream()
        head, body = await there.get(stream, method="HEAD")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"Content-Type: audio/mpeg" in head
        assert (body, stream.listeners) == (b"", 0)
        assert b"Content-Length" not in head


async def test_a_song_that_failed_before_its_first_sound_is_its_error() -> None:
    """There is nothing to hear, so the answer is why."""
    async with audio_place(UpstreamError("upstream_timeout", "The provider took too long.")) as there:
        stream = await there.stream()
        await within(stream.wait())
        head, body = await there.get(stream)
        assert head.startswith(b"HTTP/1.1 504")
        assert json.loads(body)["error"]["code"] == "upstream_timeout"


@pytest.mark.parametrize("extension", ["mid", "exe", "mp3.exe"])
async def test_what_it_cannot_be_heard_as_is_refused(extension: str) -> None:
    """An extension that is unknown here, and one that is none at all."""
    async with audio_place(*GOOD) as there:
        stream = await there.stream()
        request = f"GET /v1/streams/{stream.id}/audio.{extension} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        head, body = await exchange(there.port, request.encode())
        assert head.startswith(b"HTTP/1.1 422")
        assert json.loads(body)["error"]["param"] == "format"


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=0-1", 206, slice(0, 2)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-50", 206, slice(-50, None)),
        ("bytes=-999999", 206, slice(None)),
        ("bytes=0-999999", 206, slice(None)),
        ("bytes=", 200, slice(None)),
        ("bytes=-", 200, slice(None)),
        ("items=0-1", 200, slice(None)),
        ("bytes=0-1,4-5", 200, slice(None)),
        ("bytes=a-b", 200, slice(None)),
        ("bytes=999999-", 416, slice(0)),
        ("bytes=-0", 416, slice(0)),
        ("bytes=5-3", 416, slice(0)),
    ],
)
async def test_ranges_of_a_whole_song(asked: str, status: int, part: slice) -> None:
    """One range is answered, what is none of ours is ignored, and what is outside is 416 with the length."""
    async with audio_place(*GOOD) as there:
        stream = await there.stream()
        await within(stream.wait())
        head, body = await there.get(stream, more=f"Range: {asked}\r\n")
        assert head.startswith(b"HTTP/1.1 %d" % status)
        if status == 416:
            assert b"Content-Range: bytes */%d" % len(SONG) in head
            return
        assert body == SONG[part]
        assert b"Accept-Ranges: bytes" in head
        start, stop, _ = part.indices(len(SONG))
        assert (b"Content-Range: bytes %d-%d/%d" % (start, stop - 1, len(SONG)) in head) is (status == 206)


@pytest.mark.parametrize("asked", ["bytes={}-", "bytes=0-{}", "bytes=-{}"])
async def test_a_number_without_end_is_no_fault(asked: str) -> None:
    """More digits than a number has are a range that is not there, or none; the answer is the song or 416."""
    async with audio_place(*GOOD) as there:
        stream = await there.stream()
        await within(stream.wait())
        head, body = await there.get(stream, more=f"Range: {asked.format('9' * 5000)}\r\n")
        assert head.split()[1] in (b"200", b"206", b"416")
        assert body == SONG or head.split()[1] == b"416"
