"""The formats of one stream beside the provider's own: made on first demand, shared, given up when nobody needs them.

Invariant: one encode for each codec with its numbers, whatever containers it goes into and whoever listens; what is not
whole and not heard is given up after a while, what is whole is kept as long as the stream is. A format asked for before
the song's first sound waits for it, because only then are its numbers known.
It must not know sockets, or how encoding is done.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import ServiceError, WavegateError
from gateway.model import Position, RenditionId
from gateway.relay.channel import Channel
from gateway.relay.container import ContainerRendition
from gateway.relay.instruments import Instruments
from gateway.relay.mirror import Mirror
from gateway.relay.outcome import Bill
from gateway.relay.past import Past
from gateway.relay.ports import Encodings
from gateway.relay.track import Track
from gateway.relay.wishes import Wished, serves
from transcode.formats import Format
from transcode.spec import EncoderSpec, resolve


@dataclass(frozen=True, slots=True)
class Workshop:
    """What renditions are made with: those who encode, the instruments, and their bounds.

    `identify` gives each rendition a name. There are at most `max_formats` of a stream beside the provider's own, each
    of which keeps `max_bytes`; an unfinished one that nobody hears is kept for `keep_seconds`.
    """

    encodings: Encodings
    instruments: Instruments
    identify: Callable[[], RenditionId]
    max_bytes: int
    max_formats: int
    keep_seconds: float


# Formats that were given up, of which it is still known when each chunk began: 16 KB for a song of 200 s.
PAST_KEPT = 8


class Feeder(Protocol):
    """What fills a channel: an encode here, or another node's log."""

    @property
    def track(self) -> Track | None:
        """What it is packed of, if that is done here."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Made:
    """A channel and what feeds it, once the song's first sound is there; `unheard_since` None while it is heard."""

    wished: Wished
    channel: Channel
    spec: EncoderSpec | None = None
    feed: "Feeder | None" = None
    unheard_since: float | None = field(default=None)


