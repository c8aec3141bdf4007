"""A listener's line: a socket that is read into one buffer for all, and what is common to every door.

Invariant: a line holds what is not whole yet and nothing else; whatever breaks it is counted with its group, once.
It must not know what is said on it: that is `take`, which each kind of line sets for the phase that it is in.
"""

import socket
import struct
from collections.abc import Callable
from typing import Protocol

from gateway.bench.crowd.group import Group
from gateway.bench.crowd.reference import Reference
from gateway.bench.crowd.wire import WireError

BUFFER = bytearray(1 << 20)
VIEW = memoryview(BUFFER)
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Host(Protocol):
    """What a line asks of the crowd that it belongs to."""

    def greeted(self, line: "Line") -> None:
        """Its handshake is over."""
        ...

    def left(self, line: "Line") -> None:
        """It is closed, and its file is anybody's."""
        ...


class Line:
    """`ready` is called when something can be read; `take` gets it, and gives how far it has been understood.

    `heard_at` is when it was last given sound, `joined` whether it ever was, `ended` whether its song is over.
    """

    __slots__ = ("ended", "fd", "group", "heard_at", "host", "joined", "receive", "reference", "socket", "tail", "take")

    def __init__(self, host: Host, group: Group, reference: Reference, line: socket.socket) -> None:
        self.host = host
        self.group = group
        self.reference = reference
        self.socket = line
        self.fd = line.fileno()
        self.receive = line.recv_into
        self.tail = b""
        self.heard_at = 0.0
        self.joined = False
        self.ended = False
        self.take: Callable[[int, float], int]

    def ready(self, now: float) -> None:
        """Reads all that there is. What is left over is put before what comes next."""
        while self._read(now):
            pass

    def _read(self, now: float) -> bool:
        """Reads once; whether the buffer was full, so that there may be more."""
        held = len(self.tail)
        try:
            if held:
                BUFFER[:held] = self.tail
                size = self.receive(VIEW[held:])
            else:
                size = self.receive(BUFFER)
        except BlockingIOError:
            return False
        except OSError as error:
            self.lost(error.strerror or "the connection broke")
            return False
        if not size:
            self.lost("the server closed the connection")
            return False
        size += held
        try:
            at = self.take(size, now)
        except WireError as error:
            self.group.fault("wire", str(error))
            self.close()
            return False
        self.tail = b"" if at == size else bytes(VIEW[at:size])
        return size == len(BUFFER) and self.fd >= 0

    def heard(self, now: float) -> None:
        """It was given sound."""
        if self.joined:
            silence = now - self.heard_at
            if silence > self.group.silence:
                self.group.silence = silence
        else:
            self.joined = True
            self.group.joined += 1
            self.group.last_joined_at = now
        self.heard_at = now

    def say(self, data: bytes) -> None:
        """Sends a little. Whoever cannot take it is not reading at all."""
        try:
            sent = self.socket.send(data)
        except OSError as error:
            self.lost(error.strerror or "the connection broke")
            return
        if sent < len(data):
            self.lost("the server does not read")

    def lost(self, words: str) -> None:
        """The other side has gone; it may, once the song is over. A second call does nothing."""
        if self.fd < 0:
            return
        if not self.ended:
            self.group.gone += 1
            self.group.fault("cut", words)
        self.close()

    def close(self, *, reset: bool = False) -> None:
        """Leaves, in order or with a reset. A second call does nothing."""
        if self.fd < 0:
            return
        self.host.left(self)
        self.fd = -1
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.socket.close()
        # The bound methods refer back to the line: nothing of it stays for the collector.
        del self.take
