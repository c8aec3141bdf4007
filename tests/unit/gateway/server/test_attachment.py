"""An attachment between a channel and a browser: what is said of the audio, and in which form the audio goes.

Invariant under test: chunks are the shared bytes of their framing, and `on_end` is called once, when nothing follows.
It must not know how the stream came to be.
"""

import pytest
from websockets.frames import Opcode

from gateway.errors import LimitError, UpstreamError, WavegateError
from gateway.model import Chunk, Flag, Kind, Position
from gateway.protocol import frames
from gateway.protocol.frames import text_message
from gateway.relay.outcome import Bill, Outcome
from gateway.server.attachment import FRAMINGS, Attachment, format_info
from tests.support.relay import DETAILS, RENDITION, TENANT
from tests.support.server import Line, new_line, new_stream
from transcode.formats import WAV, StreamFormat

ENDINGS = list[tuple[Attachment, WavegateError | None]]


def attached(framing: str = "framed", ref: str | int | None = None) -> tuple[Attachment, Line, ENDINGS]:
    line = new_line()
    endings: ENDINGS = []
    attachment = Attachment(
        line.connection, new_stream(), framing, ref, lambda ended, error: endings.append((ended, error))
    )
    return attachment, line, endings


def chunk(seq: int, *, kind: Kind = Kind.AUDIO) -> Chunk:
    return Chunk(RENDITION, seq, seq * 4410, 4410, b"payload %d" % seq, kind, Flag.RANDOM_ACCESS)


def outcome(error: WavegateError | None = None) -> Outcome:
    return Outcome(RENDITION.stream_id, error, 12.5, 125, 200_000, "ab" * 32, Bill(12.0, settled=True))


async def test_it_says_whose_stream_it_carries() -> None:
    """The relay and the session find the door's name, the stream and the tenant on it."""
    attachment, _, _ = attached()
    assert (attachment.name, attachment.stream_id, attachment.tenant) == ("websocket", "st_1", TENANT)


async def test_the_start_tells_where_and_what() -> None:
    """Position, rendition, real format and ref; no word of a recovery that nobody asked for."""
    attachment, line, _ = attached(ref=9)
    attachment.started(Position(3, 17), DETAILS, 7, None)
    assert line.messages()[0] == (
        {
            "type": "stream.started",
            "ref": 9,
            "stream_id": "st_1",
            "rendition": 7,
            "epoch": 3,
            "seq": 17,
            "format": {
                "codec": "mp3",
                "mime": "audio/mpeg",
                "sample_rate": 44100,
                "channels": 2,
                "bitrate": 128000,
            },
        }
    )


@pytest.mark.parametrize("recovered", [True, False, None])
async def test_a_resume_is_told_truthfully(recovered: bool | None) -> None:
    """`recovered` stands in the message when, and only when, a position was asked for."""
    attachment, line, _ = attached()
    attachment.resumed(recovered)
    attachment.started(Position(3, 0), DETAILS, 7, None)
    message, _ = line.messages()
    assert message.get("recovered") is recovered
    assert ("recovered" in message) is (recovered is not None)


async def test_the_init_chunk_comes_right_behind_the_start() -> None:
    """A container's header is the first audio, in the framing of this listener."""
    attachment, line, _ = attached("raw")
    attachment.started(Position(3, 0), StreamFormat(WAV, 44100, 2, None), 7, chunk(0, kind=Kind.INIT))
    start, init, _ = line.heard()
    assert start.opcode is Opcode.TEXT
    assert (init.opcode, bytes(init.data)) == (Opcode.BINARY, b"payload 0")


async def test_whoever_comes_is_told_at_once_what_is_known() -> None:
    """Title and words of a song that is over are said to nobody else any more."""
    attachment, line, _ = attached()
    stream = new_stream()
    stream.lyrics = "[verse] la la"
    attachment = Attachment(line.connection, stream, "framed", None, lambda ended, error: None)
    attachment.started(Position(3, 0), DETAILS, 7, None)
    news = line.messages()[1]
    assert news == {
        "type": "stream.metadata",
        "stream_id": "st_1",
        "pts": 0.0,
        "listeners": 0,
        "title": stream.title,
        "lyrics": "[verse] la la",
    }


