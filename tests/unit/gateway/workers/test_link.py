"""A worker's end of the line, with a real socket whose other end is the test's.

Invariant under test: what the supervisor says, and its death, are heard; a word that nobody hears is no error.
It must not know what a gateway is.
"""

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from gateway.errors import StartError
from gateway.workers import link as module
from gateway.workers.link import VARIABLE, Link, handed
from gateway.workers.messages import STOP
from tests.support.relay import within
from tests.support.server import soon


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5.0)
    yield ours, theirs
    ours.close()
    theirs.close()


async def test_both_sides_hear_each_other(pair: tuple[socket.socket, socket.socket]) -> None:
    """Its words in their order, and the supervisor's; a death is heard once the line ends."""
    ours, theirs = pair
    heard: list[str] = []
    link = Link(1, theirs, [])
    await link.open(lambda: heard.append("stop"), lambda: heard.append("now"))
    link.ready("http://a", "http://b")
    link.leaving()
    ours.send(b"something")
    ours.send(STOP)
    await soon(lambda: heard == ["now"])
    await within(link.close("page"))
    said = ours.recv(4096)
    assert said == (
        b'{"said":"ready","public":"http://a","internal":"http://b"}\n{"said":"leaving"}\n'
        b'{"said":"last","page":"page"}\n'
    )
    assert heard == ["now", "stop"]


async def test_a_supervisor_that_has_died_is_noticed(pair: tuple[socket.socket, socket.socket]) -> None:
    """The worker is to stop; whatever it says then is lost, and it can close."""
    ours, theirs = pair
    stop = asyncio.Event()
    link = Link(1, theirs, [])
    await link.open(stop.set, lambda: None)
    ours.close()
    await within(stop.wait())
    link.leaving()
    await within(link.close("page"))


async def test_a_supervisor_that_does_not_read_is_not_waited_for(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A last word that finds no room in the socket costs a moment, and no more."""
    monkeypatch.setattr(module, "_LAST_SECONDS", 0.05)
    ours, theirs = pair
    link = Link(1, theirs, [])
    await link.open(lambda: None, lambda: None)
    await within(link.close("x" * (4 << 20)))
    ours.close()
    await within(link._closed.wait())


async def test_one_that_was_never_opened_says_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    """No word is an error."""
    link = Link(1, pair[1], [])
    link.ready("a", "b")
    link._closed.set()
    await within(link.close("page"))


def test_what_was_handed_over_is_inherited(pair: tuple[socket.socket, socket.socket]) -> None:
    """The number and the sockets arrive as they were, and are passed on to nobody."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        files = [os.dup(one.fileno()) for one in (pair[1], door)]
        for file in files:
            os.set_inheritable(file, True)
        link = Link.inherited(handed(7, files[0], files[1:]))
        assert link is not None
        assert link.number == 7
        (inherited,) = link.sockets
        assert inherited.getsockname() == door.getsockname()
        assert not inherited.get_inheritable()
        inherited.close()
        link._control.close()


def test_without_a_supervisor_there_is_none() -> None:
    """A gateway that nobody supervises has no link."""
    assert Link.inherited({}) is None


@pytest.mark.parametrize("told", ["", "{}", "3", '{"number": 1, "control": 4711, "sockets": []}', '{"number": "x"}'])
def test_a_variable_that_is_none_of_ours_is_a_sentence(told: str) -> None:
    """Set by hand it starts nothing, and says so."""
    with pytest.raises(StartError, match=VARIABLE):
        Link.inherited({VARIABLE: told})
