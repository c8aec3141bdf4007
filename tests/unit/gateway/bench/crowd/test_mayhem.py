"""Mayhem at a place of the test's own, with a clock of its own.

Invariant under test: so many are there as shall be, everything happens, and a seed decides what.
It must not know sockets beyond that lines have them.
"""

import socket
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from gateway.bench.crowd.doors import Entrance, Since
from gateway.bench.crowd.group import Group
from gateway.bench.crowd.line import Line
from gateway.bench.crowd.mayhem import Mayhem
from gateway.bench.crowd.orders import Door
from gateway.bench.crowd.reference import Reference
from gateway.bench.crowd.websocket import WebSocketLine
from tests.support.crowd import Host

STREAMS = ("st_1", "st_2")


class Place:
    """Whoever enters hears at once, and a WebSocket listener is due its 42nd chunk."""

    def __init__(self) -> None:
        self.host = Host()
        self.group = Group("churn")
        self.lines: list[Line] = []
        self.asked: list[tuple[Door, str, Since, bool]] = []
        self.ignored: list[Line] = []
        self.listened: list[Line] = []
        self._others: list[socket.socket] = []

    def enter(self, door: Door, stream: str, since: Since, *, narrow: bool) -> Line:
        ours, theirs = socket.socketpair()
        self._others.append(theirs)
        make = Entrance("http://127.0.0.1:1", "").maker(self.host, self.group, Reference(), door, stream, since)
        line = make(ours)
        line.joined = True
        if isinstance(line, WebSocketLine):
            line.next = 42
        self.lines.append(line)
        self.asked.append((door, stream, since, narrow))
        return line

    def listen(self, line: Line) -> None:
        self.listened.append(line)

    def ignore(self, line: Line) -> None:
        self.ignored.append(line)

    def present(self) -> list[Line]:
        return [line for line in self.lines if line.fd >= 0]

    def close(self) -> None:
        for line in self.lines:
            line.close()
        for other in self._others:
            other.close()


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.close()


def run(mayhem: Mayhem, place: Place, seconds: int) -> None:
    """Of its own clock."""
    for moment in range(seconds):
        mayhem.act(place, float(moment), STREAMS, 20)


def test_everything_happens_and_the_place_stays_full(place: Place) -> None:
    """At both doors, on all streams, from everywhere."""
    mayhem = Mayhem(Random(1))
    run(mayhem, place, 200)
    assert set(mayhem.counts) == {"joined", "closed", "reset", "resumed", "stalled"}
    assert 15 <= len(place.present()) <= 20
    asked = Counter(type(since) for _, _, since, _ in place.asked)
    assert {door for door, *_ in place.asked} == {"websocket", "http"}
    assert asked[str] > asked[float] > 0
    assert asked[int] == mayhem.counts["resumed"]
    assert {since for _, _, since, _ in place.asked if isinstance(since, int)} == {42}
    assert {since for _, _, since, narrow in place.asked if narrow} == {"start"}


def test_a_seed_decides(place: Place) -> None:
    """Everything."""
    one, other = Mayhem(Random(7)), Mayhem(Random(7))
    run(one, place, 60)
    half = len(place.asked)
    run(other, place, 60)
    assert place.asked[:half] == place.asked[half:]
    assert one.counts == other.counts


def test_who_stalls_reads_on(place: Place) -> None:
    """After a while, or when it is over."""
    mayhem = Mayhem(Random(1))
    run(mayhem, place, 60)
    assert len(place.ignored) == mayhem.counts["stalled"] > 0
    mayhem.calm(place)
    assert {line for line in place.ignored if line.fd >= 0} <= set(place.listened)
    mayhem.act(place, 500.0, STREAMS, 20)  # the time between is nobody's


def test_who_has_heard_the_end_makes_room(place: Place) -> None:
    """And so does who was cut."""
    mayhem = Mayhem(Random(1))
    mayhem.act(place, 0.0, STREAMS, 20)
    place.lines[0].ended = True
    place.lines[1].close()
    mayhem.act(place, 0.1, STREAMS, 20)
    assert len(place.present()) == 20
    assert place.lines[0].fd < 0


def test_songs_that_are_over_are_left_in_peace(place: Place) -> None:
    """Those who are there hear them to their ends."""
    mayhem = Mayhem(Random(1))
    mayhem.act(place, 0.0, ("st_1",), 20)
    for moment in range(1, 60):
        mayhem.act(place, float(moment), ("st_2",), 20)
    assert mayhem.counts == {"joined": 20, "stalled": len(place.ignored)}
