"""Joined segments that are kept for the next who asks.

Invariant under test: bounded in bytes, the last asked for first; a tag depends on bytes alone.
It must not know who asks.
"""

from gateway.model import Flag
from gateway.relay.channel import Channel
from gateway.relay.segments import FRAME, Segments
from gateway.server.hls.shelf import Shelf, etag_of
from tests.support.relay import new_channel
from transcode.formats import MP4, StreamFormat


def song(chunks: int) -> Channel:
    channel = new_channel(form=MP4)
    channel.open(StreamFormat(MP4, 48000, 2, 128_000), b"init", 1000.0)
    for number in range(chunks):
        channel.append(b"%010d" % number, 5 * FRAME, Flag.RANDOM_ACCESS, 1000.0)
    return channel


def test_everybody_gets_the_same_object() -> None:
    """Joined once; and the tag is that of the bytes, in any stream."""
    segments, shelf = Segments.of(song(18)), Shelf()
    first, second = segments.kept
    body, tag = shelf.take(segments, first)
    assert body == segments.read(first)
    assert shelf.take(segments, first)[0] is body
    assert tag == etag_of(body) != shelf.take(segments, second)[1]
    again = Segments.of(song(18))
    assert shelf.take(again, again.kept[0])[1] == tag


def test_it_is_bounded_in_bytes() -> None:
    """What nobody has asked for the longest time goes; one is kept, however large."""
    segments = Segments.of(song(45))
    shelf = Shelf(200)
    zero, one, two, *_ = segments.kept
    body, _ = shelf.take(segments, zero)
    shelf.take(segments, one)
    assert shelf.size == 180
    shelf.take(segments, zero)
    shelf.take(segments, two)
    assert shelf.size == 180
    assert shelf.take(segments, zero)[0] is body
    small = Shelf(1)
    small.take(segments, zero)
    small.take(segments, one)
    assert small.size == 90
