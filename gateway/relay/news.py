"""What listeners are told of a stream beside its sound: how far it is, who else hears it, its title and its words.

Invariant: the words are told as soon as they are known, to those who are here and to everybody who comes later.
It must not know when it is told, or to whom.
"""

from typing import Protocol

from gateway.model import StreamId
from gateway.protocol.events import StreamMetadata


class Described(Protocol):
    """A stream, as far as it is told of."""

    @property
    def id(self) -> StreamId: ...
    @property
    def received_seconds(self) -> float: ...
    @property
    def listeners(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def lyrics(self) -> str | None: ...


def news(stream: Described) -> StreamMetadata:
    """All that is known by now."""
    told = StreamMetadata(stream.id, stream.received_seconds, listeners=stream.listeners, title=stream.title)
    if stream.lyrics:
        told.lyrics = stream.lyrics
    return told
