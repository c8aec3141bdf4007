"""Frames, heads and chunks, whole and cut anywhere, and what no server may send.

Invariant under test: what is cut is asked about again, what is wrong is refused by name.
It must not know lines.
"""

import struct

import pytest

from gateway.bench.crowd.wire import (
    BINARY,
    PING,
    TEXT,
    Chunk,
    Frame,
    Head,
    WireError,
    accept_of,
    chunk,
    client_frame,
    frame,
    head,
)
from tests.support.crowd import server_frame


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_frame_of_any_length_is_whole_with_its_last_byte(size: int) -> None:
    """In all three forms of the length, behind something else."""
    data = b"before" + server_frame(BINARY, bytes(size)) + b"behind"
    end = len(data) - 6
    assert frame(data, 6, end) == Frame(BINARY, True, end - size, end)
    for cut in {7, 8, 9, end - 1} - {end}:
        assert frame(data, 6, min(cut, end - 1)) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xc2\x00", "reserved bits"),
        (b"\x83\x00", "unknown kind 3"),
        (b"\x82\x80\0\0\0\0", "masked"),
        (b"\x89\x7e\0\x7e", "control frame"),
        (b"\x09\x00", "control frame"),
        (b"\x82\x7e\0\x7d", "longer than needed"),
        (b"\x82\x7f" + struct.pack(">Q", 65535), "longer than needed"),
        (b"\x82\x7f" + struct.pack(">Q", 1 << 40), "a frame of 1099511627776 bytes"),
    ],
)
def test_a_frame_that_no_server_may_send(data: bytes, words: str) -> None:
    """Is refused, whatever would follow."""
    with pytest.raises(WireError, match=words):
        frame(data, 0, len(data))


def test_parts_are_told_from_wholes() -> None:
    """The first part is not final."""
    assert frame(b"\x01\x01a", 0, 3) == Frame(TEXT, False, 2, 3)


@pytest.mark.parametrize("size", [0, 125, 126, 300])
def test_a_client_masks(size: int) -> None:
    """With a mask that changes nothing, so that what is said can be seen."""
    said = client_frame(PING, b"x" * size)
    assert said[1] & 0x80
    assert said.endswith(bytes(4) + b"x" * size)


def test_the_key_is_answered_as_the_standard_says() -> None:
    """With the example of RFC 6455."""
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_head_is_read() -> None:
    """Names in small letters, and where the body begins."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a:b\r\n\r\nhello"
    assert head(data, len(data)) == Head(200, {b"content-length": b"5", b"x": b"a:b"}, len(data) - 5)
    assert head(data, 20) is None


@pytest.mark.parametrize(("data", "words"), [(b"SSH-2.0\r\n\r\n", "not HTTP"), (b"x" * 70_000, "without end")])
def test_what_is_no_head(data: bytes, words: str) -> None:
    """Is refused."""
    with pytest.raises(WireError, match=words):
        head(data, len(data))


def test_chunks_are_read() -> None:
    """One with an extension, and the last one."""
    data = b"5;name=value\r\nhello\r\n0\r\n\r\n"
    assert chunk(data, 0, len(data)) == Chunk(14, 19, 21)
    assert chunk(data, 21, len(data)) == Chunk(24, 24, 26)
    assert [chunk(data, 0, end) for end in (1, 13, 20)] == [None, None, None]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"z\r\n", "no number"),
        (b"1" * 200, "without its size"),
        (b"fffffff\r\n", "a chunk of 268435455 bytes"),
        (b"1\r\nabc", "longer than it says"),
    ],
)
def test_what_is_no_chunk(data: bytes, words: str) -> None:
    """Is refused."""
    with pytest.raises(WireError, match=words):
        chunk(data, 0, len(data))
