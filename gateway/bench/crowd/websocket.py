"""A listener over WebSocket: the handshake, the attachment, and every frame held against what everybody hears.

Frames that somebody has heard before are compared whole, header and all, with what that one heard: a frame that is
equal to one that was parsed needs no parsing. All others are parsed. Invariant: seq is +1 from frame to frame, bytes
are those of the log, and a fault is counted, never repaired in silence. It must not know who else listens.
"""

import socket
from dataclasses import dataclass

import msgspec

from gateway.bench.crowd.group import Group
from gateway.bench.crowd.line import BUFFER, VIEW, Host, Line
from gateway.bench.crowd.reference import Claim, Reference
from gateway.bench.crowd.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    WireError,
    accept_of,
    client_frame,
    frame,
    head,
    new_key,
)
from gateway.protocol.frames import HEADER, VERSION

_KEY = new_key()
_ACCEPT = accept_of(_KEY)
_UNKNOWN = -1


class _Told(msgspec.Struct):
    """Any message of the gateway: the fields that are looked at, of whichever type it is."""

    type: str
    epoch: int = 0
    seq: int = 0
    recovered: bool | None = None
    frames: int = 0
    bytes: int = 0
    sha256: str = ""
    error: dict[str, object] | None = None


_told = msgspec.json.Decoder(_Told)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is said at the door: built once for all who wish the same.

    `attach` is empty for a server that sends to whoever connects. `since` is what was wished: a seq when a listener
    comes back and must get exactly that one next.
    """

    request: bytes
    attach: bytes
    since: str | float | int


def wish(host: str, path: str, key: str, attach: dict[str, object] | None, since: str | float | int = "live") -> Wish:
    """The wish for a stream of a gateway, or with no `attach` for what a bare server sends."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {_KEY}",
        "Sec-WebSocket-Version: 13",
    ]
    if attach is not None:
        lines += [f"Authorization: Bearer {key}", "Sec-WebSocket-Protocol: wavegate.v1"]
    said = b"" if attach is None else client_frame(TEXT, msgspec.json.encode({"type": "stream.attach", **attach}))
    return Wish("\r\n".join([*lines, "", ""]).encode(), said, since)


