"""A listener over WebSocket whose server makes every mistake there is.

Invariant under test: what is right is counted, and nothing that is wrong goes through, whoever heard it first.
It must not know the gateway.
"""

import pytest

from gateway.bench.crowd.group import Group
from gateway.bench.crowd.reference import Reference
from gateway.bench.crowd.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame
from tests.support.crowd import (
    WELCOME,
    audio,
    completed,
    listener,
    message,
    server_frame,
    started,
    told,
)

A, B, C = b"a" * 300, b"b" * 300, b"c" * 300


def test_a_song_in_one_piece_and_in_single_bytes() -> None:
    """Two listeners, of whom the second is compared with the first, and both are told the right hash."""
    group, log = Group("a"), Reference()
    song = started() + audio(0, A) + audio(1, B) + completed(A, B)
    with listener(group, log, greeted=False) as one, listener(group, log) as other:
        one.sends(WELCOME + song + told("stream.metadata", pts=1.0))
        assert b'"stream.attach"' in one.server.recv(4096)
        other.sends(*(song[at : at + 1] for at in range(len(song))), now=2.0)
        group.judge()
        assert (one.host.greetings, one.line.next, other.line.next) == (1, 2, 2)
    assert (group.frames, group.whole, group.faults.counts) == (4, 2, {})
    assert group.size == 2 * len(audio(0, A) + audio(1, B))
    assert log.spreads(0.0) == [1.0, 1.0]


def test_a_handshake_with_the_beginning_of_a_frame_behind_it() -> None:
    """The rest comes later, and is put behind it."""
    group = Group("a")
    with listener(group, Reference(), greeted=False) as one:
        one.sends(WELCOME[:30], WELCOME[30:] + started() + audio(0, A)[:5], audio(0, A)[5:])
        assert (one.line.next, group.frames, group.faults.counts) == (1, 1, {})


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: no\r\n\r\n"],
)
def test_a_handshake_that_is_refused(answer: bytes) -> None:
    """Or that answers somebody else's key."""
    group = Group("a")
    with listener(group, Reference(), greeted=False) as one:
        one.sends(answer)
    assert group.faults.counts == {"wire": 1}


@pytest.mark.parametrize(
    ("came", "kind", "words"),
    [
        (audio(0, A) + audio(2, C), "lost", "chunk 2, where 1 was due"),
        (audio(0, A) + audio(0, A), "again", "chunk 0, where 1 was due"),
        (audio(0, A) + audio(1, B[:-1] + b"x"), "bytes", "chunk 1 is not what the others heard"),
        (audio(0, A) + audio(1, B[:-1]), "bytes", "chunk 1 is not what the others heard"),
        (audio(0, A) + audio(1, C) + audio(2, C), "bytes", "chunk 1 is not what the others heard"),
        (server_frame(BINARY, b"short"), "wire", "an audio frame of 5 bytes"),
        (server_frame(BINARY, message(0, A, version=2)), "wire", "an audio frame of version 2"),
        (server_frame(TEXT, b"no json"), "wire", "a message that cannot be read"),
        (audio(0, A) + completed(A, B, C), "lost", "the end came at 1 of 3 chunks"),
        (told("stream.gap", from_seq=0, to_seq=1), "stream.gap", "from_seq"),
        (told("stream.failed", error={"code": "x"}), "stream.failed", "code"),
        (told("error", error={"code": "stream_not_found"}), "error", "stream_not_found"),
        (server_frame(CLOSE, b"\x10\x06too slow"), "cut", "closed with 4102: too slow"),
        (started(epoch=8), "epoch", "epoch 8, where others hear 7"),
        (started(seq=1), "order", "the start is at 1"),
    ],
)
def test_whatever_is_wrong_is_counted(came: bytes, kind: str, words: str) -> None:
    """By its kind, in words, when others have heard it rightly before."""
    right, group, log = Group("right"), Group("wrong"), Reference()
    with listener(right, log) as one, listener(group, log) as other:
        one.sends(started() + audio(0, A) + audio(1, B) + audio(2, C))
        other.sends(started() + came)
    assert right.faults.counts == {}
    assert kind in group.faults.counts
    assert any(words in said for said in group.faults.words)


def test_a_first_listener_that_heard_wrongly_is_found_out() -> None:
    """By the hash, for it is what the others are compared with."""
    group, log = Group("a"), Reference()
    with listener(group, log) as one:
        one.sends(started() + audio(0, B) + completed(A))
        group.judge()
    assert (group.whole, group.faults.counts) == (0, {"end": 1})


def test_a_hash_that_is_wrong() -> None:
    """Though every byte was right."""
    group, log = Group("a"), Reference()
    with listener(group, log) as one:
        one.sends(started() + audio(0, A) + completed(A, sha256="0" * 64))
        group.judge()
    assert (group.whole, group.faults.counts) == (0, {"end": 1})


def test_sound_that_was_not_announced() -> None:
    """From a gateway it is a mistake, from a bare server it is what is expected."""
    group, bare = Group("a"), Group("b")
    with listener(group, Reference()) as one, listener(bare, Reference(), "live", attach=False) as other:
        one.sends(audio(4, A))
        other.sends(audio(4, A) + audio(5, B) + audio(7, B))
    assert group.faults.counts == {"order": 1}
    assert bare.faults.counts == {"lost": 1}
    assert bare.frames == 3


def test_who_comes_back_gets_what_is_due() -> None:
    """And is told so; anything else is counted."""
    group, log = Group("a"), Reference()
    with listener(group, log, 5) as one, listener(group, log, 5) as two, listener(group, log, 5) as three:
        one.sends(started(5, recovered=True))
        two.sends(started(6, recovered=True))
        three.sends(started(5, recovered=False))
    assert group.recovered == 2
    assert group.faults.counts == {"resume": 2}


def test_a_ping_is_answered() -> None:
    """With what it said."""
    with listener(Group("a"), Reference()) as one:
        one.server.recv(4096)
        one.sends(server_frame(PING, b"there?"))
        assert one.server.recv(4096) == client_frame(PONG, b"there?")


def test_a_message_in_parts() -> None:
    """Is put together, with a ping between them, and is compared like any other."""
    group, log = Group("a"), Reference()
    parts = (
        server_frame(BINARY, message(0, A)[:50], first=0),
        server_frame(PING, b""),
        server_frame(CONTINUATION, message(0, A)[50:100], first=0),
        server_frame(CONTINUATION, message(0, A)[100:]),
    )
    with listener(group, log) as one, listener(group, log) as other:
        one.sends(started(), *parts)
        other.sends(started() + audio(0, A))
    assert (group.frames, group.faults.counts) == (2, {})


def test_a_server_that_is_gone_when_it_is_answered() -> None:
    """Ends the reading."""
    group = Group("a")
    with listener(group, Reference(), greeted=False) as one:
        one.server.sendall(WELCOME + started())
        one.server.close()
        one.line.ready(1.0)
        one.line.ready(1.0)
    assert group.gone == 1
