"""Streams and sessions as documents.

Invariant under test: a document has every field of the contract at every moment, and none of the provider's words.
It must not know the door that sends it.
"""

import msgspec
import pytest

from gateway.accounting import Generation, State
from gateway.config.schema import Config, Limits, Relay
from gateway.config.server import Server
from gateway.errors import UpstreamError
from gateway.model import Principal, StreamId
from gateway.protocol.events import encode
from gateway.server.view import generation_info, session_created, stream_info
from tests.support.relay import DETAILS, TENANT, song
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
        "hls": "http://gateway.test:8080/v1/streams/st_1/hls/index.m3u8",
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


def generation(status: State, finished_at: float | None = 1060.0, characters: int | None = None) -> Generation:
    """A row of the ledger."""
    return Generation(
        stream_id=StreamId("st_1"),
        tenant=TENANT,
        key_id="k",
        model="fun-music-v1",
        provider_request_id="provider-word",
        status=status,
        created_at=1000.0,
        finished_at=finished_at,
        reserved=240.0,
        received=30.5,
        settled=0.0 if finished_at is None else 31.0,
        refunded=0.0 if finished_at is None else 209.0,
        characters=characters,
        cost=1.0,
        listener_seconds=2.0,
        egress_bytes=3,
    )


@pytest.mark.parametrize(
    ("state", "shown", "code"),
    [(State.COMPLETED, "completed", None), (State.EXPIRED, "failed", "going_away"), (State.FAILED, "failed", None)],
)
def test_a_stream_that_the_ledger_alone_knows_has_the_same_fields(state: State, shown: str, code: str | None) -> None:
    """Of the same shape and with its bill; an expired one has failed, for that its gateway ended."""
    order = song(form="wav", lyrics="la")
    document = msgspec.json.decode(encode(generation_info(generation(state), order, "https://gateway.test")))
    assert document.keys() == FIELDS
    assert (document["id"], document["status"], document["lyrics"], document["mode"]) == ("st_1", shown, "la", "stream")
    assert document["usage"] == {"audio_seconds": 31.0, "settled": True}
    assert document["duration_seconds"] == 30.5
    assert document["urls"]["audio"] == "https://gateway.test/v1/streams/st_1/audio.wav"
    assert document["urls"]["ws"] == "wss://gateway.test/v1/ws"
    assert document["error"] is None if code is None else document["error"]["code"] == code
    assert len(document["warnings"]) == 1


def test_one_that_runs_elsewhere_has_no_bill_yet() -> None:
    """What was received so far, not settled; and the characters, where they are counted."""
    info = generation_info(generation(State.RUNNING, None, characters=7), song(), "http://gateway.test")
    assert (info.status, info.error) == ("running", None)
    assert msgspec.to_builtins(info.usage) == {"audio_seconds": 30.5, "settled": False, "characters": 7}


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
