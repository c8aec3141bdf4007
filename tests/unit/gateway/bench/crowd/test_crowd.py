"""A crowd against a server in the same thread, which answers between its passes.

Invariant under test: orders are carried out with lines read all the while, and every order is answered in its time.
It must not judge what is heard: lines do that.
"""

import itertools
import json
import socket
from collections.abc import Callable, Iterator

import pytest

from gateway.bench.crowd import orders
from gateway.bench.crowd.crowd import Crowd
from gateway.bench.crowd.orders import Churned, Found, Join, Joined, Left
from tests.support.crowd import HEAD, WELCOME, audio, completed, http_chunk, started

SOUND = b"a" * 1200
_PASSES = 5000


class Gateway:
    """Answers whoever comes, at both doors, with one chunk; with the end, too, once it `ends`."""

    def __init__(self) -> None:
        self.door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.door.setblocking(False)
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        self.lines: list[tuple[socket.socket, list[bytes]]] = []
        self.most_greeting = 0
        self.attached: list[object] = []
        self.ends = False

    def serve(self) -> None:
        """What has come by now."""
        self.most_greeting = max(self.most_greeting, sum(bool(steps) for _, steps in self.lines))
        while True:
            try:
                line, _ = self.door.accept()
            except BlockingIOError:
                break
            line.setblocking(False)
            self.lines.append((line, [b"request"]))
        for line, steps in self.lines:
            try:
                came = line.recv(65536)
            except (BlockingIOError, ConnectionError):
                continue
            if came.startswith(b"GET /v1/ws"):
                line.sendall(WELCOME)
            elif came.startswith(b"GET"):
                line.sendall(HEAD + http_chunk(SOUND) + (http_chunk(b"") if self.ends else b""))
                steps.clear()
            elif came.startswith(b"\x81"):
                since = json.loads(came[came.index(b"{") :])["since"]
                self.attached.append(since)
                seq = since["seq"] if isinstance(since, dict) and "seq" in since else 0
                line.sendall(started(seq, recovered=True) + (b"" if seq else audio(0, SOUND)))
                line.sendall(completed(SOUND) if self.ends else b"")
                steps.clear()

    def close(self) -> None:
        for line, _ in self.lines:
            line.close()
        self.door.close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.close()


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    """With a clock that moves a hundredth of a second each time somebody looks at it, and no rest."""
    made = Crowd(clock=itertools.count(step=0.01).__next__, rest=0.0)  # type: ignore[arg-type] - whole numbers are no harm
    yield made
    made.close()


def done(crowd: Crowd, order: orders.Order, between: Callable[[], None]) -> object:
    """The answer to an order."""
    course = crowd.carry_out(order)
    for _ in range(_PASSES):
        try:
            next(course)
        except StopIteration as stop:
            return stop.value
        crowd.step()
        between()
    raise AssertionError("the order was never answered")


def join(url: str, count: int, **more: object) -> Join:
    """An order to come."""
    wish = {"group": "a", "door": "websocket", "key": "k", "streams": ("st_1",), "seconds": 50.0}
    return Join(url=url, count=count, **wish | more)  # type: ignore[arg-type] - each is of its field's type


def test_they_come_hear_the_end_and_leave(crowd: Crowd, gateway: Gateway) -> None:
    """Few at a time, over both doors; what is counted is counted from the mark."""
    gateway.ends = True
    came = done(crowd, join(gateway.url, 9, outstanding=3), gateway.serve)
    assert isinstance(came, Joined)
    assert came.joined == 9
    assert came.seconds > 0
    assert gateway.most_greeting <= 3
    assert done(crowd, orders.Mark(), gateway.serve) is None
    web = done(crowd, join(gateway.url, 2, group="b", door="http", since="start"), gateway.serve)
    assert isinstance(web, Joined)
    assert web.joined == 2
    found = done(crowd, orders.End(seconds=50), gateway.serve)
    assert isinstance(found, Found)
    assert (found.groups["a"].whole, found.groups["a"].frames, found.groups["a"].present) == (9, 0, 9)
    assert (found.groups["b"].whole, found.groups["b"].frames, found.groups["b"].faults) == (2, 1 + 1, {})
    assert len(found.spreads) == 1
    assert done(crowd, orders.Leave("a"), gateway.serve) == Left(9)
    assert done(crowd, orders.Leave("nobody"), gateway.serve) == Left(0)
    assert len(crowd.lines) == 2
    assert crowd.references
    assert done(crowd, orders.Leave("b"), gateway.serve) == Left(2)
    assert not crowd.references
    again = done(crowd, orders.Report(), gateway.serve)
    assert isinstance(again, Found)
    assert (again.groups["a"].whole, again.groups["b"].whole) == (9, 2)


def test_streams_are_given_listeners_in_turns(crowd: Crowd, gateway: Gateway) -> None:
    """So each has as many as the others."""
    done(crowd, join(gateway.url, 4, streams=("st_1", "st_2"), since="start"), gateway.serve)
    assert [len(log.first) for log in crowd.references.values()] == [1, 1]
    assert gateway.attached == ["start"] * 4


def test_who_is_not_let_in_is_not_waited_for(crowd: Crowd, gateway: Gateway) -> None:
    """A port where nobody is."""
    gateway.door.close()
    came = done(crowd, join(gateway.url, 3), lambda: None)
    assert came == Joined(0, 0.0)
    found = done(crowd, orders.Report(), lambda: None)
    assert isinstance(found, Found)
    assert found.groups["a"].faults == {"cut": 3}
    assert "no connection" in found.groups["a"].words[0]


def test_silence_is_not_waited_for_either(crowd: Crowd, gateway: Gateway) -> None:
    """After its time: a server that never answers, and a song that never ends."""
    assert done(crowd, join(gateway.url, 2, seconds=3.0), lambda: None) == Joined(0, 0.0)
    done(crowd, join(gateway.url, 1, group="b"), gateway.serve)
    found = done(crowd, orders.End(seconds=3.0), gateway.serve)
    assert isinstance(found, Found)
    assert found.groups["b"].ended == 0
    assert found.groups["b"].silence > 0


def test_they_come_and_go(crowd: Crowd, gateway: Gateway) -> None:
    """As mayhem wants it: who comes back asks for what is due."""
    churn = orders.Churn(url=gateway.url, key="k", streams=("st_1",), listeners=30, seconds=30.0, seed=1)
    assert isinstance(done(crowd, churn, gateway.serve), Churned)
    again = done(crowd, churn, gateway.serve)
    assert isinstance(again, Churned)
    assert again.counts["resumed"] > 0
    assert {"epoch": 7, "seq": 1} in gateway.attached
    found = done(crowd, orders.Report(), gateway.serve)
    assert isinstance(found, Found)
    assert set(found.groups["churn"].faults) <= {"wire"}
