"""A listener over HTTP whose server makes every mistake there is.

Invariant under test: bytes are compared at their own place of the song, also where nobody tells which that is.
It must not know the gateway.
"""

import socket
from collections.abc import Callable

import pytest

from gateway.bench.crowd.group import Group
from gateway.bench.crowd.http import HttpLine, wish
from gateway.bench.crowd.reference import Reference
from tests.support.crowd import HEAD, Host, audio, http_chunk, http_listener, message

A, B, C = b"a" * 1500, b"b" * 1500, b"c" * 700
END = http_chunk(b"")


def log(*payloads: bytes) -> Reference:
    """What others have heard."""
    made = Reference()
    for seq, payload in enumerate(payloads):
        made.add(seq, audio(seq, payload), message(seq, payload), 0.0)
    return made


def line(
    group: Group, reference: Reference, since: str | float = "start", *, checked: bool = True
) -> Callable[[Host, socket.socket], HttpLine]:
    """Makes such a listener."""
    wished = wish("here", "/a.mp3", "key", since, checked=checked)
    return lambda host, ours: HttpLine(host, group, reference, ours, wished)


def test_what_is_asked() -> None:
    """With the key and where to begin, of a gateway; of others the path alone."""
    assert wish("here:1", "/a.mp3", "secret", 2.5).request == (
        b"GET /a.mp3?since=2.5 HTTP/1.1\r\nHost: here:1\r\nAuthorization: Bearer secret\r\n\r\n"
    )
    assert (
        wish("here:1", "/live", "secret", "live", checked=False).request
        == b"GET /live HTTP/1.1\r\nHost: here:1\r\n\r\n"
    )


def test_a_song_in_one_piece_and_in_single_bytes() -> None:
    """Two listeners, of whom the second finds the first's chunks."""
    group, heard = Group("a"), log(A, B, C)
    body = HEAD + http_chunk(A) + http_chunk(B) + http_chunk(C) + END
    with http_listener(line(group, heard)) as one, http_listener(line(group, heard)) as other:
        one.sends(body)
        other.sends(*(body[at : at + 1] for at in range(len(body))), now=3.0)
        assert one.host.greetings == 1
    group.judge()
    assert (group.frames, group.ended, group.whole, group.faults.counts) == (6, 2, 2, {})
    assert heard.spreads(0.5) == [2.0, 2.0, 2.0]


def test_who_comes_in_the_midst_is_found() -> None:
    """Once enough has come to find it; what comes behind is compared at its place."""
    group, heard = Group("a"), log(A, B, C)
    with http_listener(line(group, heard, "live")) as one:
        one.sends(HEAD + http_chunk(B[:900]), http_chunk(B[900:]), http_chunk(C), END)
        assert one.line.offset == 3700
    group.judge()
    assert (group.whole, group.faults.counts) == (1, {})


def test_who_is_ahead_of_the_others_waits_for_them() -> None:
    """Nothing is believed before somebody else has heard it, and nothing is forgotten."""
    group, heard = Group("a"), log(A)
    with http_listener(line(group, heard)) as one:
        one.sends(HEAD + http_chunk(A), http_chunk(B))
        assert one.line.waiting == B
        heard.add(1, audio(1, B), message(1, B), 1.0)
        one.sends(http_chunk(C) + END)
        heard.add(2, audio(2, C), message(2, C), 1.0)
    group.judge()
    assert (group.whole, group.faults.counts) == (1, {})


@pytest.mark.parametrize(
    ("since", "came", "kind", "words"),
    [
        ("start", http_chunk(A) + http_chunk(B[:-1] + b"x") + http_chunk(C) + END, "bytes", "1500 bytes at 1500"),
        ("start", http_chunk(A) + http_chunk(C) + END, "bytes", "700 bytes at 1500"),
        ("start", http_chunk(A) + http_chunk(B) + END, "end", "3000 bytes, where everybody heard 3700"),
        ("start", http_chunk(A + B + C + b"x") + END, "end", "3701 bytes at the end"),
        ("live", http_chunk(b"x" * 1200) + END, "end", "1200 bytes at the end"),
        ("live", http_chunk(b"x" * 500_000) * 3, "wire", "nobody else heard"),
        ("start", b"zz\r\n", "wire", "no number"),
    ],
)
def test_whatever_is_wrong_is_counted(since: str, came: bytes, kind: str, words: str) -> None:
    """By its kind, in words."""
    group = Group("a")
    with http_listener(line(group, log(A, B, C), since)) as one:
        one.server.sendall(HEAD)
        one.line.ready(1.0)
        one.server.setblocking(False)
        sent = 0
        while sent < len(came):
            sent += one.server.send(came[sent : sent + 50_000])
            one.line.ready(1.0)
            if one.line.fd < 0:
                break
    group.judge()
    assert kind in group.faults.counts
    assert any(words in said for said in group.faults.words)


def test_a_refusal() -> None:
    """With its status; a head in two pieces is none yet."""
    group = Group("a")
    with http_listener(line(group, log())) as one:
        one.sends(b"HTTP/1.1 404 Not", b" Found\r\n\r\n")
    assert group.faults.words == ["wire: refused with 404"]


def test_a_finished_song_has_a_length() -> None:
    """Which is kept to."""
    group, heard = Group("a"), log(A, B)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n"
    with http_listener(line(group, heard)) as one, http_listener(line(group, heard)) as other:
        one.sends(head, A, B[:100], B[100:])
        other.sends(head + A + B + b"x")
    group.judge()
    assert (group.whole, group.faults.words) == (1, ["wire: a body that is longer than it says"])


def test_somebody_elses_song_is_counted_only() -> None:
    """Whatever its bytes are."""
    group = Group("a")
    with http_listener(line(group, Reference(), checked=False)) as one:
        one.sends(b"HTTP/1.0 200 OK\r\n\r\n", b"anything", b" at all")
    assert (group.size, group.joined, group.faults.counts) == (15, 1, {})


def test_a_server_that_leaves_before_the_end() -> None:
    """Has cut it, though all came."""
    group = Group("a")
    with http_listener(line(group, log(A))) as one:
        one.sends(HEAD + http_chunk(A))
        one.server.close()
        one.line.ready(1.0)
    assert group.faults.counts == {"cut": 1}
