"""Where a listener wants to begin, and which chunk that is.

Invariant: every wish has an answer inside what is retained or is to come; whether a resume really continues where the
listener left is told truthfully. It must not know transports.
"""

from dataclasses import dataclass

from gateway.model import Position
from gateway.relay.channel import Channel


@dataclass(frozen=True, slots=True)
class FromStart:
    """The first chunk of the song."""


@dataclass(frozen=True, slots=True)
class SecondsAgo:
    """So many seconds before the live edge; 0 is the edge itself."""

    seconds: float


Since = FromStart | SecondsAgo | Position


def locate(channel: Channel, since: Since) -> tuple[int, bool | None]:
    """The seq to begin at, and for a resume whether it continues without loss (None for what is no resume)."""
    if isinstance(since, FromStart):
        return 0, None
    if isinstance(since, SecondsAgo):
        back = round(min(since.seconds * channel.details.sample_rate, channel.end_pts)) if channel.details else 0
        return channel.seq_at(channel.end_pts - back), None
    if since.epoch != channel.rendition.epoch or since.seq > channel.end:
        return 0, False
    return since.seq, since.seq >= channel.first


def awaited(channel: Channel, since: Since, edge: float) -> float | None:
    """The second of the song at which to begin, where that has not been made yet; None where it has.

    A format that was only just asked for is made from the song's start and soon has caught up with the live edge, which
    is at second `edge`: whoever wants to be near it need not hear all that was before.
    """
    if not isinstance(since, SecondsAgo):
        return None
    wanted = max(0.0, edge - since.seconds)
    return wanted if wanted > channel.seconds(channel.end_pts) else None
