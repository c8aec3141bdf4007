"""The bounded parser, over aiohttp's own: heads up to their size, whatever comes in whatever pieces.

Invariant under test: what is kept of a head that never ends is bounded; bodies and requests in a queue are not heads.
It must not know connections.
"""

import asyncio
from typing import cast

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import HttpRequestParser
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE

from gateway.server.malformed import AddressTooLong, HeadTooLarge
from gateway.server.parser import MOST_HEADERS, SLICE_BYTES, BoundedParser

ADDRESS, HEAD = 1000, 3000


def parser() -> BoundedParser:
    loop = asyncio.get_running_loop()
    inner = HttpRequestParser(
        BaseProtocol(loop),
        loop,
        65536,
        max_line_size=ADDRESS,
        max_headers=MOST_HEADERS,
        max_field_size=HEAD,
        max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
    )
    return BoundedParser(inner, ADDRESS, HEAD)


def request(path: str = "/", *headers: str, body: bytes = b"") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_a_head_of_the_largest_size_is_taken() -> None:
    """In one piece or octet by octet; one more byte is too much when it comes before the end of the head."""
    empty = len(request("/", "X: "))
    said = request("/", "X: " + "a" * (HEAD - empty))
    assert len(said) == HEAD
    assert len(parser().feed_data(said)[0]) == 1
    slow = parser()
    assert sum(len(slow.feed_data(said[at : at + 1])[0]) for at in range(HEAD)) == 1
    slow = parser()
    for octet in said[: HEAD - 2] + b"Y:":
        slow.feed_data(bytes([octet]))
    with pytest.raises(HeadTooLarge):
        slow.feed_data(b" ")


async def test_many_headers_each_of_which_is_short_enough() -> None:
    """Together they are too much, long before their number is."""
    lines = [f"X-{at}: {100 * 'a'}" for at in range(100)]
    with pytest.raises(HeadTooLarge):
        parser().feed_data(request("/", *lines)[:-2] + SLICE_BYTES * b"a")


async def test_too_many_headers() -> None:
    """However short."""
    with pytest.raises(HeadTooLarge):
        parser().feed_data(request("/", *["A: b"] * (MOST_HEADERS + 1)))


@pytest.mark.parametrize(("size", "fits"), [(ADDRESS, True), (ADDRESS + 1, False)])
async def test_the_longest_address(size: int, *, fits: bool) -> None:
    """One more is told apart from a header that is too long."""
    said = request("/" + "a" * (size - 1))
    if fits:
        assert len(parser().feed_data(said)[0]) == 1
        return
    with pytest.raises(AddressTooLong):
        parser().feed_data(said)


async def test_a_header_that_is_too_long() -> None:
    with pytest.raises(HeadTooLarge):
        parser().feed_data(request("/", "X: " + "a" * HEAD))


async def test_what_is_no_request() -> None:
    """It has the words of aiohttp, once; what comes behind it is dropped."""
    bounded = parser()
    with pytest.raises(BadHttpMessage) as error:
        bounded.feed_data(b"\x00\r\n\r\n")
    assert bounded.feed_data(1000 * request()) == ([], False, b"")
    assert not isinstance(error.value, AddressTooLong | HeadTooLarge)


async def test_a_body_is_no_head() -> None:
    """However long, in whatever pieces; the next request has all of its size again."""
    bounded, body = parser(), 20 * HEAD * b"x"
    said = request(body=body)
    messages = []
    for at in range(0, len(said), 700):
        messages += bounded.feed_data(said[at : at + 700])[0]
    assert len(messages) == 1
    assert messages[0][1].is_eof()
    assert await messages[0][1].read() == body
    bounded.message_consumed()
    assert len(bounded.feed_data(request("/", "X: " + "a" * (HEAD - 200)))[0]) == 1


async def test_requests_in_a_queue_are_not_a_head() -> None:
    """Very many at once: all are read, as the first are answered."""
    bounded, number = parser(), 10 * MAX_MSG_QUEUE_SIZE
    found = len(bounded.feed_data(number * request())[0])
    assert found < number
    while found < number:
        bounded.message_consumed()
        found += len(bounded.feed_data(b"")[0])
    assert found == number


async def test_octets_behind_an_upgrade_are_handed_back() -> None:
    """All of them, in order, also those of later slices."""
    said = request("/", "Connection: Upgrade", "Upgrade: websocket").replace(b"Content-Length: 0\r\n", b"")
    tail = bytes(range(256)) * (SLICE_BYTES // 64)
    messages, upgraded, rest = parser().feed_data(said.replace(b"POST", b"GET") + tail)
    assert (len(messages), upgraded, rest) == (1, True, tail)


async def test_all_else_is_the_parsers_own() -> None:
    bounded = parser()
    bounded.set_upgraded(False)
    assert cast("object", bounded.feed_eof()) is None
