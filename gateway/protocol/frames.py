"""Our binary frame and the wire forms of a chunk: pure functions from a chunk to the bytes that go on the socket.

Invariant: the bytes depend on the chunk alone, never on a listener, so each form is built once and written N times
(without permessage-deflate a server's WebSocket frame is unmasked and the same for everybody).
The header, network byte order, 24 bytes: version u8, kind u8, flags u16, rendition u32, pts u64, seq u32, duration u32.
It must not know sockets, listeners or where chunks come from.
"""

import base64
import struct
from typing import NamedTuple

from websockets.frames import Frame, Opcode

from gateway.errors import RequestError
from gateway.model import Chunk, Flag, Kind
from gateway.protocol.events import AudioDelta, encode

VERSION = 1
HEADER = struct.Struct(">BBHIQII")


class Header(NamedTuple):
    """A decoded frame header; `pts` and `duration` in samples."""

    kind: Kind
    flags: Flag
    rendition: int
    pts: int
    seq: int
    duration: int


def pack(chunk: Chunk) -> bytes:
    """Header and payload: what a client of `framed` framing receives as one binary message."""
    head = HEADER.pack(VERSION, chunk.kind, chunk.flags, chunk.rendition.number, chunk.pts, chunk.seq, chunk.duration)
    return head + chunk.payload


def unpack(message: bytes) -> tuple[Header, bytes]:
    """The inverse of `pack`, for clients. Raises RequestError `bad_protocol` for what is not a frame of version 1."""
    if len(message) < HEADER.size:
        raise RequestError("bad_protocol", f"A frame has at least {HEADER.size} bytes, this one {len(message)}.")
    version, kind, flags, rendition, pts, seq, duration = HEADER.unpack_from(message)
    if version != VERSION or kind not in (Kind.AUDIO, Kind.INIT):
        raise RequestError("bad_protocol", f"A frame of version {version} and kind {kind} is not known here.")
    return Header(Kind(kind), Flag(flags), rendition, pts, seq, duration), message[HEADER.size :]


def _message(opcode: Opcode, data: bytes) -> bytes:
    return Frame(opcode, data).serialize(mask=False)


def text_message(data: bytes) -> bytes:
    """A JSON document as the WebSocket text frame that carries it."""
    return _message(Opcode.TEXT, data)


# Asks whether somebody is there; without a payload it is the same for everybody.
PING = _message(Opcode.PING, b"")


# -- wire forms: each is a key of Chunk.wire ---------------------------------------------------------------------------


def framed(chunk: Chunk) -> bytes:
    """WebSocket binary message: header and payload."""
    return _message(Opcode.BINARY, pack(chunk))


def raw(chunk: Chunk) -> bytes:
    """WebSocket binary message: the payload alone."""
    return _message(Opcode.BINARY, chunk.payload)


def delta(chunk: Chunk) -> bytes:
    """WebSocket text message `audio.delta`, payload in base64: for tools, not for players."""
    message = AudioDelta(
        stream_id=chunk.rendition.stream_id,
        rendition=chunk.rendition.number,
        kind=chunk.kind.name.lower(),
        epoch=chunk.rendition.epoch,
        seq=chunk.seq,
        pts=chunk.pts,
        duration=chunk.duration,
        flags=int(chunk.flags),
        data=base64.b64encode(chunk.payload).decode(),
    )
    return text_message(encode(message))


def chunked(chunk: Chunk) -> bytes:
    """One chunk of HTTP/1.1 chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(chunk.payload), chunk.payload)


def plain(chunk: Chunk) -> bytes:
    """The payload as it is: the body of an HTTP answer with a length, or one that ends with the connection."""
    return chunk.payload