class WebSocketLine(Line):
    """`next` is the seq that is due."""

    __slots__ = ("next", "parts", "wish")

    def __init__(self, host: Host, group: Group, reference: Reference, line: socket.socket, wished: Wish) -> None:
        super().__init__(host, group, reference, line)
        self.wish = wished
        self.next = _UNKNOWN
        self.parts: list[bytes] = []
        self.take = self._answered

    @property
    def request(self) -> bytes:
        return self.wish.request

    # -- phases --------------------------------------------------------------------------------------------------------

    def _answered(self, size: int, now: float) -> int:
        """The handshake."""
        answer = head(BUFFER, size)
        if answer is None:
            return 0
        if answer.status != 101 or answer.headers.get(b"sec-websocket-accept") != _ACCEPT:
            raise WireError(f"a handshake refused with {answer.status}")
        self.take = self._audio
        self.host.greeted(self)
        if self.wish.attach:
            self.say(self.wish.attach)
        if self.fd < 0 or answer.stop == size:
            return size
        # What came behind the head moves to the front, where the next phase looks for it.
        rest = size - answer.stop
        BUFFER[:rest] = bytes(VIEW[answer.stop : size])
        done = self._audio(rest, now)
        return answer.stop + done if done == rest else self._kept(done, rest, size)

    def _kept(self, done: int, rest: int, size: int) -> int:
        """Puts what is left over where the caller takes it from: at the end of what was read."""
        left = bytes(VIEW[done:rest])
        BUFFER[size - len(left) : size] = left
        return size - len(left)

    def _audio(self, size: int, now: float) -> int:
        """Frames. The first loop takes what others have heard: 12,000 listeners are here 60,000 times a second."""
        reference, group = self.reference, self.group
        wires, last = reference.wires, reference.last
        begin = seq = self.next
        at = 0
        while (wire := wires.get(seq)) is not None and BUFFER.startswith(wire, at, size):
            at += len(wire)
            last[seq] = now
            seq += 1
            if at == size:
                break
        if seq != begin:
            group.frames += seq - begin
            group.size += at
            self.next = seq
            self.heard(now)
        while at < size:
            found = frame(BUFFER, at, size)
            if found is None:
                break
            self._frame(found, at, now)
            at = found.stop
            if self.fd < 0:
                return size
        return at

    # -- frames that are parsed ----------------------------------------------------------------------------------------

    def _frame(self, found: Frame, at: int, now: float) -> None:
        payload = bytes(VIEW[found.start : found.stop])
        if found.opcode == PING:
            self.say(client_frame(PONG, payload))
        elif found.opcode == CLOSE:
            self.lost(f"closed with {int.from_bytes(payload[:2], 'big')}: {payload[2:].decode(errors='replace')}")
        elif found.opcode == TEXT and found.final:
            self._message(payload)
        elif found.opcode == BINARY and found.final:
            self._chunk(payload, bytes(VIEW[at : found.stop]), now)
        elif found.opcode in (BINARY, CONTINUATION):
            self._part(payload, found, now)

    def _part(self, payload: bytes, found: Frame, now: float) -> None:
        """A message in several frames: nothing that is compared whole, so its wire is never in the log."""
        if found.opcode == BINARY:
            self.parts.clear()
        self.parts.append(payload)
        if found.final:
            message = b"".join(self.parts)
            self.parts.clear()
            self._chunk(message, b"\0", now)

    def _chunk(self, message: bytes, wire: bytes, now: float) -> None:
        reference, group = self.reference, self.group
        if len(message) < HEADER.size:
            raise WireError(f"an audio frame of {len(message)} bytes")
        version, _, _, _, _, seq, _ = HEADER.unpack_from(message)
        if version != VERSION:
            raise WireError(f"an audio frame of version {version}")
        if self.next == _UNKNOWN:
            if self.wish.attach:
                group.fault("order", f"chunk {seq} before stream.started")
            self.next = seq
        if seq != self.next:
            group.fault("lost" if seq > self.next else "again", f"chunk {seq}, where {self.next} was due")
        known = reference.messages.get(seq)
        if known is None:
            reference.add(seq, wire, message, now)
        elif known != message:
            group.fault("bytes", f"chunk {seq} is not what the others heard")
        else:
            reference.last[seq] = now
        self.next = seq + 1
        group.frames += 1
        group.size += len(wire)
        self.heard(now)

    # -- messages ------------------------------------------------------------------------------------------------------

    def _message(self, text: bytes) -> None:
        try:
            told = _told.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WireError(f"a message that cannot be read: {error}") from None
        if told.type == "stream.started":
            self._started(told)
        elif told.type == "stream.completed":
            self.ended = True
            if told.frames != self.next:
                self.group.fault("lost", f"the end came at {self.next} of {told.frames} chunks")
            self.group.over(self.reference, Claim(told.bytes, told.frames, told.sha256))
        elif told.type in ("stream.failed", "stream.gap", "error"):
            self.group.fault(told.type, text.decode())

    def _started(self, told: _Told) -> None:
        reference, group, since = self.reference, self.group, self.wish.since
        if reference.epoch is None:
            reference.epoch = told.epoch
        if told.epoch != reference.epoch:
            group.fault("epoch", f"epoch {told.epoch}, where others hear {reference.epoch}")
        if isinstance(since, int):
            group.recovered += told.recovered is True
            if told.recovered is not True or told.seq != since:
                group.fault("resume", f"at {since} was answered with {told.seq}, recovered: {told.recovered}")
        elif since == "start" and told.seq:
            group.fault("order", f"the start is at {told.seq}")
        self.next = told.seq
