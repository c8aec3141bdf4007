"""A stream of another node, as this one knows it: what is told of it, and the renditions that are read here.

For doors it is a stream like any other. Invariant: nothing is bought or settled here, and nothing encoded while its
owner lives; a rendition has the numbers it has at its owner's, so a position means the same on every node; only what
somebody hears is read. When its owner is gone, what is whole is heard on and other formats are made of it here; what
is not ends in `owner_lost`. It must not know how nodes talk.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from gateway.accounting import Traffic
from gateway.errors import ServiceError, WavegateError
from gateway.model import Position, StreamId, TenantId
from gateway.relay import letters
from gateway.relay.channel import Channel
from gateway.relay.feed import Feed
from gateway.relay.ports import Following, LogReader
from gateway.relay.renditions import Renditions, Workshop
from gateway.relay.since import Since
from gateway.relay.stream import Stream, status_of
from gateway.relay.titles import Titles
from gateway.relay.wishes import Wished, serves
from transcode.formats import FORMATS
from transcode.spec import Wish

# A log is read as fast as it comes: whoever comes to a song that is there waits for it, but no longer than this.
CATCH_UP_SECONDS = 5.0
# Between two tries to find what was lost, and how long its owner is looked for while there is somebody to ask.
AGAIN_SECONDS = 0.5
LOST_SECONDS = 15.0
# Whoever resumes asks when their position sounded, and attaches at once: so many may do so at a time.
MOMENTS_KEPT = 256


class Owner(Protocol):
    """The way to the node that owns a stream. What asks raises what the owner did, or `cluster_unavailable`."""

    async def look(self, replica: "Replica") -> None:
        """Has it learn what its owner says of it now."""
        ...

    async def want(self, replica: "Replica", wishes: Sequence[Wished], at: Position | None) -> letters.Published:
        """Has one of these sent."""
        ...

    def follow(self, replica: "Replica", log: str, reader: LogReader) -> Following: ...

    async def cancel(self, replica: "Replica") -> None: ...

    async def gone(self, replica: "Replica") -> bool:
        """Whether its owner is not there, as far as can be told."""
        ...

    def adopted(self, replica: "Replica") -> None:
        """It is owned here from now on."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Has this done in a task that somebody owns."""
        ...


