"""A line that is read: what is left over, what breaks, and who is told.

Invariant under test: no byte is lost between two reads, and whatever breaks is counted once.
It must not know what is said on lines.
"""

import socket
from collections.abc import Iterator

import pytest

from gateway.bench.crowd.group import Group
from gateway.bench.crowd.line import BUFFER, VIEW, Line
from gateway.bench.crowd.reference import Reference
from gateway.bench.crowd.wire import WireError
from tests.support.crowd import Host, Partner


class Words(Line):
    """Takes lines of text."""

    __slots__ = ("words",)

    def __init__(self, host: Host, line: socket.socket) -> None:
        super().__init__(host, Group("a"), Reference(), line)
        self.words: list[bytes] = []
        self.take = self.read

    def read(self, size: int, now: float) -> int:
        stop = BUFFER.rfind(b"\n", 0, size) + 1
        self.words += bytes(VIEW[:stop]).splitlines()
        if b"bad" in self.words:
            raise WireError("a bad word")
        return stop


@pytest.fixture
def partner() -> Iterator[Partner[Words]]:
    made = Partner(Words)
    yield made
    made.close()


def test_what_is_cut_is_put_together(partner: Partner[Words]) -> None:
    """However it came."""
    partner.line.ready(1.0)
    partner.sends(b"one\ntw", b"o", b"\nthree\n")
    assert partner.line.words == [b"one", b"two", b"three"]
    assert partner.line.tail == b""


def test_more_than_the_buffer_holds_is_read_in_one_go(partner: Partner[Words]) -> None:
    """Since it will not be told again that there is more."""
    partner.server.setblocking(False)
    partner.line.tail = b"x" * (len(BUFFER) - 4)
    partner.sends(b"yz\nafter\n")
    assert [len(word) for word in partner.line.words] == [len(BUFFER) - 2, 5]


def test_a_broken_rule_ends_it(partner: Partner[Words]) -> None:
    """And is counted, once; a second close does nothing."""
    partner.sends(b"bad\n")
    partner.line.close()
    assert partner.line.group.faults.words == ["wire: a bad word"]
    assert partner.host.gone == [partner.line]
    assert partner.server.recv(1) == b""


@pytest.mark.parametrize(("ended", "faults"), [(False, {"cut": 1}), (True, {})])
def test_a_server_that_leaves(partner: Partner[Words], ended: bool, faults: dict[str, int]) -> None:
    """It may, once the song is over."""
    partner.line.ended = ended
    partner.server.close()
    partner.line.ready(1.0)
    assert partner.line.group.faults.counts == faults
    assert partner.line.group.gone == len(faults)


def test_a_connection_that_breaks(partner: Partner[Words]) -> None:
    """In reading and in writing."""
    partner.line.socket.shutdown(socket.SHUT_WR)
    partner.line.say(b"hello")
    assert partner.line.group.faults.words == ["cut: Broken pipe"]
    with socket.create_server(("127.0.0.1", 0)) as door:
        ours = socket.create_connection(door.getsockname())
        theirs, _ = door.accept()
        line = Words(Host(), ours)
        other = Words(Host(), theirs)
        other.close(reset=True)
        line.ready(1.0)
        assert line.group.faults.words == ["cut: Connection reset by peer"]


def test_a_server_that_does_not_read(partner: Partner[Words]) -> None:
    """Is one that cannot be talked to."""
    partner.line.say(bytes(8 << 20))
    assert partner.line.group.faults.words == ["cut: the server does not read"]


def test_silence_is_from_sound_to_sound(partner: Partner[Words]) -> None:
    """The wait for the first is none."""
    for moment in (5.0, 6.0, 9.0, 9.5):
        partner.line.heard(moment)
    assert partner.line.group.silence == 3.0
    assert (partner.line.group.joined, partner.line.group.last_joined_at) == (1, 5.0)
