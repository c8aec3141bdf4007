"""What everybody must hear of one stream: the log that whoever hears a chunk first writes, and all others are held to.

Invariant: what is in the log never changes. It is itself proven at the end, by the hash that the gateway tells of the
song: so a log in which the first listener was wrong is found, too. Only whole logs, from seq 0 on, are proven.
It must not know lines.
"""

import hashlib
from typing import NamedTuple

from gateway.protocol.frames import HEADER


class Claim(NamedTuple):
    """What a listener heard, or was told, when its song was over. Over HTTP the end is all that there is to compare.

    `rest` are last bytes that had not been compared by then; None is what is not known.
    """

    size: int | None
    frames: int | None = None
    sha256: str | None = None
    rest: bytes = b""


class Reference:
    """The log of one rendition.

    `wires` are whole WebSocket frames by seq, `chunks` whole chunks of HTTP by the offset of their sound in the song,
    each with the offset behind it. `first` and `last` are when somebody heard it first and last: the seq, or for who
    hears over HTTP the offset, is the key.
    """

    __slots__ = (
        "_digest",
        "_digested",
        "body",
        "chunks",
        "epoch",
        "first",
        "first_by_offset",
        "last",
        "last_by_offset",
        "messages",
        "starts",
        "wires",
    )

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.wires: dict[int, bytes] = {}
        self.messages: dict[int, bytes] = {}
        self.chunks: dict[int, tuple[bytes, int]] = {}
        self.first: dict[int, float] = {}
        self.last: dict[int, float] = {}
        self.first_by_offset: dict[int, float] = {}
        self.last_by_offset: dict[int, float] = {}
        self.body = bytearray()
        self.starts: list[int] = []
        self._digest = ""
        self._digested = -1

    def add(self, seq: int, wire: bytes, message: bytes, now: float) -> None:
        """A chunk that nobody has heard before; `message` is its header and payload."""
        self.wires[seq] = wire
        self.messages[seq] = message
        self.first[seq] = self.last[seq] = now
        while (following := self.messages.get(len(self.starts))) is not None:
            self.starts.append(len(self.body))
            self.body += memoryview(following)[HEADER.size :]

    def add_chunk(self, offset: int, wire: bytes, size: int, now: float) -> None:
        """A chunk of HTTP that carries the sound at `offset`, which the log holds already."""
        self.chunks[offset] = (wire, offset + size)
        self.first_by_offset[offset] = self.last_by_offset[offset] = now

    def doubt(self, claim: Claim) -> str | None:
        """What the log has against this claim, in words; None if it is as the log says."""
        if len(self.starts) != len(self.messages):
            return "nobody heard all of the song, so nothing is proven"
        if not self.body.endswith(claim.rest):
            return f"{len(claim.rest)} bytes at the end are not what the others heard"
        if claim.size is not None and claim.size != len(self.body):
            return f"{claim.size} bytes, where everybody heard {len(self.body)}"
        if claim.frames is not None and claim.frames != len(self.starts):
            return f"{claim.frames} frames, where everybody heard {len(self.starts)}"
        if claim.sha256 is not None and claim.sha256 != self.digest():
            return "its hash is not that of what everybody heard"
        return None

    def spreads(self, since: float) -> list[float]:
        """For each chunk that was first heard at `since` or later: seconds until everybody had heard it."""
        pairs = ((self.first, self.last), (self.first_by_offset, self.last_by_offset))
        return [lasts[key] - at for firsts, lasts in pairs for key, at in firsts.items() if at >= since]

    def digest(self) -> str:
        """SHA-256 of the joined payloads so far."""
        if self._digested != len(self.body):
            self._digest = hashlib.sha256(self.body).hexdigest()
            self._digested = len(self.body)
        return self._digest

    def find(self, data: bytes) -> int | None:
        """Where a chunk begins that sounds like `data`: the offset, looked for from the newest to the oldest."""
        for start in reversed(self.starts):
            if self.body.startswith(data, start):
                return start
        return None
