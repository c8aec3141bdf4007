"""What a crowd is told to do, and what it answers: one JSON document a line, one answer an order, in turns.

Invariant: every order has a time after which it is answered, with what was reached by then.
It must not know how an order is carried out.
"""

from typing import Literal

import msgspec

Door = Literal["websocket", "http", "peer", "raw"]


class Join(msgspec.Struct, tag="join", tag_field="order", frozen=True, kw_only=True):
    """`count` listeners come, one stream after the other, at most `outstanding` of them in their handshakes.

    At the doors `websocket` and `http` of a gateway `url` is its base; `peer` and `raw` are other servers' addresses:
    WebSocket messages that begin with our header, or bytes that are only counted.
    Answered when all have been given sound, or `seconds` are over.
    """

    group: str
    door: Door
    url: str
    count: int
    key: str = ""
    streams: tuple[str, ...] = ("",)
    extension: str = "mp3"
    since: str | float = "live"
    outstanding: int = 256
    seconds: float = 60.0


class Mark(msgspec.Struct, tag="mark", tag_field="order", frozen=True):
    """Counting begins anew."""


class Report(msgspec.Struct, tag="report", tag_field="order", frozen=True):
    """What came since the mark."""


class End(msgspec.Struct, tag="end", tag_field="order", frozen=True, kw_only=True):
    """Answered with a report when everybody's song is over, or `seconds` are over."""

    seconds: float


class Leave(msgspec.Struct, tag="leave", tag_field="order", frozen=True):
    """All listeners of a group leave at once."""

    group: str


class Churn(msgspec.Struct, tag="churn", tag_field="order", frozen=True, kw_only=True):
    """For `seconds`, `listeners` come and go on these streams as chance wants it, at both doors. The group is `churn`.

    Ordered again it goes on with whoever is there. Answered when the time is over; who had stopped reading reads on.
    """

    url: str
    key: str
    streams: tuple[str, ...]
    listeners: int
    seconds: float
    seed: int
    extension: str = "mp3"


Order = Join | Mark | Report | End | Leave | Churn


class Joined(msgspec.Struct, frozen=True):
    """How many of those who came were given sound, and seconds from the first's coming to the last's first sound."""

    joined: int
    seconds: float


class Group(msgspec.Struct, frozen=True):
    """`frames`, `size` in bytes on the wire and `silence` in seconds are since the mark; the rest is of all time, and
    `heard` are the frames of all time.

    `present` are there now; `ended` have heard an end, `whole` the right one.
    """

    frames: int
    heard: int
    size: int
    silence: float
    present: int
    joined: int
    ended: int
    whole: int
    gone: int
    recovered: int
    faults: dict[str, int]
    words: list[str]


class Found(msgspec.Struct, frozen=True):
    """A report. Seconds: of the wall, of this process's processor, and for each chunk from its first to its last
    listener. `pause` is the longest time between two looks at the sockets.
    """

    wall: float
    cpu: float
    pause: float
    spreads: list[float]
    groups: dict[str, Group]


class Left(msgspec.Struct, frozen=True):
    """How many have left."""

    left: int


class Churned(msgspec.Struct, frozen=True):
    """How often each thing was done, since the first order."""

    counts: dict[str, int]


Answer = Joined | Found | Left | Churned | None

decoder = msgspec.json.Decoder(Order)
encode = msgspec.json.Encoder().encode
