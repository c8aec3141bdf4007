"""Streams and sessions as documents.

Invariant under test: a document has every field of the contract at every moment, and none of the provider's words.
It must not know the door that sends it.
"""

import msgspec

from gateway.config.schema import Config, Limits, Relay, Server
from gateway.errors import UpstreamError
from gateway.model import Principal
from gateway.protocol.events import encode
from gateway.server.view import session_created, stream_info
from tests.support.relay import DETAILS, TENANT
from tests.support.server import new_stream

FIELDS = {
    "id", "status", "model", "mode", "created_at", "duration_seconds", "sample_rate", "channels", "lyrics", "title",
    "listeners", "usage", "urls", "error", "warnings", "simulated",
}  # fmt: skip


def test_a_stream_that_has_not_begun_has_every_field() -> None:
    """What is not known yet is null, never missing."""
    document = msgspec.json.decode(encode(stream_info(new_stream(), "http://gateway.test:8080")))
    assert document.keys() == FIELDS
    assert document["status"] == "queued"
    assert (document["sample_rate"], document["channels"], document["error"], document["lyrics"]) == (None,) * 4
    assert document["usage"] == {"audio_seconds": 0.0, "settled": False}
    assert document["created_at"] == 1000.0
    assert document["urls"] == {
        "audio": "http://gateway.test:8080/v1/streams/st_1/audio.mp3",
        "hls": None,
        "ws": "ws://gateway.test:8080/v1/ws",
    }


def test_addresses_follow_the_clients_own() -> None:
    """A gateway behind TLS gives wss, and the audio's address ends in the song's format."""
    urls = stream_info(new_stream(form="wav"), "https://music.example").urls
    assert urls.ws == "wss://music.example/v1/ws"
    assert urls.audio == "https://music.example/v1/streams/st_1/audio.wav"


def test_a_stream_that_failed_says_why() -> None:
    """What is known of the audio, and the error as the doors tell it, without the provider's request id."""
    stream = new_stream()
    stream.native.open(DETAILS, b"", 1000.0)
    stream.error = UpstreamError("upstream_failed", "The provider failed.", request_id="provider-word")
    document = encode(stream_info(stream, "http://gateway.test"))
    decoded = msgspec.json.decode(document)
    assert (decoded["sample_rate"], decoded["channels"]) == (44100, 2)
    assert decoded["error"] == {
        "code": "upstream_failed",
        "message": "The provider failed.",
        "retryable": True,
        "retry_after_ms": None,
        "param": None,
    }
    assert b"provider-word" not in document


def test_a_session_is_told_every_limit_it_may_run_into() -> None:
    """The tenant's own limits and the gateway's; the key's name is not the client's business."""
    config = Config(
        server=Server(max_message_bytes=1234),
        relay=Relay(retain_seconds=60.0, retain_bytes=9999, max_stream_bytes=5678, live_lag=2.0, stall_timeout=9.0),
    )
    created = session_created(
        "se_1", Principal(TENANT, "0123abcd"), config, Limits(concurrent_streams=2, listeners=3, connections=4)
    )
    assert (created.session_id, created.tenant) == ("se_1", "acme")
    assert created.limits == {
        "concurrent_streams": 2,
        "listeners": 3,
        "connections": 4,
        "max_message_bytes": 1234,
        "retain_seconds": 60.0,
        "max_stream_bytes": 5678,
        "retain_bytes": 9999,
        "live_lag_seconds": 2.0,
        "stall_timeout_seconds": 9.0,
    }
    assert created.server_time > 0
    assert b"0123abcd" not in encode(created)
