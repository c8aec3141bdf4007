"""Tests of what the gateway says: the exact documents on the wire, field for field.

Invariant under test: a field that clients rely on is always there, null where it is not known; what is optional is
left out when there is nothing to say. When a message is said is tested elsewhere.
"""

import json
from typing import Any

import msgspec
import pytest

from gateway.errors import LimitError
from gateway.protocol import events

BODY = events.ErrorBody("quota_exceeded", "Wait.", True, 1200)
BODY_DOCUMENT = {"code": "quota_exceeded", "message": "Wait.", "retryable": True, "retry_after_ms": 1200, "param": None}
INFO = events.StreamInfo(
    id="st_1",
    status="queued",
    model="fun-music-v1",
    mode="stream",
    created_at=1.5,
    duration_seconds=0.0,
    sample_rate=None,
    channels=None,
    lyrics=None,
    title=None,
    listeners=0,
    usage=events.Usage(0.0, False),
    urls=events.Urls("/audio.mp3", None, "/ws"),
    error=None,
    warnings=[],
    simulated=False,
)
INFO_DOCUMENT = {
    "id": "st_1",
    "status": "queued",
    "model": "fun-music-v1",
    "mode": "stream",
    "created_at": 1.5,
    "duration_seconds": 0.0,
    "sample_rate": None,
    "channels": None,
    "lyrics": None,
    "title": None,
    "listeners": 0,
    "usage": {"audio_seconds": 0.0, "settled": False},
    "urls": {"audio": "/audio.mp3", "hls": None, "ws": "/ws"},
    "error": None,
    "warnings": [],
    "simulated": False,
}
FORMAT = events.FormatInfo("mp3", "audio/mpeg", 44100, 2, None)
FORMAT_DOCUMENT = {"codec": "mp3", "mime": "audio/mpeg", "sample_rate": 44100, "channels": 2, "bitrate": None}

SAID: list[tuple[msgspec.Struct, dict[str, Any]]] = [
    (
        events.SessionCreated("s", "acme", {"listeners": 5}, 1.0),
        {
            "type": "session.created",
            "session_id": "s",
            "tenant": "acme",
            "limits": {"listeners": 5},
            "server_time": 1.0,
        },
    ),
    (events.StreamCreated(INFO), {"type": "stream.created", "stream": INFO_DOCUMENT}),
    (events.StreamCreated(INFO, 0), {"type": "stream.created", "stream": INFO_DOCUMENT, "ref": 0}),
    (
        events.StreamStarted("st_1", 7, 3, 0, FORMAT),
        {
            "type": "stream.started",
            "stream_id": "st_1",
            "rendition": 7,
            "epoch": 3,
            "seq": 0,
            "format": FORMAT_DOCUMENT,
        },
    ),
    (
        events.StreamStarted("st_1", 7, 3, 9, FORMAT, False, "r"),
        {
            "type": "stream.started",
            "stream_id": "st_1",
            "rendition": 7,
            "epoch": 3,
            "seq": 9,
            "format": FORMAT_DOCUMENT,
            "recovered": False,
            "ref": "r",
        },
    ),
    (
        events.StreamMetadata("st_1", 2.5),
        {"type": "stream.metadata", "stream_id": "st_1", "pts": 2.5},
    ),
    (
        events.StreamMetadata("st_1", 2.5, listeners=0, lyrics="", title="T"),
        {"type": "stream.metadata", "stream_id": "st_1", "pts": 2.5, "listeners": 0, "lyrics": "", "title": "T"},
    ),
    (
        events.StreamGap("st_1", 3, 9, "lag"),
        {"type": "stream.gap", "stream_id": "st_1", "from_seq": 3, "to_seq": 9, "reason": "lag"},
    ),
    (
        events.StreamCompleted("st_1", 2.5, 20, 40000, "ab", events.Usage(2.5, True)),
        {
            "type": "stream.completed",
            "stream_id": "st_1",
            "duration_seconds": 2.5,
            "frames": 20,
            "bytes": 40000,
            "sha256": "ab",
            "usage": {"audio_seconds": 2.5, "settled": True},
        },
    ),
    (events.StreamFailed("st_1", BODY), {"type": "stream.failed", "stream_id": "st_1", "error": BODY_DOCUMENT}),
    (
        events.StreamQueued("st_1", 2, None),
        {"type": "stream.queued", "stream_id": "st_1", "position": 2, "eta_ms": None},
    ),
    (events.StreamDetached("st_1"), {"type": "stream.detached", "stream_id": "st_1"}),
    (events.StreamDetached("st_1", "r"), {"type": "stream.detached", "stream_id": "st_1", "ref": "r"}),
    (events.Goaway(5000, 250), {"type": "session.goaway", "time_left_ms": 5000, "reconnect_after_ms": 250}),
    (
        events.QuotaUpdated(*[events.QuotaBudget(10, 9.5, 0.5, 3.0)] * 4, warnings=["concurrent_streams"]),
        {"type": "quota.updated", "warnings": ["concurrent_streams"]}
        | {
            name: {"limit": 10, "used": 9.5, "remaining": 0.5, "resets_at": 3.0}
            for name in (
                "concurrent_streams",
                "audio_seconds_per_day",
                "audio_seconds_per_month",
                "egress_bytes_per_day",
            )
        },
    ),
    (events.Pong([1], 2.0), {"type": "pong", "t": [1], "server_time": 2.0}),
    (events.Pong(None, 2.0), {"type": "pong", "t": None, "server_time": 2.0}),
    (events.Error(BODY), {"type": "error", "error": BODY_DOCUMENT}),
    (events.Error(BODY, "r"), {"type": "error", "error": BODY_DOCUMENT, "ref": "r"}),
    (
        events.AudioDelta("st_1", 7, "audio", 3, 5, 6, 8, 1, "AAA="),
        {
            "type": "audio.delta",
            "stream_id": "st_1",
            "rendition": 7,
            "kind": "audio",
            "epoch": 3,
            "seq": 5,
            "pts": 6,
            "duration": 8,
            "flags": 1,
            "data": "AAA=",
        },
    ),
]


@pytest.mark.parametrize(("message", "document"), SAID, ids=lambda value: type(value).__name__)
def test_the_document_of_every_message(message: msgspec.Struct, document: dict[str, Any]) -> None:
    """What goes on the wire has these fields and no others."""
    assert json.loads(events.encode(message)) == document


def test_every_message_is_tried_here() -> None:
    """A message that is added to the module is added to these tests."""
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)}
    assert {kind for kind in kinds if kind.__struct_config__.tag} == {type(message) for message, _ in SAID}


def test_an_error_becomes_its_document() -> None:
    """Code, sentence, whether and when to try again, and the field are the error's own."""
    error = LimitError("rate_exceeded", "Slow down.", param="input", retry_after=0.25)
    assert json.loads(events.encode(events.ErrorBody.of(error))) == error.body()


def test_plain_data_is_encoded_too() -> None:
    """REST answers lists and mappings of the same structs."""
    assert (
        events.encode({"streams": [events.Usage(1.0, True)]}) == b'{"streams":[{"audio_seconds":1.0,"settled":true}]}'
    )


def test_usage_is_told_from_and_to() -> None:
    """Names that Python has no room for are on the wire all the same."""
    totals = events.UsageTotals(1.0, 2.0, 3.0, 4.0, 5, 6.0, 7)
    document = json.loads(events.encode(events.UsageReport("acme", 1.5, 2.5, totals, [], None)))
    assert document.pop("totals")["egress_bytes"] == 5
    assert document == {"tenant": "acme", "from": 1.5, "to": 2.5, "generations": [], "next": None}
