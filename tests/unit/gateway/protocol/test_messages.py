"""Tests of what a client may say: every message decodes, and every mistake is told by its path and never by its value.

Invariant under test: whatever bytes come, the answer is a message or a MessageError; unknown fields are ignored. What
the gateway does with a message is tested elsewhere.
"""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RequestError
from gateway.protocol.messages import (
    Authenticate,
    ClientMessage,
    CreateBody,
    FormatSpec,
    InputSpec,
    MessageError,
    Ping,
    Since,
    StreamAttach,
    StreamCancel,
    StreamCreate,
    StreamDetach,
    decode_client,
    decode_create,
)

SECRET = "s3cret-value"
SONG = {"prompt": "A quiet song"}
DEEP = b"[" * 30_000 + b"]" * 30_000

MESSAGES: list[tuple[dict[str, object], ClientMessage]] = [
    ({"type": "stream.create", "input": SONG}, StreamCreate(input=InputSpec(prompt="A quiet song"))),
    (
        {
            "type": "stream.create",
            "ref": 1,
            "model": "fun-music-v1",
            "mode": "file",
            "input": {"lyrics": "La", "gender": "female", "is_instrumental": True, "format": "wav"},
            "format": ["ogg", {"codec": "pcm", "sample_rate": 24000, "channels": 1, "bitrate": 9}],
            "framing": "raw",
            "share": True,
            "abandon": "30s",
        },
        StreamCreate(
            ref=1,
            model="fun-music-v1",
            mode="file",
            input=InputSpec(lyrics="La", gender="female", is_instrumental=True, format="wav"),
            format=["ogg", FormatSpec("pcm", 24000, 1, 9)],
            framing="raw",
            share=True,
            abandon="30s",
        ),
    ),
    ({"type": "stream.attach", "stream_id": "st_1"}, StreamAttach(stream_id="st_1")),
    (
        {"type": "stream.attach", "stream_id": "st_1", "since": "live", "on_lag": "live", "burst_ms": 300},
        StreamAttach(stream_id="st_1", since="live", on_lag="live", burst_ms=300),
    ),
    (
        {"type": "stream.attach", "stream_id": "st_1", "ref": "a", "since": {"epoch": 3, "seq": 7}, "format": "mp3"},
        StreamAttach(stream_id="st_1", ref="a", since=Since(epoch=3, seq=7), format="mp3"),
    ),
    (
        {"type": "stream.attach", "stream_id": "st_1", "since": {"seconds_ago": 2}},
        StreamAttach(stream_id="st_1", since=Since(seconds_ago=2.0)),
    ),
    ({"type": "stream.detach", "stream_id": "st_1", "ref": "r"}, StreamDetach(stream_id="st_1", ref="r")),
    ({"type": "stream.cancel", "stream_id": "st_1", "ref": 5}, StreamCancel(stream_id="st_1", ref=5)),
    ({"type": "ping", "t": {"any": ["thing"]}}, Ping(t={"any": ["thing"]})),
    ({"type": "ping"}, Ping()),
    ({"type": "session.authenticate", "key": "k"}, Authenticate(key="k")),
    ({"type": "session.authenticate", "ticket": "t", "ref": "r"}, Authenticate(ticket="t", ref="r")),
]


def refused(data: bytes | str) -> MessageError:
    """The mistake that these bytes are."""
    with pytest.raises(MessageError) as mistake:
        decode_client(data)
    return mistake.value


@pytest.mark.parametrize(("fields", "message"), MESSAGES)
def test_every_message_decodes(fields: dict[str, object], message: ClientMessage) -> None:
    """Each type becomes its struct, with the documented defaults for what was left out; bytes and text alike."""
    text = json.dumps(fields)
    assert decode_client(text) == decode_client(text.encode()) == message


@pytest.mark.parametrize(("fields", "message"), MESSAGES)
def test_unknown_fields_are_ignored(fields: dict[str, object], message: ClientMessage) -> None:
    """A field of a later version, at any depth, changes nothing."""
    more = {key: value | {"later": [1]} if isinstance(value, dict) else value for key, value in fields.items()}
    if fields["type"] == "ping":
        more = fields
    assert decode_client(json.dumps(more | {"later": {"x": [1, None]}})) == message


