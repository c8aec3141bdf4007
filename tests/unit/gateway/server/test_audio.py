"""The progressive door: a song as a body, while it is made and when it is whole, without a provider.

Invariant under test: byte N of `since=start` is the same for everybody, now and when the song is whole; a song that
breaks off ends its body without the last chunk. It must not know how a song is framed.
"""

import asyncio
import json

import aiohttp
import pytest

from gateway.config.schema import Limits
from gateway.errors import LimitError, UpstreamError, WavegateError
from gateway.model import Accepted, AudioDelta, Chunk, Finished, Kind, Position, SourceEvent
from gateway.protocol import frames
from gateway.relay.outcome import Bill, Outcome
from gateway.server import audio
from gateway.server.audio import AudioConnection
from tests.support.relay import DETAILS, RENDITION, Clock, mp3_frames, within
from tests.support.server import Wire, audio_place, dechunked, soon
from transcode.wavheader import WavHeader

FRAMES = mp3_frames(80)
FIRST, REST = b"".join(FRAMES[:40]), b"".join(FRAMES[40:])
SONG = FIRST + REST
GOOD: tuple[SourceEvent, ...] = (Accepted("r"), AudioDelta(FIRST), AudioDelta(REST), Finished(2.0))

WAV_HEADER = (
    b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0data\xff\xff\xff\xff"
)


# -- the connection --------------------------------------------------------------------------------------------------


def connected(*, modern: bool = True) -> tuple[AudioConnection, Wire, list[str]]:
    gone: list[str] = []
    connection = AudioConnection(Clock(), frames.chunked if modern else frames.plain, lambda: gone.append("gone"))
    wire = Wire()
    connection.connection_made(wire)
    return connection, wire, gone


def chunk(seq: int, payload: bytes, kind: Kind = Kind.AUDIO) -> Chunk:
    return Chunk(RENDITION, seq, 0, 0, payload, kind)


def outcome(error: WavegateError | None = None) -> Outcome:
    return Outcome(RENDITION.stream_id, error, 1.0, 1, 1, "", Bill(1.0, settled=True))


async def test_audio_alone_goes_into_the_body() -> None:
    """Header and chunks, each as a chunk of HTTP, several in one batch; news, gaps and a player's words are not."""
    connection, wire, _ = connected()
    connection.started(Position(0, 0), DETAILS, 7, chunk(0, b"header", Kind.INIT))
    connection.send([chunk(0, b"one"), chunk(1, b"two")])
    connection.metadata(b"news")
    connection.gap(2, 3, "retention")
    connection.data_received(b"GET /next HTTP/1.1\r\n\r\n")
    assert wire.written == b"6\r\nheader\r\n3\r\none\r\n3\r\ntwo\r\n"
    assert wire.batches == [1, 2]
    assert connection.name == "http"


async def test_a_format_without_a_header_begins_with_its_audio() -> None:
    """Nothing stands in front of an mp3."""
    connection, wire, _ = connected()
    connection.started(Position(0, 0), DETAILS, 7, None)
    assert wire.written == b""


@pytest.mark.parametrize(
    ("modern", "error", "ending"),
    [
        (True, None, b"0\r\n\r\n"),
        (True, UpstreamError("upstream_interrupted", "It broke off."), b""),
        (False, None, b""),
        (False, UpstreamError("upstream_interrupted", "It broke off."), b""),
    ],
)
async def test_only_a_whole_song_ends_in_order(modern: bool, error: WavegateError | None, ending: bytes) -> None:
    """The last chunk is for a whole song in chunked coding; the connection closes behind it in every case."""
    connection, wire, _ = connected(modern=modern)
    connection.ended(outcome(error))
    assert (bytes(wire.written), wire.closing, wire.aborted.is_set()) == (ending, True, False)


async def test_room_behind_the_end_does_not_forget_the_rest() -> None:
    """What a player has not taken of a finished song is watched like any stalled client's, also when it took a part."""
    connection, _, _ = connected()
    connection.resume_writing()
    assert connection.stalled_since is None
    connection.ended(outcome())
    since = connection.stalled_since
    assert since is not None
    connection.resume_writing()
    assert connection.stalled_since is not None


async def test_a_listener_that_lost_its_place_is_cut() -> None:
    """There is no word for it in a body of audio: the connection breaks, so the player knows that this is no end."""
    connection, wire, _ = connected()
    connection.refused(LimitError("too_slow", "The audio you had not taken yet is no longer retained."))
    assert wire.aborted.is_set()
    assert wire.written == b""


async def test_a_player_that_is_gone_is_told_of_and_sent_nothing() -> None:
    """Whoever holds the listener hears of it once, and what comes later falls on nothing."""
    connection, wire, gone = connected()
    connection.connection_lost(None)
    connection.send([chunk(0, b"late")])
    connection.ended(outcome())
    connection.refused(LimitError("too_slow", "Too slow."))
    assert (gone, bytes(wire.written), wire.closing) == (["gone"], b"", False)


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
        assert (stream.listeners, len(there.connections)) == (0, 0)


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
            await there.joined(stream, 0)
        assert not stream.status.final
        assert len(there.connections) == 0


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
