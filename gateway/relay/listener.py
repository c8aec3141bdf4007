"""A listener: a position in a channel plus a transport. `pump()` alone moves audio.

It has two callers: the channel's rounds (new audio) and the transport's drain callback (room again). Late join, resume,
catching up and a slow listener are the same thing: a position that is behind.
Invariant: no queue and no task; chunks go out in order, each once; what is skipped is announced as a gap first.
It must not know what kind of transport it has.
"""

from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple, cast

from gateway.errors import LimitError, ServiceError, WavegateError
from gateway.model import Chunk, Flag, Position
from gateway.relay.channel import CLUSTER, Channel
from gateway.relay.departure import LEFT, at_the_end, sent_away
from gateway.relay.ports import ListenerTransport

# One writelines takes this much at most, or a single chunk: what the socket does not take of it is all that waits in
# user space for a client that does not read. As base64 it is a third more.
BATCH_BYTES = 32 * 1024


class OnLag(StrEnum):
    """What a listener that cannot keep up wants: every chunk, later; or the live edge, with a gap."""

    COMPLETE = "complete"
    LIVE = "live"


class Heard(NamedTuple):
    """What a listener was sent: chunks, the octets in them, and their sound in seconds."""

    chunks: int
    size: int
    seconds: float


class Listener:
    """Where one client stands in one channel: at `seq`, or at second `wanted` of the song once that has been made.

    `live_lag` is in seconds.
    """

    __slots__ = (
        "_begun",
        "_caught_up",
        "_direct",
        "_form",
        "_from",
        "_here",
        "_line",
        "_near",
        "_tally",
        "_told",
        "_wanted",
        "channel",
        "how",
        "live_lag",
        "next",
        "on_lag",
        "transport",
    )

    def __init__(
        self,
        channel: Channel,
        transport: ListenerTransport,
        seq: int,
        on_lag: OnLag,
        live_lag: float,
        wanted: float | None = None,
    ) -> None:
        self.channel = channel
        self.transport = transport
        self.next = seq
        self.on_lag = on_lag
        self.live_lag = live_lag
        self._begun = False
        self._caught_up = False
        self._here = False
        self._near = False  # here, and has been at the live edge
        self._wanted = wanted
        # What it got before number `_from`, since when it got all of them; and how it went, once it is gone.
        self._told = Heard(0, 0, 0.0)
        self._from = seq
        self.how = "left"
        self._tally = channel.tally(transport.name)
        self._line = transport.line
        # None, for a door that is to see every chunk, is never called: `_near` stays False.
        self._form = cast("Callable[[Chunk], bytes]", transport.form)
        self._direct = transport.form is not None

    @property
    def position(self) -> Position:
        """The next chunk this listener will get."""
        return self.channel.position(self.next)

    @property
    def begun(self) -> bool:
        """Whether it has been told what follows: until then it lags behind nothing."""
        return self._begun

    @property
    def lag_seconds(self) -> float:
        """How much of what exists it has not been sent yet."""
        channel = self.channel
        return channel.seconds(channel.end_pts - channel.pts(max(self.next, channel.first)))

    @property
    def heard(self) -> Heard:
        """What it was sent so far."""
        told, channel = self._told, self.channel
        size, samples = channel.lengths.between(self._from, self.next)
        chunks = told.chunks + max(0, self.next - self._from)
        return Heard(chunks, told.size + size, told.seconds + channel.seconds(samples))

    def fetched(self, begin: int, end: int, size: int) -> None:
        """It has taken so many octets of these chunks by itself, in whatever order."""
        told, channel = self._told, self.channel
        octets, samples = channel.lengths.between(begin, end)
        seconds = channel.seconds(samples) * (size / octets if octets else 0.0)
        self._told = Heard(told.chunks + end - begin, told.size + size, told.seconds + seconds)
        self.next = self._from = end

    def _move(self, seq: int) -> None:
        """Goes on at `seq`, without what lies between."""
        self._told = self.heard
        self.next = self._from = seq

    def join(self) -> None:
        """Enters the channel and takes what it holds, at once and never paced."""
        channel = self.channel
        channel.listeners[self] = None
        self._tally.listeners += 1
        self._here = True
        if self.transport.name != CLUSTER:  # who hears by way of it is counted on the other node
            channel.recorder.listener_joined(self.transport.name, channel.format.codec)
        self.pump()

    def leave(self, reason: str = LEFT) -> None:
        """Stops listening. Costs nobody else anything; a second call does nothing."""
        channel = self.channel
        if not self._here:
            return
        self._here = self._near = False
        del channel.listeners[self]
        self._tally.listeners -= 1
        self._tally.behind.pop(self, None)
        channel.flush_tallies()
        if self.transport.name != CLUSTER:
            channel.recorder.listener_left(self.transport.name, channel.format.codec, reason)

    def fail(self) -> None:
        """Its transport has broken: leaves, and says so if it still can."""
        with suppress(Exception):
            self.refuse(ServiceError("internal", "Something went wrong on the way to this listener."))

    def refuse(self, error: WavegateError) -> None:
        """Cuts it off and says why; the stream goes on."""
        self.how = error.code
        self.leave(sent_away(error))
        self.transport.refused(error)

    def tell(self, text: bytes) -> None:
        """News beside the sound."""
        self.transport.metadata(text)

    def pump(self) -> None:
        """Writes from its position until it is caught up or the transport is full."""
        channel = self.channel
        newest = channel.newest
        if newest is not None and newest.seq == self.next and self._near:
            # Nearly always: it lacks one chunk. This way costs a third of the other, 12,000 times for each chunk; by
            # way of the transport it took 7 % more.
            line = self._line
            if line.writable:
                line.sink.write(newest.wire(self._form))
                self.next += 1
                tally = self._tally
                tally.chunks += 1
                tally.size += len(newest.payload)
            else:
                self._tally.behind[self] = None
            return
        transport = self.transport
        if not self._begun:
            if not self._here or (channel.details is None and channel.outcome is None):
                return
            if self._wanted is not None and not self._reached(self._wanted):
                self._tally.behind[self] = None
                return
            self._begin()
        while self._here and self._line.writable:
            if self.next >= channel.end:
                self._caught_up, self._near = True, self._direct
                self._tally.behind.pop(self, None)
                if channel.outcome is not None:
                    self.how = channel.outcome.error.code if channel.outcome.error is not None else "completed"
                    self.leave(at_the_end(channel.outcome))
                    transport.ended(channel.outcome)
                return
            if not self._hold_position():
                return
            chunks = channel.read(self.next, BATCH_BYTES)
            if channel.torn and chunks[0].flags & Flag.DISCONTINUITY:
                # No chunk is missing, but sound is: what the provider sent in its place was no audio.
                self._gap(self.next, self.next, "corrupt")
            self.next += len(chunks)
            self._tally.chunks += len(chunks)
            self._tally.size += sum([len(chunk.payload) for chunk in chunks])
            transport.send(chunks)
        if self._here:
            self._tally.behind[self] = None

    def unwanted(self, size: int) -> None:
        """So many bytes of what its transport was given to send are not sent."""
        self._tally.size -= size

    def _reached(self, wanted: float) -> bool:
        """Whether the second it waits for has been made, or never will be; then it stands there."""
        channel = self.channel
        if channel.outcome is None and channel.seconds(channel.end_pts) <= wanted:
            return False
        if channel.details is not None:
            self._move(channel.seq_at(round(wanted * channel.details.sample_rate)))
        self._wanted = None
        return True

    def _begin(self) -> None:
        """Tells what follows; a start that is no longer retained is a gap, not a silent hole."""
        self._begun = True
        channel = self.channel
        if channel.details is None:  # failed before its first sound: there is nothing to announce
            return
        wanted = self.next
        self._move(max(wanted, channel.first))
        at = channel.position(self.next)
        self.transport.started(at, channel.details, channel.rendition.number, channel.init)
        if wanted < self.next:
            self._gap(wanted, self.next, "retention")

    def _hold_position(self) -> bool:
        """Keeps the position inside what is retained and, for `live`, near the edge. False when it had to give up."""
        channel = self.channel
        if self.on_lag is OnLag.COMPLETE:
            if self.next >= channel.first:
                return True
            channel.recorder.slow_listener("cut")
            self.refuse(LimitError("too_slow", "The audio you had not taken yet is no longer retained."))
            return False
        edge = channel.live_seq()
        if self._caught_up and self.lag_seconds > self.live_lag and edge > self.next:
            target, reason = edge, "lag"
        elif self.next < channel.first:
            target, reason = channel.first, "retention"
        else:
            return True
        channel.recorder.slow_listener("skip")
        self._gap(self.next, target, reason)
        self._move(target)
        return True

    def _gap(self, from_seq: int, to_seq: int, reason: str) -> None:
        self.channel.recorder.gap(reason)
        self.transport.gap(from_seq, to_seq, reason)
