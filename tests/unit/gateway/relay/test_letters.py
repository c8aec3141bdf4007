"""Tests of what nodes say to each other: what is read is what was written, and what is strange harms nobody.

Invariant under test: every field of a chunk, an outcome and a request comes over; a newer node may say more.
It must not know how letters travel.
"""

import msgspec
import pytest

from gateway.errors import ServiceError, UpstreamError
from gateway.model import (
    Chunk,
    Flag,
    GenerationRequest,
    Kind,
    Mode,
    Position,
    RenditionId,
    SpeechInput,
    SpeechRequest,
    StreamId,
)
from gateway.protocol.messages import FormatSpec
from gateway.relay import letters
from gateway.relay.outcome import Bill, Outcome
from gateway.relay.wishes import possible
from tests.support.relay import DETAILS, RENDITION, TENANT, song

SPEECH = SpeechRequest("qwen-tts", Mode.STREAM, SpeechInput("Good morning", "Cherry", rate=1.1, language_hints=("en",)))


@pytest.mark.parametrize("flags", [Flag.NONE, Flag.RANDOM_ACCESS, Flag.DISCONTINUITY | Flag.RANDOM_ACCESS])
@pytest.mark.parametrize("payload", [b"", b"\x00sound\xff" * 1000])
def test_a_chunk_comes_over_whole(flags: Flag, payload: bytes) -> None:
    """With the largest numbers that it may have."""
    chunk = Chunk(RENDITION, (1 << 32) - 1, (1 << 64) - 1, (1 << 32) - 1, payload, Kind.AUDIO, flags, 12.5)
    read = letters.read_entry(letters.chunk_entry(chunk))
    assert read == (chunk.seq, chunk.pts, chunk.duration, flags, payload)
    assert isinstance(read, letters.ChunkEntry)
    assert isinstance(read.flags, Flag)


@pytest.mark.parametrize("init", [b"", b"\x1aheader"])
def test_the_beginning_comes_over(init: bytes) -> None:
    """What the audio is, and where the log begins."""
    read = letters.read_entry(letters.opened_entry(DETAILS, init, 7, 1 << 40))
    assert isinstance(read, letters.Opened)
    assert read.details == DETAILS
    assert (read.init, read.seq, read.pts) == (init, 7, 1 << 40)


@pytest.mark.parametrize("error", [None, ServiceError("transcoding_full", "No room.", param="format", retry_after=2.5)])
def test_the_end_comes_over(error: ServiceError | None) -> None:
    """With the error as a door says it, and the bill."""
    outcome = Outcome(RENDITION.stream_id, error, 1.25, 9, 12345, "ab" * 32, Bill(1.5, settled=True, characters=11))
    read = letters.read_entry(letters.ended_entry(outcome))
    assert isinstance(read, letters.Ended)
    told = read.outcome(RENDITION.stream_id)
    if error is None:
        assert told == outcome
    else:
        assert told.error is not None
        assert told.error.body() == error.body()
        assert (told.bill, told.sha256, told.soft) == (outcome.bill, outcome.sha256, False)


def test_news_come_over() -> None:
    """Octet for octet."""
    assert letters.read_entry(letters.news_entry(b"\x81\x02{}")) == letters.News(b"\x81\x02{}")


# A word that is not known, and behind it more lists in lists than there may be.
DEEP = b"\x81\xa4mood" + b"\x91" * 5000 + b"\x01"


@pytest.mark.parametrize(
    "entry",
    [
        *(b"", b"\x00", b"\x02\x00", b"\x05hello", b"\x01\xff", b"\x04\x90", b"\xff" * 30),
        *(b"\x01" + DEEP, b"\x04" + DEEP, b"\x01\x81\xa1\xff\x00"),
    ],
)
def test_what_nobody_wrote_is_not_read(entry: bytes) -> None:
    """It is said, not guessed at."""
    with pytest.raises(ValueError, match=r".+"):
        letters.read_entry(entry)


@pytest.mark.parametrize("request_", [song(lyrics="La la\nla"), SPEECH])
def test_a_song_to_be_shared_is_the_same_elsewhere(request_: GenerationRequest) -> None:
    """Equal to that of another node's buyer, or it would be bought twice."""
    told = msgspec.msgpack.decode(letters.sharing(TENANT, request_, 5.0).octets(), type=letters.Sharing)
    assert (told.tenant, told.request, told.grace) == (TENANT, request_, 5.0)
    assert hash(told.request) == hash(request_)


def test_wishes_come_over_in_their_order() -> None:
    """With their numbers, and the position that somebody comes with."""
    wished = possible([FormatSpec("opus", bitrate=96000), FormatSpec("pcm", sample_rate=16000, channels=1)])
    told = msgspec.msgpack.decode(letters.want(StreamId("st_1"), wished, Position(3, 9)).octets(), type=letters.Want)
    assert told.wished == wished
    assert (told.stream_id, told.position) == ("st_1", Position(3, 9))
    assert msgspec.msgpack.decode(letters.want(StreamId("st_1"), [], None).octets(), type=letters.Want).position is None


def test_a_rendition_has_one_name_everywhere() -> None:
    """The stream's id, and the number and the epoch that its owner gave."""
    told = letters.Published(chosen=0, number=4, epoch=5, log="x", end=1, over=False, moment=None)
    assert letters.rendition(StreamId("st_1"), told) == RenditionId(StreamId("st_1"), 4, 5)


def test_errors_are_told_on() -> None:
    """None is none; one that only a newer node knows is ours to say, and its sentence stays."""
    assert letters.Trouble.of(None) is None
    assert letters.error_of(None) is None
    error = UpstreamError("upstream_failed", "It failed.", request_id="req-1")
    told = letters.error_of(letters.Trouble.of(error))
    assert told is not None
    assert told.body() == error.body()
    newer = letters.Trouble(code="from_the_future", message="So it is.").error
    assert (newer.code, newer.message) == ("internal", "So it is.")


def test_a_newer_node_may_say_more() -> None:
    """What is not known is passed over."""
    said = msgspec.msgpack.encode({"stream_id": "st_1", "listeners": 2, "reading": [7], "mood": "calm"})
    heard = msgspec.msgpack.decode(said, type=letters.Heard)
    assert (heard.listeners, heard.reading, heard.came) == (2, [7], False)
