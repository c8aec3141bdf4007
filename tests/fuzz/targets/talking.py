"""What clients say once they are connected, and what ours is told: WebSocket frames, messages, orders, binary frames.

Invariant under test: octets are messages, or one refusal of the documented kind; what is taken is written the same
again; of a connection it does not matter how the network cuts it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec
from websockets.frames import Frame, Opcode

from gateway.client import wire
from gateway.errors import RequestError
from gateway.model import Chunk
from gateway.protocol import frames, messages
from gateway.protocol.frames import HEADER, VERSION, unpack
from gateway.protocol.messages import MessageError, decode_client, decode_create, decode_ticket
from gateway.protocol.openai import decode_speech
from gateway.server.strict import StrictProtocol
from tests.fuzz.target import Target, octets, slices, tried
from tests.support.relay import RENDITION

MOST_MESSAGE = 600
_BODIES: tuple[Callable[[bytes], Any], ...] = (decode_create, decode_ticket, decode_speech)


def _heard(pieces: Iterable[bytes]) -> tuple[list[Frame], int | None]:
    protocol = StrictProtocol(MOST_MESSAGE)
    found: list[Frame] = []
    for piece in pieces:
        protocol.receive_data(piece)
        found += [event for event in protocol.events_received() if isinstance(event, Frame)]
        protocol.data_to_send()
        assert len(protocol.reader.buffer) <= MOST_MESSAGE, "no more than a message is held"
    return found, protocol.close_sent.code if protocol.close_sent else None


def websocket(data: bytes) -> None:
    """Frames and the close code do not depend on slicing; texts are UTF-8, messages within their size, and in order."""
    heard = _heard([data])
    assert _heard(slices(data)) == heard
    assert _heard(octets(data)) == heard
    message, text = b"", False
    for frame in heard[0]:
        if frame.opcode >= Opcode.CLOSE:
            assert frame.fin
            assert len(frame.data) <= 125
            continue
        if frame.opcode is not Opcode.CONT:
            message, text = b"", frame.opcode is Opcode.TEXT
        message += frame.data
        assert len(message) <= MOST_MESSAGE
        if frame.fin and text:
            message.decode()


def message(data: bytes) -> None:
    """A control message is one of ours or a MessageError that quotes nothing; taken, it is written the same again."""
    found = tried(partial(decode_client, data), MessageError)
    if isinstance(found, MessageError):
        assert found.error.code in ("invalid_json", "invalid_request", "unknown_type")
        assert "\n" not in found.error.message
        return
    written = msgspec.json.encode(found)
    assert msgspec.json.encode(decode_client(written)) == written
    if isinstance(found, messages.StreamCreate):
        assert decode_create(msgspec.json.encode(found.body)) == found.body


def order(data: bytes) -> None:
    """A body of REST is an order or a RequestError; taken, it is written the same again."""
    for decode in _BODIES:
        found = tried(partial(decode, data), RequestError)
        if isinstance(found, RequestError):
            assert found.code in ("invalid_json", "invalid_request")
            continue
        written = msgspec.json.encode(found)
        assert msgspec.json.encode(decode(written)) == written


def frame(data: bytes) -> None:
    """A binary frame is unpacked and packed the same, or a RequestError."""
    found = tried(partial(unpack, data), RequestError)
    if isinstance(found, RequestError):
        assert found.code == "bad_protocol"
        return
    head, payload = found
    _, _, rendition, pts, seq, duration = head
    assert HEADER.pack(VERSION, head.kind, head.flags, rendition, pts, seq, duration) + payload == data


def client(data: bytes) -> None:
    """Our own client takes what a gateway sends: an event, a frame, nothing, or Unreadable."""
    for said in (data, data.decode("utf-8", "replace")):
        try:
            found = wire.decode(said)
        except wire.Unreadable:
            continue
        assert found is None or isinstance(found, wire.Frame | msgspec.Struct)


def _masked(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    """As a client sends it, with a mask that is the same each time."""
    whole = Frame(opcode, data, fin=fin).serialize(mask=False)
    head, mask = whole[: len(whole) - len(data)], b"\x37\xfa\x21\x3d"
    masked = bytes(octet ^ mask[at % 4] for at, octet in enumerate(data))
    return bytes([head[0], head[1] | 0x80]) + head[2:] + mask + masked


_UNMASKED = b"\x80\0\0\0\0"
_TALK = (
    _masked(Opcode.TEXT, "κόσμε".encode()),
    _masked(Opcode.TEXT, b"frag", fin=False) + _masked(Opcode.PING, b"?") + _masked(Opcode.CONT, b"ment"),
    _masked(Opcode.BINARY, b"\xff", fin=False) + _masked(Opcode.CONT, b"") + _masked(Opcode.CLOSE, b"\x03\xe8bye"),
    b"\x81\x8a\0\0\0\0\xce\xba\xe1\xbd\xb9\xcf\x83\xf4\x90\x80",
    b"\x01\x82\0\0\0\0\xce\xba\x80\x81\0\0\0\0\xce",
)
_FRAMES = (
    *(b"\x81", b"\x01", b"\x80", b"\x00", b"\x82", b"\x02", b"\x89", b"\x8a", b"\x88", b"\xc1", b"\x83", b"\x09"),
    *(_UNMASKED, b"\x81\x84\0\0\0\0", b"\xfe\x02\x58\0\0\0\0", b"\xff\x7f" + b"\xff" * 7, b"\xf4\x8f", b"\xed\xa0"),
    *(b"\x88\x82\0\0\0\0\x03\xe8", b"\x88\x81\0\0\0\0\x03", b"\x88\x82\0\0\0\0\x03\xed", b"\x89\xfe\0\x7e\0\0\0\0"),
)
_JSON = (
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"1e999", b"-0", b"9" * 30, b'"\\ud800"', b"[" * 300),
    *(b'{"a":' * 300, b'"type":"', b'"ref":', b'"stream_id":"st_1"', b'"format":', b'"since":{', b'"input":{'),
    *(b'"epoch":', b'"ttl_seconds":', b'"allow":["create"]', b'"voice":{"id":', b'"t":', b'"codec":"pcm"', b"\xff"),
    *(b'"type":"session.created"', b'"limits":', b'"type":"audio.delta"', b'"data":"', b'"kind":"audio"', b'"flags":'),
)
_MESSAGES = (
    b'{"type":"stream.create","ref":"a","input":{"prompt":"x"},"format":["mp3",{"codec":"pcm","channels":1}]}',
    b'{"type":"stream.attach","stream_id":"st_1","since":{"seconds_ago":1.5},"burst_ms":5}',
    b'{"type":"session.authenticate","ticket":"wt_x"}',
    b'{"type":"ping","t":{"a":[1]}}',
)
_ORDERS = (
    b'{"input":{"prompt":"x","language_hints":["zh"]},"share":true,"abandon":"30s"}',
    b'{"stream_id":"st_1","allow":["listen"],"uses":0}',
    b'{"input":"hello","voice":{"id":"Cherry"},"response_format":"mp3","speed":1.0}',
)
_SONG = Chunk(RENDITION, 3, 9, 1152, b"sound")
_TOLD = (
    frames.pack(_SONG),
    b'{"type":"audio.delta","stream_id":"s","rendition":1,"kind":"audio","epoch":0,"seq":1,"pts":2,"duration":3,'
    b'"flags":1,"data":"AAAA"}',
    b'{"type":"pong","t":1,"server_time":2.0}',
    b'{"type":"session.created","session_id":"s","tenant":"t","limits":{"a":1},"server_time":1}',
)

TARGETS = (
    Target("websocket", websocket.__doc__ or "", websocket, _TALK, _FRAMES),
    Target("message", message.__doc__ or "", message, _MESSAGES, _JSON),
    Target("order", order.__doc__ or "", order, _ORDERS, _JSON),
    Target("frame", frame.__doc__ or "", frame, (_TOLD[0], _TOLD[0][:24], b"\1\1"), (b"\1", b"\2", b"\0" * 24)),
    Target("client", client.__doc__ or "", client, _TOLD, _JSON),
)