class Replica:
    """`node` owns it. What it says of the stream stands in attributes named as those of a `Stream`."""

    def __init__(self, node: str, facts: letters.Facts, owner: Owner, workshop: Workshop) -> None:
        self.id: StreamId = facts.id
        self.tenant: TenantId = facts.tenant
        self.request = facts.request
        self.created_at = facts.created_at
        self.node = node
        self.adopted = False
        self.titles = Titles(facts.title)
        self.native = Channel(facts.rendition, FORMATS[facts.form], workshop.instruments, workshop.max_bytes)
        self.renditions = Renditions(self.native, workshop)
        self._owner = owner
        self._instruments = workshop.instruments
        self._keep_seconds = workshop.keep_seconds
        self._native_feed: Feed | None = None
        self._wishes: dict[int, Wished] = {self.native.rendition.number: Wished(self.native.format, Wish())}
        self._moments: OrderedDict[Position, float] = OrderedDict()
        self.elsewhere: dict[str, int] = {}  # once it is owned here
        self._came = False
        self._counted_at = self._instruments.now()
        self._egress = 0
        self._unheard_since: float | None = None
        self.learn(facts)

    def learn(self, facts: letters.Facts) -> None:
        """What its owner says of it now."""
        self.warnings = facts.warnings
        self.finished_at = facts.finished_at
        self.status = facts.status
        self.place = facts.place
        self.error = letters.error_of(facts.error)
        self.request_id = facts.request_id
        self.tries = facts.tries
        self.simulated = facts.simulated
        self.lyrics = facts.lyrics
        self.bill = facts.bill
        self.received_seconds = facts.received_seconds
        self.sample_rate = facts.sample_rate
        self.channels = facts.channels
        self.shareable = facts.shareable
        self.learned_at = self._instruments.now()
        # Those that are here now are among them.
        self._others = max(0, facts.listeners - self.here)
        if facts.title != self.titles.newest:
            self.titles.settle(facts.title)

    # -- what can be seen of it ----------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        return self.titles.newest

    @property
    def audio_seconds(self) -> float:
        """What counts as used: what is billed once that is known, what was delivered until then."""
        return self.bill.seconds if self.status.final else self.received_seconds

    @property
    def granted_seconds(self) -> float:
        """Its owner's to know."""
        return 0.0

    @property
    def here(self) -> int:
        """Listeners on this node."""
        return sum(channel.heard for channel in self.renditions)

    @property
    def listeners(self) -> int:
        """Listeners on all nodes, as far as was told."""
        return self.here + (sum(self.elsewhere.values()) if self.adopted else self._others)

    @property
    def silent(self) -> bool:
        """Whether no sound of it has come."""
        return self.received_seconds == 0.0 and self.native.end == 0

    @property
    def retained_bytes(self) -> int:
        return self.renditions.retained_bytes

    @property
    def whole(self) -> bool:
        """Whether all that its owner has of the provider's own format is here, too."""
        feed = self._native_feed
        return feed is not None and feed.whole and self.native.end > self.native.first

    @property
    def reading(self) -> list[int]:
        """The renditions that are being read here."""
        channels = [channel for channel in self.renditions if channel.outcome is None]
        return [channel.rendition.number for channel in channels if channel is not self.native or self._native_feed]

    # -- hearing it ------------------------------------------------------------------------------------------

    async def obtain(self, wishes: Sequence[Wished], since: Since | None = None) -> Channel:
        """The first of these that can be given, with all that its owner holds of it by now. Raises WavegateError."""
        at = since if isinstance(since, Position) else None
        channel = self._existing(wishes)
        if channel is not None and (at is None or self.moment(at) is not None):
            return channel
        if self.adopted:
            return self.renditions.channel(wishes)
        try:
            published = await self._owner.want(self, wishes, at)
        except ServiceError:
            if not self.whole or not await self._owner.gone(self):
                raise
            self.owner_lost()
            return self.renditions.channel(wishes)
        if at is not None and published.moment is not None:
            self._moments[at] = published.moment
            while len(self._moments) > MOMENTS_KEPT:
                self._moments.popitem(last=False)
        # Others may have asked for the same meanwhile.
        feed = self._feed(wishes[published.chosen], published)
        await feed.reach(published.end, CATCH_UP_SECONDS, over=published.over)
        return feed.channel

    async def look(self, wishes: Sequence[Wished]) -> Channel | None:
        """The first of these that is made already; nothing is begun for it that nobody has wished to hear."""
        native = self.native
        plain = [wished for wished in wishes if serves(native.format, native.details, wished)]
        if plain and self.status.final and not self.adopted:
            return await self.obtain(plain)
        return self._existing(wishes)

    def moment(self, position: Position) -> float | None:
        """The second of the song at this position in the log of any of its formats."""
        known = self.renditions.moment(position)
        return self._moments.get(position) if known is None else known

    def _existing(self, wishes: Sequence[Wished]) -> Channel | None:
        channel = self.renditions.existing(wishes)
        if channel is self.native and self._native_feed is None and channel.outcome is None:
            return None
        return channel

    def _feed(self, wished: Wished, published: letters.Published) -> Feed:
        """What fills that rendition's channel here."""
        rendition = letters.rendition(self.id, published)
        if rendition == self.native.rendition:
            feed = self._native_feed
            if feed is None:
                feed = self._native_feed = self._new_feed(self.native)
            self._follow(feed, published)
            return feed
        known = self.renditions.feed(rendition)
        if isinstance(known, Feed):
            self._follow(known, published)
            return known
        channel = Channel(rendition, wished.form, self._instruments, self.native.max_bytes)
        feed = self._new_feed(channel)
        self._wishes[rendition.number] = wished
        self.renditions.adopt(wished, channel, feed)
        self._follow(feed, published)
        return feed

    def _new_feed(self, channel: Channel) -> Feed:
        return Feed(channel, self._instruments.now, self._ended, self._lost)

    def _follow(self, feed: Feed, published: letters.Published) -> None:
        if feed.following is None and not feed.closed:
            feed.following = self._owner.follow(self, published.log, feed)

    def _ended(self, feed: Feed) -> None:
        """Of a rendition nothing follows; where it is whole, the rest of what there is to know is asked for."""
        self.renditions.tell_waiting()
        if feed.whole:
            self._owner.spawn(self._settle(), f"end of {self.id}")

    async def _settle(self) -> None:
        try:
            await self._owner.look(self)
        except WavegateError:
            # It was the last that was heard of its owner.
            outcome = next((channel.outcome for channel in self.renditions if channel.outcome is not None), None)
            if outcome is not None and not self.status.final:
                self._close(outcome.error)
                self.bill = outcome.bill

    # -- when its owner is lost --------------------------------------------------------------------------------------

    def _lost(self, feed: Feed, owner_lost: bool) -> None:
        if owner_lost:
            self.owner_lost()
        else:
            self._owner.spawn(self._find_again(feed), f"log of {self.id}")

    def owner_lost(self) -> None:
        """The owner is not there any more: what is whole here belongs to this node, the rest ends."""
        if self.adopted:
            return
        error = ServiceError("owner_lost", "The node that made this song is gone; what it had of it is lost.")
        if self._native_feed is not None and not self._native_feed.over:
            self._native_feed.end(error)
        for feed in self.renditions.feeds:
            assert isinstance(feed, Feed), "nothing is encoded here while its owner lives"
            feed.end(error)
        if not self.status.final:
            self._close(error)
        if self.whole:
            self.adopted = True
            self._owner.adopted(self)

    def _close(self, error: WavegateError | None) -> None:
        self.status = status_of(error)
        self.error = error
        self.finished_at = self._instruments.time()

    async def _find_again(self, feed: Feed) -> None:
        """Has the log sent once more. Its listeners hear what is here, and wait."""
        lost_since: float | None = None
        number = feed.channel.rendition.number
        while not feed.closed and feed.following is None:
            try:
                published = await self._owner.want(self, [self._wishes[number]], None)
            except WavegateError as error:
                if error.code == "stream_not_found":
                    self.owner_lost()
                    return
                if error.code != "cluster_unavailable":
                    feed.end(error)
                    return
                lost_since = await self._since_when(lost_since)
                if lost_since is not None and self._instruments.now() - lost_since >= LOST_SECONDS:
                    self.owner_lost()
                    return
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if letters.rendition(self.id, published) != feed.channel.rendition:
                # Its owner has made it anew, and the numbers of what was heard mean nothing there.
                feed.end(ServiceError("position_lost", "This part of the song is kept no more: attach again."))
                return
            self._follow(feed, published)

    async def _since_when(self, before: float | None) -> float | None:
        """Since when its owner is not there; None while it is, or while nobody can tell."""
        try:
            gone = await self._owner.gone(self)
        except WavegateError:
            return None
        return (before if before is not None else self._instruments.now()) if gone else None

    # -- as the hub keeps it -----------------------------------------------------------------------------------------

    def cancel(self, error: WavegateError | None = None) -> None:
        """This node stops, or its client wants it: see `stop`. Nothing is lost by letting a copy go."""

    async def stop(self) -> None:
        """Has its owner end the generation, and waits for the bill. Raises `cluster_unavailable`."""
        if not self.adopted:
            await self._owner.cancel(self)

    async def wait(self) -> None:
        """There is nothing to wait for here."""

    async def ended(self) -> None:
        """Until those who hear it on this node have come to its end."""
        await self.renditions.finished()

    async def keep_lease(self) -> None:
        """Its owner's to do."""

    def came(self) -> None:
        """Somebody listens: its owner is told with the next word."""
        self._came = True

    def heard(self) -> letters.Heard | None:
        """What its owner is told, about once a second; None if that is nothing."""
        came, self._came = self._came, False
        if not (self.here or self.reading or came):
            return None
        return letters.Heard(stream_id=self.id, listeners=self.here, reading=self.reading, came=came)

    def share(self, grace: float | None) -> None:
        """Somebody else wants it, too: its owner was told when it was found."""

    def traffic(self) -> Traffic | None:
        """What listeners on this node took since the last call."""
        now, egress = self._instruments.now(), self.renditions.egress
        took = Traffic(self.id, self.here * (now - self._counted_at), egress - self._egress)
        self._counted_at, self._egress = now, egress
        return took if took.listener_seconds or took.egress_bytes else None

    def tick(self) -> None:
        """Called about once a second: reads no more what nobody hears."""
        now, feed = self._instruments.now(), self._native_feed
        self.renditions.tick()
        if feed is not None and not feed.over:
            if self.native.heard:
                feed.unheard_since = None
            elif feed.unheard_since is None:
                feed.unheard_since = now
            elif now - feed.unheard_since >= self._keep_seconds:
                feed.close()
                self._native_feed = None

    def idle(self) -> bool:
        """Whether this copy is of no use: nobody has heard it for a while, and it is not whole. Asked once a second."""
        now = self._instruments.now()
        if self.here or self.whole or self.reading:
            self._unheard_since = None
        elif self._unheard_since is None:
            self._unheard_since = now
        return self._unheard_since is not None and now - self._unheard_since >= self._keep_seconds

    def close(self, error: ServiceError) -> None:
        """This node is stopping."""
        if self._native_feed is not None:
            self._native_feed.end(error)
        self.renditions.close(error)

    def forget(self, error: ServiceError) -> None:
        """As `close`, and lets all audio go."""
        self.close(error)
        self.renditions.forget(error)


AnyStream = Stream | Replica