def test_defaults_are_the_documented_ones() -> None:
    """Whole frames from the start, nothing skipped, in streaming mode, not shared."""
    created = decode_client('{"type":"stream.create","input":{}}')
    assert isinstance(created, StreamCreate)
    assert (created.framing, created.since, created.on_lag, created.mode) == ("framed", "start", "complete", "stream")
    assert (created.share, created.abandon, created.ref, created.format) == (False, None, None, None)


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (b'{"type": 1}', "type"),
        (b'{"ref": "r"}', None),
        (b"[]", None),
        (b'"text"', None),
        (b'{"type": "stream.create"}', None),
        (b'{"type": "stream.create", "input": {"prompt": 5}}', "input.prompt"),
        (b'{"type": "stream.create", "input": {"is_instrumental": "s3cret-value"}}', "input.is_instrumental"),
        (b'{"type": "stream.create", "input": "s3cret-value"}', "input"),
        (b'{"type": "stream.attach", "stream_id": ["s3cret-value"]}', "stream_id"),
        (b'{"type": "stream.attach", "stream_id": "x", "format": ["mp3", 5]}', "format[1]"),
        (
            b'{"type": "stream.attach", "stream_id": "x", "format": {"codec": "pcm", "channels": "two"}}',
            "format.channels",
        ),
        (b'{"type": "stream.attach", "stream_id": "x", "since": {"seq": "s3cret-value"}}', "since.seq"),
        (b'{"type": "stream.attach", "stream_id": "x", "since": {"seconds_ago": 1e400}}', "since.seconds_ago"),
        (b'{"type": "stream.cancel", "stream_id": "x", "ref": {"s3cret-value": 1}}', "ref"),
        (b'{"type": "session.authenticate", "key": ["s3cret-value"]}', "key"),
        (b'{"type": "s3cret-value", "type": "ping"}', "type"),
    ],
)
def test_a_wrong_value_is_told_by_its_path(data: bytes, param: str | None) -> None:
    """The sentence names where the mistake is and what was expected there, and never what was sent."""
    error = refused(data).error
    assert (error.code, error.param) == ("invalid_request", param)
    assert param is None or f"`{param}`" in error.message
    assert SECRET not in error.message


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    """The sentence lists what may be said here, and not what was said."""
    mistake = refused(json.dumps({"type": SECRET, "ref": "r"}))
    assert (mistake.error.code, mistake.error.param, mistake.ref) == ("unknown_type", "type", "r")
    assert all(str(fields["type"]) in mistake.error.message for fields, _ in MESSAGES)
    assert SECRET not in mistake.error.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"nul",
        b"\xff\xfe",
        b'{"type": "ping"} and more',
        b'{"type": "ping", "t": "\xff"}',
        b'{"type": "pi\xffng"}',
        b'{"type": "stream.cancel", "stream_id": "\xff"}',
        b'{"type": "ping", "t": "\\ud800"}',
        '{"type": "ping", "t": "\ud800"}',
        b'{"type": "ping", "t": ' + DEEP + b"}",
        b'{"type": "ping", "later": ' + DEEP + b"}",
        DEEP,
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_json_document(data: bytes | str) -> None:
    """Broken syntax, broken UTF-8 and bottomless nesting are mistakes of the client, and nothing worse."""
    assert refused(data).error.code in ("invalid_json", "invalid_request")


@given(st.binary(max_size=80) | st.builds(lambda data: b'{"type":"ping","t":' + data + b"}", st.binary(max_size=40)))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    """Whatever comes in is a message or a MessageError."""
    with suppress(MessageError):
        assert isinstance(decode_client(data), msgspec.Struct)


@pytest.mark.parametrize("ref", ["r-1", 17])
def test_the_ref_comes_back(ref: str | int) -> None:
    """A client finds its mistake by the ref it gave, wherever in the message the mistake is."""
    assert refused(json.dumps({"type": "stream.cancel", "ref": ref})).ref == ref
    assert refused(json.dumps({"type": "nonsense", "ref": ref})).ref == ref


@pytest.mark.parametrize("ref", [None, ["a"], {"a": 1}, 1.5])
def test_what_is_no_ref_does_not_come_back(ref: object) -> None:
    """Only text and whole numbers are echoed."""
    assert refused(json.dumps({"type": "nonsense", "ref": ref})).ref is None


def test_the_error_is_its_sentence() -> None:
    """A MessageError reads as the refusal it carries."""
    assert str(refused(b"[]")) == refused(b"[]").error.message == "Expected `object`, got `array`."


def test_the_body_of_a_create() -> None:
    """REST takes the same input as a message does, with the same defaults, and ignores what it does not know."""
    body = decode_create(b'{"input": {"prompt": "A", "later": 1}, "mode": "file", "later": 2}')
    assert body == CreateBody(InputSpec(prompt="A"), mode="file")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"\xff", "invalid_json", None),
        (b'{"input": {"prompt": "\xff"}}', "invalid_json", None),
        (b'{"input": {"later": ' + DEEP + b"}}", "invalid_json", None),
        (b"{}", "invalid_request", None),
        (b'{"input": {"lyrics": 1}}', "invalid_request", "input.lyrics"),
        (b'{"input": {}, "share": "s3cret-value"}', "invalid_request", "share"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else str(value),
)
def test_a_wrong_body_is_told_by_its_path(body: bytes, code: str, param: str | None) -> None:
    """The refusal names the field and never the value."""
    with pytest.raises(RequestError) as refusal:
        decode_create(body)
    assert (refusal.value.code, refusal.value.param) == (code, param)
    assert SECRET not in refusal.value.message


def test_a_credential_does_not_show_itself() -> None:
    """In a log or a debugger: the message is named, and what opens a door is not in it."""
    assert repr(Authenticate(key="topsecret", ticket="topsecret", ref="r")) == "Authenticate(ref='r')"
