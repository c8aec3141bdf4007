"""Many listeners, with a small server of the test's own at the other end.

Invariant under test: who has heard something and who is gone is known.
It must not know the gateway.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.bench.audience import Audience, join, order


@contextmanager
def server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answers one connection; its address, and what was asked."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(10)

        def serve() -> None:
            line, _ = door.accept()
            with line:
                line.settimeout(10)
                heard.append(line.recv(65536))
                line.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}", heard
        thread.join()


def reply(status: str, body: bytes) -> bytes:
    """An answer that closes the connection."""
    return b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def test_a_stream_is_ordered() -> None:
    """With the key; its id is given."""
    with server(reply("201 Created", b'{"id": "st_1"}')) as (url, heard):
        assert order(url, "secret", "a song") == "st_1"
    assert b"Authorization: Bearer secret" in heard[0]


def test_a_refusal_is_raised() -> None:
    """With its words."""
    with server(reply("429 Too Many", b'{"error": "full"}')) as (url, _), pytest.raises(OSError, match=r"429.*full"):
        order(url, "secret", "a song")


def test_who_hears_and_who_is_gone() -> None:
    """A body is heard, and its end is an end."""
    with server(reply("200 OK", b"sound")) as (url, heard):
        audience = Audience([join(url, "secret", "st_1", "ogg")])
        while not audience.gone:
            audience.read()
    assert len(audience.heard) == 1
    assert heard[0].startswith(b"GET /v1/streams/st_1/audio.ogg?since=live HTTP/1.1\r\n")
    audience.close()


def test_a_cut_line_is_gone() -> None:
    """A reset is no failure of the audience; those who are still there leave in the end."""
    ours, theirs = socket.socketpair()
    one, other = socket.socketpair()
    with theirs, other:
        audience = Audience([ours, one])
        ours.shutdown(socket.SHUT_RDWR)
        audience.read()
        assert audience.gone == 1
        audience.close()
        assert other.recv(1) == b""
