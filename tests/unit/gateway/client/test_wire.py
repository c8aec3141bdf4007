"""What a client makes of messages: all of the gateway's, and strange ones.

Invariant under test: what the gateway encodes is read back whole, what is new passes by, what is malformed is refused.
The messages are made with the gateway's own encoder, or by hand where it would not make them.
"""

import base64
from typing import Any

import msgspec
import pytest

from gateway.client.wire import Frame, Unreadable, decode
from gateway.model import Chunk, Flag, Kind, RenditionId, StreamId
from gateway.protocol import events
from gateway.protocol.frames import Header, pack

CHUNK = Chunk(RenditionId(StreamId("s"), 3, 7), 5, 24000, 4800, b"payload", flags=Flag.RANDOM_ACCESS | Flag.LAST)
HEADER = Header(Kind.AUDIO, Flag.RANDOM_ACCESS | Flag.LAST, 3, 24000, 5, 4800)


def delta(**changes: Any) -> str:
    fields = {"type": "audio.delta", "stream_id": "s", "rendition": 3, "kind": "audio", "epoch": 7, "seq": 5}
    fields |= {"pts": 24000, "duration": 4800, "flags": 5, "data": base64.b64encode(b"payload").decode()}
    return msgspec.json.encode(fields | changes).decode()


@pytest.mark.parametrize(
    "message",
    [
        events.SessionCreated("id", "acme", {"listeners": 1}, 1.0),
        events.StreamQueued("s", 3, None),
        events.QuotaUpdated(*[events.QuotaBudget(5, 1.5, 3.5, None)] * 4, warnings=["concurrent_streams"]),
        events.StreamStarted("s", 1, 2, 3, events.FormatInfo("mp3", "audio/mpeg", 48000, 2, None), ref="r"),
        events.StreamMetadata("s", 1.0, listeners=3),
        events.StreamGap("s", 1, 2, "lag"),
        events.StreamCompleted("s", 1.0, 2, 3, "00", events.Usage(1.0, True)),
        events.StreamFailed("s", events.ErrorBody("internal", "m", True)),
        events.Goaway(1, 2),
        events.Pong(None, 1.0),
        events.Error(events.ErrorBody("internal", "m", True, 5, "p"), ref=1),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_the_gateway_encodes_is_read_back(message: Any) -> None:
    """Every control message survives the way over the wire."""
    assert decode(events.encode(message).decode()) == message


def test_both_framings_give_the_same_frame() -> None:
    """A binary frame and its JSON form are one thing to the client."""
    assert decode(pack(CHUNK)) == Frame(HEADER, b"payload")
    assert decode(delta()) == Frame(HEADER, b"payload")


def test_what_is_new_is_skipped() -> None:
    """An unknown type is passed over, an unknown field ignored."""
    assert decode('{"type": "stream.sparkles", "n": 1}') is None
    assert decode('{"type": "session.goaway", "time_left_ms": 1, "reconnect_after_ms": 2, "x": 3}') == events.Goaway(
        1, 2
    )


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01" * 23,
        b"\x02" + b"\x01" * 30,
        "{",
        "[]",
        '{"type": 5}',
        '{"type": "pong"}',
        '{"type": "stream.gap", "stream_id": "s", "from_seq": "a"}',
        delta(data="%%%"),
        delta(kind="noise"),
        '{"type": "pong", "server_time": 1, "t": ' + "[" * 5000,
    ],
)
def test_what_is_malformed_is_refused(message: bytes | str) -> None:
    """A message of a known kind that cannot be read is an error, not silence."""
    with pytest.raises(Unreadable):
        decode(message)
