"""What listeners ask at each door.

Invariant under test: the way, the key and the place to begin are in what is asked.
It must not know what is answered.
"""

import socket

import pytest

from gateway.bench.crowd.doors import Entrance, Since
from gateway.bench.crowd.group import Group
from gateway.bench.crowd.orders import Door
from gateway.bench.crowd.reference import Reference
from gateway.bench.crowd.websocket import WebSocketLine
from tests.support.crowd import Host

HERE = Entrance("http://127.0.0.1:4711", "secret")


@pytest.mark.parametrize(
    ("entrance", "door", "since", "asked", "attach"),
    [
        (HERE, "websocket", "live", b"GET /v1/ws HTTP/1.1", b'"since":"live"'),
        (HERE, "websocket", 2.5, b"Authorization: Bearer secret", b'"since":{"seconds_ago":2.5}'),
        (HERE, "websocket", 17, b"Sec-WebSocket-Protocol: wavegate.v1", b'"since":{"epoch":3,"seq":17}'),
        (Entrance("ws://127.0.0.1:9/live", ""), "peer", "live", b"GET /live HTTP/1.1", None),
        (HERE, "http", 1.5, b"GET /v1/streams/st_1/audio.mp3?since=1.5 HTTP/1.1", None),
        (Entrance("http://127.0.0.1:9/live", ""), "raw", "live", b"GET /live HTTP/1.1", None),
    ],
)
def test_what_is_asked(entrance: Entrance, door: Door, since: Since, asked: bytes, attach: bytes | None) -> None:
    """Built once for all who ask the same."""
    log = Reference()
    log.epoch = 3
    make = entrance.maker(Host(), Group("a"), log, door, "st_1", since)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        line = make(ours)
        assert asked in line.request
        said = line.wish.attach if isinstance(line, WebSocketLine) else b""
        assert attach in said if attach is not None else not said
        assert line.reference is log


def test_where_it_is() -> None:
    """Host and port."""
    assert HERE.address == ("127.0.0.1", 4711)
    assert Entrance("http://here/live", "").address == ("here", 80)
