"""A server's side of one listener's line, for the tests of the load generator.

Invariant: what is sent is exactly what a test says; the line is read by calling it, so nothing has to be waited for.
It must not judge.
"""

import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, TypeVar

import msgspec

from gateway.bench.crowd.group import Group
from gateway.bench.crowd.http import HttpLine
from gateway.bench.crowd.line import Line
from gateway.bench.crowd.reference import Reference
from gateway.bench.crowd.websocket import WebSocketLine, wish
from gateway.bench.crowd.wire import BINARY, TEXT, accept_of, new_key
from gateway.bench.stage import Stage
from gateway.protocol.frames import HEADER, VERSION

L = TypeVar("L", bound=Line)
WELCOME = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept_of(new_key()) + b"\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def nowhere() -> AsyncIterator[Stage]:
    """A stage on which nothing runs."""
    yield Stage("http://127.0.0.1:1", 0, frozenset({1}))


class Host:
    """Remembers what lines have told."""

    def __init__(self) -> None:
        self.greetings = 0
        self.gone: list[Line] = []

    def greeted(self, line: Line) -> None:
        self.greetings += 1

    def left(self, line: Line) -> None:
        self.gone.append(line)


class Partner(Generic[L]):
    """A line, and the server at its other end."""

    def __init__(self, make: Callable[[Host, socket.socket], L]) -> None:
        self.host = Host()
        ours, self.server = socket.socketpair()
        ours.setblocking(False)
        self.server.settimeout(10)
        self.line = make(self.host, ours)

    def sends(self, *data: bytes, now: float = 1.0) -> None:
        """Each piece is read before the next is sent."""
        for piece in data:
            self.server.sendall(piece)
            self.line.ready(now)

    def close(self) -> None:
        self.line.close()
        self.server.close()


@contextmanager
def listener(
    group: Group, log: Reference, since: str | float = "start", *, attach: bool = True, greeted: bool = True
) -> Iterator[Partner[WebSocketLine]]:
    """Over WebSocket, past its handshake."""
    wished = wish("here", "/v1/ws", "key", {"stream_id": "st_1"} if attach else None, since)
    partner = Partner(lambda host, line: WebSocketLine(host, group, log, line, wished))
    if greeted:
        partner.sends(WELCOME)
    yield partner
    partner.close()


@contextmanager
def http_listener(make: Callable[[Host, socket.socket], HttpLine]) -> Iterator[Partner[HttpLine]]:
    """Over HTTP, before anything was answered."""
    partner = Partner(make)
    yield partner
    partner.close()


def server_frame(opcode: int, payload: bytes, first: int = 0x80) -> bytes:
    """A frame as servers send it."""
    size = len(payload)
    if size < 126:
        return struct.pack(">BB", first | opcode, size) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", first | opcode, 126, size) + payload
    return struct.pack(">BBQ", first | opcode, 127, size) + payload


def message(seq: int, payload: bytes, version: int = VERSION) -> bytes:
    """Our header and a payload."""
    return HEADER.pack(version, 1, 1, 0, seq * 100, seq, 100) + payload


def audio(seq: int, payload: bytes) -> bytes:
    """A chunk in its frame."""
    return server_frame(BINARY, message(seq, payload))


def told(kind: str, **fields: object) -> bytes:
    """A message of the gateway in its frame."""
    return server_frame(TEXT, msgspec.json.encode({"type": kind, **fields}))


def started(seq: int = 0, epoch: int = 7, **fields: object) -> bytes:
    """Audio follows."""
    return told("stream.started", stream_id="st_1", epoch=epoch, seq=seq, **fields)


def completed(*payloads: bytes, **fields: object) -> bytes:
    """The song is over, and was these payloads."""
    whole = b"".join(payloads)
    truth = {"frames": len(payloads), "bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
    return told("stream.completed", **truth | fields)


def http_chunk(payload: bytes) -> bytes:
    """A chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
