"""Listeners that come and go as they please: some close, some break off and come back, some stop reading for a while.

Invariant: chance is a generator that was passed in, so one seed gives one course of events, as far as the machine's
times allow. Whoever comes back asks for exactly the chunk after the last that it heard, and must be given that one.
It must not know sockets, nor how bytes are checked.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from gateway.bench.crowd.doors import Since
from gateway.bench.crowd.line import Line
from gateway.bench.crowd.orders import Door
from gateway.bench.crowd.websocket import WebSocketLine

CHURN = "churn"  # the group of those who come and go
SINCE: tuple[str, ...] = ("start", "live", "ago")
_STAY_SECONDS = 20.0  # of a listener between two things that it does, in the mean
_AGO_SECONDS = 15.0
_STALL_SECONDS = (1.0, 6.0)
_HTTP_SHARE = 0.3
_SLOW_SHARE = 0.25  # of those who begin at the start: they take the song through a narrow window, and stall with it
_MOST_AT_ONCE = 64  # of those who come in one pass


class Place(Protocol):
    """What mayhem needs of a crowd."""

    def enter(self, door: Door, stream: str, since: Since, *, narrow: bool) -> Line:
        """A new listener: with a small window if `narrow`."""
        ...

    def listen(self, line: Line) -> None: ...

    def ignore(self, line: Line) -> None: ...


class Mayhem:
    """Keeps so many listeners at it. `counts` says how often each thing was done."""

    def __init__(self, random: Random) -> None:
        self.counts: dict[str, int] = {}
        self._random = random
        self._stalled: list[tuple[float, int, Line]] = []
        self._order = itertools.count()  # two stalls that end at one moment cannot be told apart otherwise
        self._owed = 0.0
        self._at: float | None = None
        self._streams: dict[Line, str] = {}
        self._slow: set[Line] = set()
        self._acts: Sequence[tuple[str, Callable[[Place, Line], None], int]] = (
            ("closed", self._close, 3),
            ("reset", self._reset, 3),
            ("resumed", self._resume, 4),
            ("stalled", self._stall, 4),
        )

    def act(self, place: Place, now: float, streams: Sequence[str], listeners: int) -> None:
        """What happens until `now`, with songs that are sung just now."""
        before, self._at = self._at, now
        self._wake(place, now)
        self._slow_down(place)
        lines = self._present()
        for _ in range(min(listeners - len(lines), _MOST_AT_ONCE)):
            self._come(place, streams)
        if before is None or not lines:
            return
        self._owed += (now - before) * len(lines) / _STAY_SECONDS
        names, does, weights = zip(*self._acts, strict=True)
        known = set(streams)
        while self._owed >= 1:
            self._owed -= 1
            line = self._random.choice(lines)
            (number,) = self._random.choices(range(len(names)), weights)
            if line.fd >= 0 and line.joined and self._streams[line] in known:
                does[number](place, line)

    def calm(self, place: Place) -> None:
        """Nothing happens any more: who had stopped reading reads on."""
        self._wake(place, math.inf)
        self._slow.clear()
        self._at = None

    # -- inside --------------------------------------------------------------------------------------------------------

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _present(self) -> list[Line]:
        """Who is there; who has heard the end makes room for somebody else."""
        for line in [line for line in self._streams if line.fd < 0 or line.ended]:
            del self._streams[line]
            self._slow.discard(line)
            line.close()
        return list(self._streams)

    def _come(self, place: Place, streams: Sequence[str]) -> None:
        random = self._random
        stream = random.choice(streams)
        door: Door = "http" if random.random() < _HTTP_SHARE else "websocket"
        since: Since = random.choice(SINCE)
        slow = since == "start" and random.random() < _SLOW_SHARE
        if since == "ago":
            since = round(random.uniform(0, _AGO_SECONDS), 3)
        line = place.enter(door, stream, since, narrow=slow)
        self._streams[line] = stream
        if slow:
            self._slow.add(line)
        self._count("joined")

    def _close(self, place: Place, line: Line) -> None:
        self._leave(line, reset=False)
        self._count("closed")

    def _reset(self, place: Place, line: Line) -> None:
        self._leave(line, reset=True)
        self._count("reset")

    def _leave(self, line: Line, *, reset: bool) -> str:
        self._slow.discard(line)
        line.ended = True  # of its own will
        line.close(reset=reset)
        return self._streams.pop(line)

    def _resume(self, place: Place, line: Line) -> None:
        """Breaks off, and is back at once. Over HTTP there is nothing to come back with."""
        if not isinstance(line, WebSocketLine):
            self._reset(place, line)
            return
        due = line.next
        stream = self._leave(line, reset=self._random.random() < 0.5)
        self._streams[place.enter("websocket", stream, due, narrow=False)] = stream
        self._count("resumed")

    def _stall(self, place: Place, line: Line) -> None:
        assert self._at is not None
        place.ignore(line)
        until = self._at + self._random.uniform(*_STALL_SECONDS)
        heapq.heappush(self._stalled, (until, next(self._order), line))
        self._count("stalled")

    def _slow_down(self, place: Place) -> None:
        """Those who take the song through a narrow window stop as soon as they have some of it."""
        for line in [line for line in self._slow if line.joined]:
            self._slow.discard(line)
            if line.fd >= 0 and not line.ended:
                self._stall(place, line)

    def _wake(self, place: Place, now: float) -> None:
        while self._stalled and self._stalled[0][0] <= now:
            _, _, line = heapq.heappop(self._stalled)
            if line.fd >= 0:
                place.listen(line)
