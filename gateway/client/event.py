"""What happens to a song that is heard: the states it is in, and all that its listener may want to see, in order.

Invariant: an iterator of events survives a call that was cancelled, which a generator would not.
It must not know connections, nor what an event does to the song.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from gateway.client.errors import ClientError
from gateway.client.wire import Frame
from gateway.protocol import events


class State(StrEnum):
    """Where a song stands; the last two are final."""

    WAITING = "waiting"
    RECEIVING = "receiving"
    RECONNECTING = "reconnecting"
    COMPLETED = "completed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Interruption:
    """The connection is gone; in `delay` seconds the song is joined again where it was. `error` says what happened."""

    error: ClientError
    delay: float


Event = (
    Frame
    | events.StreamQueued
    | events.StreamStarted
    | events.StreamMetadata
    | events.StreamGap
    | events.StreamCompleted
    | events.QuotaUpdated
    | events.Goaway
    | Interruption
)
"""What `Song.events` gives: frames, and the gateway's messages as the structs of `gateway.protocol.events`."""

TOLD = (
    events.StreamQueued,
    events.StreamStarted,
    events.StreamMetadata,
    events.StreamGap,
    events.StreamCompleted,
    events.QuotaUpdated,
    events.Goaway,
)


class Events:
    """Asks `following` for one event after another, until there is none."""

    def __init__(self, following: Callable[[], Awaitable[Event | None]]) -> None:
        self._following = following

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self._following()
        if event is None:
            raise StopAsyncIteration
        return event
