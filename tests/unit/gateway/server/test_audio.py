"""The progressive door: a song as a body, while it is made and when it is whole, without a provider.

Invariant under test: byte N of `since=start` is the same for everybody, now and when the song is whole; a song that
breaks off ends its body without the last chunk. It must not know how a song is framed.
"""

import asyncio
import json

import aiohttp
import pytest

from gateway.config.schema import Limits
from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, Principal, SourceEvent
from gateway.server import audio
from tests.support.relay import TENANT, mp3_frames, within
from tests.support.server import audio_place, dechunked, soon
from transcode.wavheader import WavHeader

PRINCIPAL = Principal(TENANT, "k")
FRAMES = mp3_frames(80)
FIRST, REST = b"".join(FRAMES[:40]), b"".join(FRAMES[40:])
SONG = FIRST + REST
GOOD: tuple[SourceEvent, ...] = (Accepted("r"), AudioDelta(FIRST), AudioDelta(REST), Finished(2.0))

WAV_HEADER = (
    b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0data\xff\xff\xff\xff"
)


# -- the door --------------------------------------------------------------------------------------------------------


async def test_a_song_in_the_making_and_a_whole_one_are_the_same_bytes() -> None:
    """One listens from before the first sound, one asks when all is over; both have the provider's bytes."""
    hold = asyncio.Event()
    async with audio_place(Accepted("r"), hold, *GOOD[1:]) as there:
        stream = await there.stream()
        early = asyncio.create_task(there.get(stream))
        await there.joined(stream, 1)
        assert len(there.connections) == 1
        hold.set()
        head, body = await within(early)
        assert b"Transfer-Encoding: chunked" in head
        assert b"Connection: close" in head
        assert b"X-Accel-Buffering: no" in head
        assert b"Content-Type: audio/mpeg" in head
        assert b"Cache-Control: no-store" in head
        assert dechunked(body) == (SONG, True)
        head, body = await there.get(stream)
        assert b"Content-Length: %d" % len(SONG) in head
        assert body == SONG
        await there.left(stream)


async def test_an_old_client_gets_a_body_that_ends_with_the_connection() -> None:
    """HTTP/1.0 knows no chunks: the payload as it is, and the end of the connection as its end."""
    hold = asyncio.Event()
    async with audio_place(*GOOD[:2], hold, *GOOD[2:]) as there:
        stream = await there.stream()
        listening = asyncio.create_task(there.get(stream, version="1.0"))
        await there.joined(stream, 1)
        hold.set()
        head, body = await within(listening)
        assert b"Transfer-Encoding" not in head
        assert b"Content-Length" not in head
        assert body == SONG


async def test_a_song_that_breaks_off_is_an_incomplete_read() -> None:
    """The player has what was made, and its HTTP client says that this was not all."""
    hold = asyncio.Event()
    broken = UpstreamError("upstream_interrupted", "The provider broke off in the middle of the song.")
    async with audio_place(*GOOD[:2], hold, broken) as there:
        stream = await there.stream()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as http:
            url = f"http://127.0.0.1:{there.port}/v1/streams/{stream.id}/audio.mp3"
            async with http.get(url) as response:
                heard = await response.content.readexactly(len(FRAMES[0]))
                hold.set()
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.read()
        assert FIRST.startswith(heard)


async def test_a_player_that_leaves_is_not_listening_any_more() -> None:
    """Its place is free for the next one, and the stream goes on."""
    hold = asyncio.Event()
    async with audio_place(*GOOD[:2], hold, *GOOD[2:], limits=Limits(listeners=1)) as there:
        stream = await there.stream()
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
            writer.write(there.head(stream))
            assert (await within(reader.readline())).startswith(b"HTTP/1.1 200")
            await there.joined(stream, 1)
            head, body = await there.get(stream)
            assert head.startswith(b"HTTP/1.1 429")
            assert json.loads(body)["error"]["code"] == "concurrency_exceeded"
            writer.close()
            await writer.wait_closed()
            await there.left(stream)
        assert not stream.status.final


async def test_a_player_that_is_gone_before_it_was_heard_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that closed while the request was read holds no listener's place and no connection."""
    hold = asyncio.Event()
    async with audio_place(*GOOD[:2], hold, limits=Limits(listeners=1)) as there:
        stream = await there.stream()
        with monkeypatch.context() as patch:
            patch.setattr(audio, "take_over", lambda request, connection: None)
            assert await there.get(stream) == (b"", b"")
        assert (stream.listeners, len(there.connections)) == (0, 0)
        listening = asyncio.create_task(there.get(stream))
        await there.joined(stream, 1)
        stream.cancel()
        head, _ = await within(listening)
        assert head.startswith(b"HTTP/1.1 200")


async def test_where_to_begin() -> None:
    """`live` is two seconds of stock, a number so many seconds ago, more than there is the start."""
    hold = asyncio.Event()
    long = mp3_frames(400)
    async with audio_place(Accepted("r"), AudioDelta(b"".join(long)), hold, Finished(10.0)) as there:
        stream = await there.stream()
        await soon(lambda: stream.native.end_pts >= 390 * 1152)
        bodies = {}
        listening = {}
        for number, query in enumerate(("", "?since=start", "?since=live", "?since=0", "?since=1.5", "?since=1e6"), 1):
            listening[query] = asyncio.create_task(there.get(stream, query))
            await there.joined(stream, number)
        hold.set()
        for query, task in listening.items():
            bodies[query], whole = dechunked((await within(task))[1])
            assert whole
        assert bodies[""] == bodies["?since=start"] == bodies["?since=1e6"] == b"".join(long)
        for query, seconds in (("?since=live", 2.0), ("?since=0", 0.0), ("?since=1.5", 1.5)):
            assert b"".join(long).endswith(bodies[query])
            # A chunk is up to 0.2 s long, and one frame is held back until the song is over.
            assert seconds <= len(bodies[query]) / 417 * 1152 / 44100 <= seconds + 0.3


async def test_a_container_begins_with_its_header() -> None:
    """A WAV is its header and its samples, while it is made and when it is whole."""
    samples = bytes(range(256)) * 200
    hold = asyncio.Event()
    async with audio_place(Accepted("r"), AudioDelta(WAV_HEADER + samples), hold, Finished(1.0)) as there:
        stream = await there.stream("wav")
        listening = asyncio.create_task(there.get(stream))
        await there.joined(stream, 1)
        hold.set()
        head, body = await within(listening)
        assert b"Content-Type: audio/wav" in head
        assert dechunked(body) == (WAV_HEADER + samples, True)
        assert (await there.get(stream))[1] == WAV_HEADER + samples


def test_the_header_of_this_file_is_one() -> None:
    """The WAV above is read as 44.1 kHz in stereo."""
    header = WavHeader()
    header.feed(WAV_HEADER + bytes(8))
    assert header.coding is not None
    assert (header.coding.sample_rate, header.coding.channels) == (44100, 2)
