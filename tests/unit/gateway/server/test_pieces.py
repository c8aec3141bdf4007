"""Answers with a piece of a song that is there already.

Invariant under test: a piece is exactly those bytes, and whoever waits for a first sound does not wait for ever.
It must not know doors.
"""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.relay.outcome import Bill
from gateway.relay.since import FromStart
from gateway.relay.stream import Stream
from gateway.server.listening import offered
from gateway.server.pieces import SMALL_BYTES, FirstSound, at_once, cut, probed, small
from tests.support.relay import DETAILS, grow, new_channel, open_channel, until
from tests.support.server import new_stream


def whole(chunks: int) -> tuple[Stream, bytes]:
    """A song that is over, with a header of four bytes."""
    stream = new_stream()
    stream.native.open(DETAILS, b"HEAD", 1000.0)
    song = b"HEAD" + b"".join(grow(stream.native, chunks))
    stream.native.close(None, Bill(1.0, settled=True))
    return stream, song


@given(st.integers(0, 6), st.integers(0, 700), st.integers(0, 700))
def test_a_piece_is_those_bytes(begin: int, first: int, length: int) -> None:
    """Of the header and of any chunks, from whichever chunk one begins."""
    channel = new_channel()
    channel.open(DETAILS, b"HEAD", 1000.0)
    payloads = grow(channel, 5)
    assert cut(channel, begin, first, length) == (b"HEAD" + b"".join(payloads[begin:]))[first : first + length]


def test_what_is_no_longer_kept_is_missing_at_the_front() -> None:
    """A piece then begins with what is."""
    channel = open_channel(max_bytes=250)
    payloads = grow(channel, 5)
    assert cut(channel, 0, 0, 10_000) == b"".join(payloads[3:])
    assert cut(channel, 4, 0, 10_000) == payloads[4]


def test_a_small_part_is_answered_at_once_and_counts_as_sent() -> None:
    """With its length, by whoever writes the answer; what is too much for a socket, or has no end, is not small."""
    stream, song = whole(5)
    offer = offered({"Range": "bytes=2-105"}, stream, stream.native, FromStart())
    assert small(offer)
    response = at_once(offer)
    assert (response.status, response.body) == (206, song[2:106])
    assert response.headers["Content-Range"] == f"bytes 2-105/{len(song)}"
    assert stream.native.egress == 104
    stream, _ = whole(SMALL_BYTES // 100 + 1)
    assert not small(offered({}, stream, stream.native, FromStart()))
    assert not small(offered({}, new_stream(), new_stream().native, FromStart()))


def test_a_look_at_the_first_bytes_tells_the_length_once_there_is_one() -> None:
    """It counts as nothing; where there is no sound it is refused, for now."""
    stream, song = whole(5)
    response = probed(offered({}, stream, stream.native, FromStart()), 2)
    assert (response.body, response.headers["Content-Range"]) == (song[:2], f"bytes 0-1/{len(song)}")
    live = new_stream()
    with pytest.raises(UpstreamError) as caught:
        probed(offered({}, live, live.native, FromStart()), 2)
    assert (caught.value.code, caught.value.handling.status) == ("upstream_timeout", 504)
    live.native.open(DETAILS, b"", 1000.0)
    grow(live.native, 1)
    response = probed(offered({}, live, live.native, FromStart()), 1)
    assert (response.body, response.headers["Content-Range"]) == (b"0", "bytes 0-0/*")
    assert live.native.egress == 0


async def test_a_first_sound_is_waited_for_and_not_for_ever() -> None:
    """Until a chunk comes, the end, a fault, or the time is over; nobody is left behind in the channel."""
    for event in ("chunk", "end", "fault", "time"):
        channel = new_channel()
        waiter = FirstSound(channel)
        waiting = asyncio.create_task(waiter.wait(0.01 if event == "time" else 20.0))
        await until(lambda followers=channel.followers: bool(followers))  # type: ignore[misc]  # a lambda has no types
        waiter.tell(b"news")
        assert not waiting.done()
        if event == "chunk":
            channel.open(DETAILS, b"", 1000.0)
            grow(channel, 1)
        elif event == "end":
            channel.close(UpstreamError("upstream_empty", "Nothing came."), Bill(0.0, settled=True))
        elif event == "fault":
            waiter.fail()
        await asyncio.wait_for(waiting, 20.0)
        assert channel.followers == {}