@pytest.mark.parametrize(("framing", "build"), [("framed", frames.framed), ("raw", frames.raw), ("json", frames.delta)])
async def test_chunks_are_the_shared_bytes_of_their_framing(framing: str, build: object) -> None:
    """One chunk or several, what goes out is what the chunk builds once for all; several go in one batch."""
    assert FRAMINGS[framing] is build
    attachment, line, _ = attached(framing)
    several = [chunk(1), chunk(2), chunk(3)]
    attachment.send(several[:1])
    attachment.send(several)
    wires = [one.wire(FRAMINGS[framing]) for one in several]
    assert line.wire.written == wires[0] + b"".join(wires)
    assert line.wire.batches == [1, 3]


async def test_news_wait_for_nobody() -> None:
    """News go out when there is room, and are dropped when there is none: the next ones replace them, or the last."""
    attachment, line, _ = attached()
    assert attachment.writable
    attachment.metadata(text_message(b'"one"'))
    line.connection.pause_writing()
    assert not attachment.writable
    attachment.metadata(text_message(b'"two"'))
    assert [bytes(frame.data) for frame in line.heard()] == [b'"one"']
    line.connection.resume_writing()
    attachment.ended(outcome())
    assert [message["type"] for message in line.messages()] == ["stream.metadata", "stream.completed"]


async def test_a_gap_is_told_with_its_ends_and_reason() -> None:
    """What will not come is named before what follows it."""
    attachment, line, endings = attached()
    attachment.gap(4, 9, "lag")
    assert line.messages() == [{"type": "stream.gap", "stream_id": "st_1", "from_seq": 4, "to_seq": 9, "reason": "lag"}]
    assert endings == []


async def test_a_listener_that_is_cut_hears_why_before_it_ends() -> None:
    """The error with the ref of the attach, then the end with that error, once."""
    attachment, line, endings = attached(ref="a")
    error = LimitError("too_slow", "The audio you had not taken yet is no longer retained.")
    attachment.refused(error)
    assert [(message["type"], message["ref"], message["error"]["code"]) for message in line.messages()] == [
        ("error", "a", "too_slow")
    ]
    assert endings == [(attachment, error)]


async def test_a_whole_song_ends_with_its_totals() -> None:
    """Duration, frames, bytes, hash and bill; the end takes nothing else with it."""
    attachment, line, endings = attached()
    attachment.ended(outcome())
    assert line.messages() == [
        {
            "type": "stream.completed",
            "stream_id": "st_1",
            "duration_seconds": 12.5,
            "frames": 125,
            "bytes": 200_000,
            "sha256": "ab" * 32,
            "usage": {"audio_seconds": 12.0, "settled": True},
        }
    ]
    assert endings == [(attachment, None)]


async def test_a_broken_song_ends_with_its_error() -> None:
    """A failure is told as such, and the session goes on."""
    attachment, line, endings = attached()
    attachment.ended(outcome(UpstreamError("upstream_interrupted", "The provider broke off.")))
    (message,) = line.messages()
    assert (message["type"], message["stream_id"]) == ("stream.failed", "st_1")
    assert (message["error"]["code"], message["error"]["retryable"]) == ("upstream_interrupted", True)
    assert endings == [(attachment, None)]


def test_a_format_is_told_as_it_really_is() -> None:
    """Rates, channels and bitrate are the stream's own, names those of the table."""
    info = format_info(StreamFormat(WAV, 48000, 1, None))
    assert (info.codec, info.mime, info.sample_rate, info.channels, info.bitrate) == (
        "pcm",
        "audio/wav",
        48000,
        1,
        None,
    )
