"""The sockets of the public port: real ones, with real connections to them.

Invariant under test: places share one port, nobody else gets a part of it, and what waits at a socket stays there for
as long as somebody holds it. It must not know who works.
"""

import socket
from collections.abc import Iterator

import pytest

from gateway.errors import StartError
from gateway.workers.listening import Listening, port_taken


@pytest.fixture
def doors() -> Iterator[Listening]:
    made = Listening("127.0.0.1", 0, 2)
    yield made
    made.close()


def call(port: int, times: int = 1) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port), timeout=5.0) for _ in range(times)]


def accept_all(one: socket.socket) -> int:
    """How many wait there; they are hung up on."""
    count = 0
    while True:
        try:
            one.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_a_port_is_shared_evenly(doors: Listening) -> None:
    """The kernel gives each of two places about half of 400 connections, and all of them come."""
    held = [doors.take(place)[0] for place in range(2)]
    assert {one.getsockname()[1] for one in held} == {doors.port}
    for one in held:
        one.listen(512)
    lines = call(doors.port, 400)
    counts = [accept_all(one) for one in held]
    assert sum(counts) == 400
    assert min(counts) > 130  # 7 standard deviations
    for line in lines:
        line.close()


def test_what_waits_is_the_next_workers(doors: Listening) -> None:
    """A worker's own copy closes, as in its death: who has not been accepted yet is, by whoever holds the socket."""
    (ours,) = doors.take(0)
    copy = ours.dup()
    copy.listen(16)
    (line,) = call(doors.port)
    copy.close()
    assert doors.take(0) == [ours]
    assert accept_all(ours) == 1
    line.close()


def test_a_place_that_is_released_is_the_others(doors: Listening) -> None:
    """All connections go to those that are left; taken again, it has a new socket at the same port."""
    first, second = (doors.take(place)[0] for place in range(2))
    for one in (first, second):
        one.listen(64)
    doors.release(0)
    doors.release(0)
    assert first.fileno() == -1
    lines = call(doors.port, 20)
    assert accept_all(second) == 20
    (again,) = doors.take(0)
    assert again.getsockname()[1] == doors.port
    for line in lines:
        line.close()


def test_sockets_of_somebody_else_are_all_places() -> None:
    """Each place has all of them, a release lets none go, and the close all."""
    given = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    doors = Listening.adopted(given)
    assert doors.port == given[0].getsockname()[1]
    assert doors.take(1) == doors.take(2) == given
    doors.release(1)
    assert doors.take(1) == given
    call(doors.port)[0].close()
    doors.close()
    assert [one.fileno() for one in given] == [-1, -1]


def test_a_port_is_not_shared_with_strangers(doors: Listening) -> None:
    """Another gateway of the same user is told that the port is taken, though the kernel would let it in."""
    doors.take(0)[0].listen(1)
    with pytest.raises(OSError, match="in use"):
        Listening("127.0.0.1", doors.port, 2)


def test_a_free_port_that_is_named_is_had() -> None:
    """The look whether somebody is there leaves nothing behind."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    doors = Listening("127.0.0.1", port, 2)
    assert doors.port == port
    doors.close()


def test_all_addresses_of_a_host_are_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with two addresses has two sockets a place, all at one port; one that cannot be bound leaves none."""
    if not socket.has_ipv6:
        pytest.skip("without IPv6")
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: both)
    try:
        doors = Listening("localhost", 0, 2)
    except OSError:
        pytest.skip("without an IPv6 loopback")
    assert [one.family for one in doors.take(1)] == [socket.AF_INET, socket.AF_INET6]
    assert {one.getsockname()[1] for place in (0, 1) for one in doors.take(place)} == {doors.port}
    doors.close()


def test_an_address_that_is_none_of_ours_leaves_nothing() -> None:
    """What cannot be bound is the system's error, and no socket stays open."""
    with pytest.raises(OSError, match="assign"):
        Listening("192.0.2.1", 0, 2)


def test_a_system_without_shared_ports_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process works there; several are refused in words."""
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(StartError, match="SO_REUSEPORT"):
        Listening("127.0.0.1", 0, 2)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(98, "in use"), "the port is taken. Choose others with --port and --internal-port."),
        (OSError(13, "Permission denied"), "Permission denied."),
        (OSError(), "the address cannot be used."),
    ],
)
def test_a_port_that_cannot_be_had_is_a_sentence(error: OSError, words: str) -> None:
    """It names both addresses and says what to do, or what the system says."""
    assert port_taken(error, "127.0.0.1:1", "127.0.0.1:2") == f"cannot listen on 127.0.0.1:1 or 127.0.0.1:2: {words}"
