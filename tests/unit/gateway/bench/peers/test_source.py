"""The source client, with a server of the test's own.

Invariant under test: the bytes are the song's, over and over, in pieces of the size that was asked for.
It must not know Icecast.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import pytest

from gateway.bench.peers.source import main, pieces
from gateway.bench.song import song


def test_the_song_begins_anew() -> None:
    """Without a gap, however long a piece is."""
    assert list(islice(pieces(b"abc", 2), 4)) == [b"ab", b"ca", b"bc", b"ab"]
    assert list(islice(pieces(b"abc", 7), 2)) == [b"abcabca", b"bcabcab"]


@contextmanager
def server(answer: bytes, wanted: int) -> Iterator[tuple[int, list[bytes]]]:
    """Answers one source, takes so many bytes, and hangs up; its port, and the request and the bytes."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(30)

        def serve() -> None:
            line, _ = door.accept()
            with line:
                line.settimeout(10)
                heard.append(line.recv(65536))
                line.sendall(answer)
                data = b""
                while len(data) < wanted:
                    data += line.recv(65536)
                heard.append(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield door.getsockname()[1], heard
        thread.join()


def test_sound_until_the_server_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """With the password, in MP3."""
    with server(b"HTTP/1.1 100 Continue\r\n\r\n", 5000) as (port, heard):
        main([str(port), "/live", "secret", "1000", "0.001"])
    assert heard[0].startswith(b"PUT /live HTTP/1.1\r\n")
    assert b"Authorization: Basic c291cmNlOnNlY3JldA==\r\n" in heard[0]
    assert b"Content-Type: audio/mpeg\r\n" in heard[0]
    assert song(10.0).data.startswith(heard[1][:5000])
    assert capsys.readouterr().out == "ready\n"


def test_a_refusal_is_told() -> None:
    """With the server's words."""
    refusal = b"HTTP/1.0 401 Authentication Required\r\n\r\n"
    with server(refusal, 0) as (port, _), pytest.raises(SystemExit, match=r"refused the source: .*401"):
        main([str(port), "/live", "wrong", "1000", "0.001"])
