"""Where a listener wants to begin, and which chunk that is.

Invariant: every wish has an answer inside what is retained or is to come; whether a resume really continues where the
listener left is told truthfully. It must not know transports.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

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


class Place(NamedTuple):
    """The chunk to begin with, or, where it has not been made yet, the second of the song that is waited for.

    `recovered` tells of a resume whether it continues without loss; it is None for what is no resume.
    """

    seq: int
    recovered: bool | None = None
    wanted: float | None = None


def locate(channel: Channel, since: Since, native: Channel, moment: Callable[[Position], float | None]) -> Place:
    """Where to begin in `channel`, which is made of `native`; `moment` knows the positions of the song's other logs.

    A format that was only just asked for is made from the song's start and soon has caught up: whoever wants to be
    near the live edge, or has heard all before in another format, need not hear it again.
    """
    if isinstance(since, FromStart):
        return Place(0)
    if isinstance(since, SecondsAgo):
        # The edge is the song's, also where an encoder is behind it; of another node's song it may be known here only
        # as far as this format of it is.
        made = channel.seconds(channel.end_pts)
        second = max(0.0, max(native.seconds(native.end_pts), made) - max(0.0, since.seconds))
        if second > made:
            return Place(0, None, second)
        return Place(channel.seq_at(round(second * channel.details.sample_rate)) if channel.details else 0)
    if since.epoch == channel.rendition.epoch:
        return Place(since.seq, since.seq >= channel.first) if since.seq <= channel.end else Place(0, False)
    heard = moment(since)
    return Place(0, False) if heard is None else _from(heard, channel, native)


def _from(second: float, channel: Channel, native: Channel) -> Place:
    """A listener that has heard another format up to this second goes on in this one."""
    if channel.details is None:
        return Place(0, second >= native.seconds(native.pts(native.first)), second)
    recovered = second >= channel.seconds(channel.pts(channel.first))
    if second >= channel.seconds(channel.end_pts) and channel.outcome is None:
        return Place(0, recovered, second)
    return Place(channel.seq_at(round(second * channel.details.sample_rate)), recovered)
