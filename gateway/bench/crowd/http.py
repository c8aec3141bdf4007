"""A listener over HTTP: the head, and a body, chunked or with a length, held byte by byte against what everybody hears.

Invariant: every byte is compared with the song at its own offset. Who begins in the midst of it is told no offset, so
its first bytes are looked for; what comes before anybody has heard it elsewhere waits until somebody has.
It must not know who else listens.
"""

import socket
from dataclasses import dataclass

from gateway.bench.crowd.group import Group
from gateway.bench.crowd.line import BUFFER, VIEW, Host, Line
from gateway.bench.crowd.reference import Claim, Reference
from gateway.bench.crowd.wire import WireError, chunk, head

_UNKNOWN = -1
_ENOUGH_TO_FIND = 1000  # bytes: what is shorter may be anywhere
_MOST_WAITING = 1 << 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What is said at the door. `checked` is False where only bytes are counted: the song is not one of ours."""

    request: bytes
    from_start: bool
    checked: bool = True


def wish(host: str, path: str, key: str, since: str | float, *, checked: bool = True) -> Wish:
    """The wish for a stream of a gateway, or unchecked for whatever a server sends."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}"]
    if checked:
        lines = [f"GET {path}?since={since} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {key}"]
    return Wish("\r\n".join([*lines, "", ""]).encode(), since == "start", checked)


class HttpLine(Line):
    """`offset` is that of the byte that is due, `_UNKNOWN` until it has been found."""

    __slots__ = ("due", "offset", "waiting", "wish")

    def __init__(self, host: Host, group: Group, reference: Reference, line: socket.socket, wished: Wish) -> None:
        super().__init__(host, group, reference, line)
        self.wish = wished
        self.offset = 0 if wished.from_start else _UNKNOWN
        self.waiting = b""
        self.due = 0  # bytes of a body whose length was told
        self.take = self._answered

    @property
    def request(self) -> bytes:
        return self.wish.request

    # -- phases --------------------------------------------------------------------------------------------------------

    def _answered(self, size: int, now: float) -> int:
        """The head. The body is left where it is, for the next phase to read."""
        answer = head(BUFFER, size)
        if answer is None:
            return 0
        if answer.status != 200:
            raise WireError(f"refused with {answer.status}")
        self.host.greeted(self)
        if not self.wish.checked:
            self.take = self._counted
        elif answer.headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            self.take = self._chunked
        else:
            self.due = int(answer.headers.get(b"content-length", b"0"))
            self.take = self._plain
        rest = size - answer.stop
        if not rest:
            return size
        BUFFER[:rest] = bytes(VIEW[answer.stop : size])
        left = bytes(VIEW[self.take(rest, now) : rest]) if self.fd >= 0 else b""
        BUFFER[size - len(left) : size] = left
        return size - len(left)

    def _counted(self, size: int, now: float) -> int:
        """Of somebody else's song bytes are counted, nothing more."""
        self.group.size += size
        self.heard(now)
        return size

    def _chunked(self, size: int, now: float) -> int:
        """Chunks. The first loop takes those that another listener has had at the same place of the song."""
        reference, group = self.reference, self.group
        chunks, last = reference.chunks, reference.last_by_offset
        at, offset, count = 0, self.offset, 0
        if not self.waiting:
            while (known := chunks.get(offset)) is not None and BUFFER.startswith(known[0], at, size):
                at += len(known[0])
                last[offset] = now
                offset = known[1]
                count += 1
        if count:
            self.offset = offset
            group.frames += count
            group.size += at
            self.heard(now)
        while at < size:
            found = chunk(BUFFER, at, size)
            if found is None:
                break
            if found.start == found.stop:
                self._over()
                return size
            begin, data = self.offset, bytes(VIEW[found.start : found.stop])
            group.frames += 1
            group.size += found.after - at
            self.heard(now)
            if self._placed(data) and begin != _UNKNOWN and begin not in chunks:
                reference.add_chunk(begin, bytes(VIEW[at : found.after]), len(data), now)
            at = found.after
        return at

    def _plain(self, size: int, now: float) -> int:
        """A finished song, with a length."""
        self.due -= size
        if self.due < 0:
            raise WireError("a body that is longer than it says")
        self.group.size += size
        self.heard(now)
        self._placed(bytes(VIEW[:size]))
        if not self.due:
            self._over()
        return size

    # -- comparing -----------------------------------------------------------------------------------------------------

    def _placed(self, data: bytes) -> bool:
        """Compares the next bytes; whether that is done, and with them alone."""
        alone = not self.waiting
        data = self.waiting + data
        self.waiting = b""
        reference = self.reference
        if self.offset == _UNKNOWN:
            found = reference.find(data) if len(data) >= _ENOUGH_TO_FIND else None
            if found is None:
                self._wait(data)
                return False
            self.offset = found
        if self.offset + len(data) > len(reference.body):
            self._wait(data)
            return False
        if not reference.body.startswith(data, self.offset):
            self.group.fault("bytes", f"{len(data)} bytes at {self.offset} are not what the others heard")
            alone = False
        self.offset += len(data)
        return alone

    def _wait(self, data: bytes) -> None:
        if len(data) > _MOST_WAITING:
            raise WireError("a body that nobody else heard")
        self.waiting = data

    def _over(self) -> None:
        self.ended = True
        if self.waiting:
            self._placed(b"")
        size = None if self.offset == _UNKNOWN else self.offset + len(self.waiting)
        self.group.over(self.reference, Claim(size, rest=self.waiting))