class Renditions:
    """All channels of one stream; `native` is the provider's own format."""

    def __init__(self, native: Channel, workshop: Workshop) -> None:
        self._native = native
        self._workshop = workshop
        self._made: list[_Made] = []
        self._tracks: dict[EncoderSpec, Track] = {}
        self._egress = 0  # of those that were given up
        # So that whoever heard one of them can go on in another format.
        self._past: deque[Past] = deque(maxlen=PAST_KEPT)
        self._waiting: asyncio.Future[None] | None = None

    def __iter__(self) -> Iterator[Channel]:
        yield self._native
        for made in self._made:
            yield made.channel

    @property
    def retained_bytes(self) -> int:
        """Of all channels, and of the packets that more containers may be made of."""
        packets = sum(track.size for track in self._tracks.values())
        return sum(channel.retained_bytes for channel in self) + packets

    @property
    def egress(self) -> int:
        """Bytes of audio that listeners were sent, in all formats."""
        return self._egress + sum(channel.egress for channel in self)

    def sent(self, form: Format, size: int) -> None:
        """So many bytes of it went out as a file of their own, which no channel counts."""
        self._egress += size
        self._workshop.instruments.recorder.written("http", form.codec, 1, size)

    async def finished(self) -> None:
        """Until everything that somebody hears has come to its end."""
        while any(channel.listeners and channel.outcome is None for channel in self):
            self._waiting = self._waiting or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiting)

    def tell_waiting(self) -> None:
        """One of them has come to its end."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        self._waiting = None

    def existing(self, wishes: Sequence[Wished]) -> Channel | None:
        """The first of these that is being made already, or is made."""
        for wished in wishes:
            if serves(self._native.format, self._native.details, wished):
                return self._native
            spec = self._spec(wished)
            for made in self._made:
                same = made.wished == wished if spec is None else (made.spec or self._spec(made.wished)) == spec
                if same and made.channel.format == wished.form and not self._broken(made.channel):
                    return made.channel
        return None

    def channel(self, wishes: Sequence[Wished]) -> Channel:
        """The first of these that can be given; one that is being made already is preferred.

        Raises ServiceError `transcoding_full`, which names what can be had at once.
        """
        if (existing := self.existing(wishes)) is not None:
            return existing
        refusal: ServiceError | None = None
        for wished in wishes:
            try:
                return self._begin(wished)
            except ServiceError as full:
                refusal = full
        assert refusal is not None, "there is at least one wish"
        raise self._full(refusal)

    def _full(self, refusal: ServiceError) -> ServiceError:
        """The refusal, with what can be heard all the same."""
        begun = [made.channel for made in self._made if made.feed is not None and not self._broken(made.channel)]
        names = ", ".join(dict.fromkeys(channel.format.name for channel in [self._native, *begun]))
        return ServiceError(
            refusal.code,
            f"No more formats can be made at the moment. This stream can be heard at once as: {names}.",
            param="format",
            retry_after=refusal.retry_after,
        )

    def adopt(self, wished: Wished, channel: Channel, feed: Feeder) -> None:
        """Another node makes this one; here it is filled by `feed`."""
        self._made.append(_Made(wished, channel, feed=feed))

    @property
    def feeds(self) -> list[Feeder]:
        """What fills the channels beside the provider's own."""
        return [made.feed for made in self._made if made.feed is not None]

    def feed(self, rendition: RenditionId) -> Feeder | None:
        """What fills the channel of this name."""
        return next((made.feed for made in self._made if made.channel.rendition == rendition), None)

    def _begin(self, wished: Wished) -> Channel:
        shop = self._workshop
        self._make_room()
        if self._native.details is None and self._native.outcome is None and wished.form != self._native.format:
            # It will be begun with the first sound; who can be told already that it will not is told.
            shop.encodings.admit()
        channel = Channel(shop.identify(), wished.form, shop.instruments, shop.max_bytes)
        made = _Made(wished, channel)
        if self._native.details is not None:
            self._start(made)
        elif self._native.outcome is not None:
            channel.close(self._native.outcome.error, self._native.outcome.bill)
        else:
            self._native.followers[self] = None
        self._made.append(made)
        return channel

    def _make_room(self) -> None:
        """Numbers can be wished for without end: of those that nobody hears the oldest goes. Raises ServiceError."""
        if len(self._made) < self._workshop.max_formats:
            return
        unheard = next((made for made in self._made if not made.channel.listeners), None)
        if unheard is None:
            raise ServiceError("transcoding_full", "This stream is made in many formats already.", retry_after=5.0)
        self._give_up(unheard)

    def _start(self, made: _Made) -> None:
        """Begins, or shares, the encode, where there is any. Raises ServiceError `transcoding_full`."""
        native, shop = self._native, self._workshop
        if serves(native.format, native.details, made.wished):
            # Encoded it would be another file than the one that is given to whoever asks from now on.
            made.feed = mirror = Mirror(made.channel, native, shop.instruments.now, self.tell_waiting)
            mirror.pump()
            return
        spec = made.spec = self._spec(made.wished)
        assert spec is not None, "the song's first sound is there"
        track = self._tracks.get(spec)
        if track is None or track.error is not None:
            track = self._tracks[spec] = Track(native, spec, shop.encodings, shop.max_bytes)
        made.feed = feed = ContainerRendition(made.channel, track, shop.instruments.now, self.tell_waiting)
        feed.pump()
        track.pump()

    def _spec(self, wished: Wished) -> EncoderSpec | None:
        details = self._native.details
        return resolve(wished.form, wished.wish, details) if details is not None else None

    def moment(self, position: Position) -> float | None:
        """The second of the song at this position in the log of any of its formats, also of one that was given up."""
        for channel in self:
            if channel.rendition.epoch == position.epoch:
                return channel.moment(position.seq)
        for past in self._past:
            if past.epoch == position.epoch:
                return past.moment(position.seq)
        return None

    # -- as a follower of the provider's channel, while formats wait for its first sound ------------------------------

    def pump(self) -> None:
        """Starts what waited, once the song's numbers are known; ends it, when they never will be."""
        native = self._native
        del native.followers[self]
        # The numbers are known a while before the first chunk: whoever asked in between was begun at once.
        for made in [made for made in self._made if made.feed is None]:
            if native.details is None:
                assert native.outcome is not None
                made.channel.close(native.outcome.error, native.outcome.bill)
                continue
            try:
                self._start(made)
            except ServiceError as refusal:
                made.channel.close(self._full(refusal), Bill(0.0, settled=False))

    def tell(self, text: bytes) -> None:
        """News beside the sound are no audio."""

    def fail(self) -> None:
        """A fault of ours while formats were started: those that wait end."""
        self.close(ServiceError("internal", "Something went wrong while this format was made."))

    # -- keeping house -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Called about once a second: gives up what nobody hears, takes up what was lost."""
        now = self._workshop.instruments.now()
        for made in tuple(self._made):
            if made.channel.listeners or (made.channel.outcome is not None and not self._broken(made.channel)):
                made.unheard_since = None
            elif made.unheard_since is None:
                made.unheard_since = now
            elif now - made.unheard_since >= self._workshop.keep_seconds:
                self._give_up(made)
        for track in self._tracks.values():
            track.take_up()

    def close(self, error: WavegateError) -> None:
        """Ends what is in the making, with this error for those who listen."""
        self._native.followers.pop(self, None)
        for made in self._made:
            if made.feed is not None:
                made.feed.close()
            if made.channel.outcome is None:
                made.channel.close(error, Bill(0.0, settled=False))
        for track in self._tracks.values():
            track.close()
        self.tell_waiting()

    def forget(self, error: WavegateError) -> None:
        """As `close`, and lets all audio go, whoever still holds a channel."""
        self.close(error)
        for channel in self:
            channel.forget()
        self._made.clear()
        self._tracks.clear()

    def _broken(self, channel: Channel) -> bool:
        """Whether it ended by a fault that is not the stream's, so that asking again may do better."""
        outcome, native = channel.outcome, self._native.outcome
        return outcome is not None and outcome.error is not None and (native is None or outcome.error != native.error)

    def _give_up(self, made: _Made) -> None:
        self._made.remove(made)
        self._egress += made.channel.egress
        self._past.append(Past.of(made.channel))
        made.channel.forget()
        self.tell_waiting()
        if made.feed is None:
            return
        made.feed.close()
        track = made.feed.track
        if track is not None and not any(other.feed is not None and other.feed.track is track for other in self._made):
            track.close()
            # One that failed may have been followed by another.
            if self._tracks.get(track.spec) is track:
                del self._tracks[track.spec]
