"""Tests of what is told of a stream beside its sound.

Invariant under test: all that is known is told, and nothing that is not.
It must not know who is told.
"""

from msgspec import UNSET

from gateway.relay.news import news
from tests.support.relay import Pipe, listen
from tests.support.server import new_stream


def test_what_is_known_is_told() -> None:
    """The words once there are some."""
    stream = new_stream()
    listen(stream.native, Pipe())
    told = news(stream)
    assert (told.stream_id, told.pts, told.listeners, told.title) == (stream.id, 0.0, 1, stream.title)
    assert told.lyrics is UNSET
    stream.lyrics = "La la"
    assert news(stream).lyrics == "La la"
