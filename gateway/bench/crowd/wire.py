"""What goes over a listener's line, without I/O: WebSocket frames (RFC 6455), HTTP heads and chunked bodies.

Invariant: what is not whole yet is None and is asked about again with more; what a server must not send is a WireError
that says what it was. Positions are offsets into the buffer that was given: nothing is copied here.
It must not know what messages mean.
"""

import base64
import hashlib
import re
import struct
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MOST_BYTES = 1 << 19  # half of the buffer that lines read into
_MOST_HEAD = 1 << 16
_MOST_CONTROL = 125
_OPCODES = (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})(?:;[^\r\n]*)?\r\n")
# Whoever reads this knows that a mask of zeros hides nothing; it makes the same frame for everybody, built once.
_MASK = bytes(4)


class WireError(Exception):
    """The server broke the protocol; the message says how."""


class Frame(NamedTuple):
    """A whole frame: its payload is `start` to `stop`, and the next frame begins at `stop`."""

    opcode: int
    final: bool
    start: int
    stop: int


def frame(data: bytearray | bytes, at: int, end: int) -> Frame | None:
    """The server's frame that begins at `at`, if all of it is before `end`. Raises WireError."""
    if end - at < 2:
        return None
    first, second = data[at], data[at + 1]
    opcode, size, start = first & 0x0F, second, at + 2
    if first & 0x70:
        raise WireError("a frame with reserved bits")
    if opcode not in _OPCODES:
        raise WireError(f"a frame of the unknown kind {opcode}")
    if second & 0x80:
        raise WireError("a masked frame from a server")
    if opcode >= CLOSE and (size > _MOST_CONTROL or not first & 0x80):
        raise WireError("a control frame that is too long or in parts")
    if size > _MOST_CONTROL:
        form, least = (">H", _MOST_CONTROL + 1) if size == 126 else (">Q", 1 << 16)
        if end - start < struct.calcsize(form):
            return None
        (size,) = struct.unpack_from(form, data, start)
        start += struct.calcsize(form)
        if size < least:
            raise WireError("a frame whose length is written longer than needed")
        if size > MOST_BYTES:
            raise WireError(f"a frame of {size} bytes")
    stop = start + size
    return Frame(opcode, bool(first & 0x80), start, stop) if stop <= end else None


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame, masked as it has to be."""
    size = len(payload)
    if size <= _MOST_CONTROL:
        return struct.pack(">BB", 0x80 | opcode, 0x80 | size) + _MASK + payload
    return struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size) + _MASK + payload


def new_key() -> str:
    """A Sec-WebSocket-Key. It protects nobody: one for all of a process does."""
    return base64.b64encode(b"wavegate's crowd").decode()


def accept_of(key: str) -> bytes:
    """What the server has to answer to it."""
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest())


class Head(NamedTuple):
    """The head of an answer; names of headers are in small letters. The body begins at `stop`."""

    status: int
    headers: dict[bytes, bytes]
    stop: int


def head(data: bytearray | bytes, end: int) -> Head | None:
    """The head at the beginning of `data`, if all of it is before `end`. Raises WireError."""
    stop = data.find(b"\r\n\r\n", 0, end)
    if stop < 0:
        if end > _MOST_HEAD:
            raise WireError("a head without end")
        return None
    status = _STATUS.match(data)
    if status is None:
        raise WireError("an answer that is not HTTP")
    headers = {}
    for line in bytes(data[:stop]).split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    return Head(int(status[1]), headers, stop + 4)


class Chunk(NamedTuple):
    """A whole chunk of a chunked body: its data is `start` to `stop`; the next begins at `after`. Empty is the end."""

    start: int
    stop: int
    after: int


def chunk(data: bytearray | bytes, at: int, end: int) -> Chunk | None:
    """The chunk that begins at `at`, if all of it is before `end`. Raises WireError."""
    line = data.find(b"\r\n", at, end)
    if line < 0:
        if end - at > _MOST_CONTROL:
            raise WireError("a chunk without its size")
        return None
    size = _SIZE.match(data, at, line + 2)
    if size is None:
        raise WireError("a chunk whose size is no number")
    length, start = int(size[1], 16), line + 2
    if length > MOST_BYTES:
        raise WireError(f"a chunk of {length} bytes")
    stop = start + length
    if stop + 2 > end:
        return None
    if data[stop : stop + 2] != b"\r\n":
        raise WireError("a chunk that is longer than it says")
    return Chunk(start, stop, stop + 2)
