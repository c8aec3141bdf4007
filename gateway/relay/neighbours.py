"""The hub's talk with other nodes: it finds their streams, and lets them find and hear its own.

Invariant: of a stream that another node owns there is at most one replica here, and it is found for its tenant alone;
what a node is told of listeners and wishes lapses when that is not said again. Whether one asks for a stream here or
elsewhere, the answer is the same, or `cluster_unavailable`. It must not know Redis, sockets, or what is bought.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from gateway.errors import RequestError, ServiceError, WavegateError
from gateway.log import event
from gateway.model import Position, StreamId, TenantId
from gateway.relay import letters
from gateway.relay.facts import facts_of
from gateway.relay.instruments import Instruments
from gateway.relay.ports import Cluster, Following, LogReader
from gateway.relay.publications import WANTED_SECONDS, Publications
from gateway.relay.renditions import Workshop
from gateway.relay.replica import AnyStream, Replica
from gateway.relay.wishes import Wished
from transcode.spec import Wish

logger = logging.getLogger("wavegate.neighbours")

Handler = Callable[[str, bytes], Awaitable[bytes]]
_L = TypeVar("_L", bound=letters.Letter)

# Streams of one node that are told for one list, the newest; and seconds for another node to do what takes its time.
MOST_LISTED = 1000
# A letter may have 4 MiB; a stream without its words is less than this.
MOST_OCTETS = 3 << 20
LISTED_OCTETS = 2048
PATIENT_SECONDS = 15.0
# What was told of a stream that has ended is taken for true so long.
FRESH_SECONDS = 10.0


def read(letter: type[_L], body: bytes) -> _L:
    """What was written. Raises ServiceError for what was not."""
    try:
        return msgspec.msgpack.decode(body, type=letter)
    except (ValueError, RecursionError) as error:
        raise ServiceError("internal", "Another node of the gateway said what is not understood here.") from error


def crowds(said: bytes) -> dict[TenantId, int]:
    """How many of each tenant listen at a node, of what it said last: a sign that says nothing tells of nobody."""
    try:
        return read(letters.Crowds, said).listeners if said else {}
    except ServiceError:
        return {}


def unknown() -> RequestError:
    """What is said of a stream that is not there, or is another tenant's."""
    return RequestError("stream_not_found", "There is no such stream, or it is no longer kept.", param="stream_id")


class Neighbours:
    """`streams` are the hub's; `workshop` makes the renditions of one, `spawn` has work done in the hub's tasks.

    `share` waits for the order of a song that is being made here, and gives the stream if it can be shared.
    """

    def __init__(
        self,
        cluster: Cluster,
        streams: MutableMapping[StreamId, AnyStream],
        instruments: Instruments,
        live_lag: float,
        *,
        workshop: Callable[[StreamId, TenantId], Workshop],
        share: Callable[[letters.Sharing], Awaitable[StreamId | None]],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        crowds: Callable[[], dict[TenantId, int]],
    ) -> None:
        self._cluster = cluster
        self._streams = streams
        self._instruments = instruments
        self._workshop = workshop
        self._share = share
        self._spawn = spawn
        self._crowds = crowds
        self._publications = Publications(cluster, live_lag, instruments.now)
        self._heard_at: dict[str, float] = {}
        self._crowded: dict[str, tuple[bytes, dict[TenantId, int]]] = {}

    @property
    def handlers(self) -> dict[str, Handler]:
        """What answers other nodes, by the kind of letter."""
        return {
            "look": self._on_look,
            "list": self._on_list,
            "want": self._on_want,
            "heard": self._on_heard,
            "cancel": self._on_cancel,
            "share": self._on_share,
            "keep": self._on_keep,
        }

    # -- what the hub asks -----------------------------------------------------------------------------------------

    async def find(self, tenant: TenantId, stream_id: StreamId) -> Replica:
        """A stream of another node, as its owner sees it now. Raises RequestError, ServiceError."""
        known = self._streams.get(stream_id)
        if isinstance(known, Replica) and known.tenant == tenant:
            if await self._refresh(known):
                return known
            self._let_go(known)
            known = None
        node = await self._cluster.owner(stream_id)
        if known is not None or node is None or node == self._cluster.node:
            raise unknown()
        facts = await self._look(node, tenant, stream_id)
        if facts is None:
            raise unknown()
        # Others may have asked meanwhile.
        known = self._streams.get(stream_id)
        if isinstance(known, Replica):
            known.learn(facts)
            return known
        replica = self._streams[stream_id] = Replica(node, facts, self, self._workshop(stream_id, tenant))
        return replica

    async def _refresh(self, replica: Replica) -> bool:
        """Its owner's word, if that is to be had; a copy that its owner keeps no more is none.

        False where it is nobody's any more, and another node has the stream whole.
        """
        fresh = self._instruments.now() - replica.learned_at < FRESH_SECONDS
        if replica.adopted or (replica.status.final and fresh):
            return True
        try:
            await self.look(replica)
        except ServiceError:
            return await self._refound(replica)
        return True

    async def _refound(self, replica: Replica) -> bool:
        try:
            owner = await self._cluster.owner(replica.id)
        except ServiceError:
            return True
        if owner is None and replica.node not in self._cluster.peers:
            replica.owner_lost()
        return owner in (None, replica.node) or replica.here > 0

    def _let_go(self, replica: Replica) -> None:
        if self._streams.get(replica.id) is replica:
            del self._streams[replica.id]
        replica.forget(ServiceError("owner_lost", "Another node has this song now."))

    async def list(self, tenant: TenantId) -> list[Replica]:
        """The tenant's streams on those of the other nodes that answer: what is on another cannot be heard either."""
        body = letters.Listing(tenant=tenant).octets()
        answers = await asyncio.gather(*[self._listed(node, body) for node in self._cluster.peers])
        # What a node has left behind may be with several.
        found = {facts.id: facts for answer in answers for facts in answer}
        mine = {stream_id for stream_id, stream in self._streams.items() if owned(stream)}
        others = [facts for facts in found.values() if facts.id not in mine]
        return [Replica("", facts, self, self._workshop(facts.id, facts.tenant)) for facts in others]

    async def _listed(self, node: str, body: bytes) -> Sequence[letters.Facts]:
        try:
            return read(letters.FactsList, await self._cluster.ask(node, "list", body)).streams
        except ServiceError as error:
            event(logger, "cluster.list_partial", node=node, code=error.code)
            return []

    async def own(self, stream_ids: Sequence[StreamId]) -> None:
        """These are here. A directory that is away hears of it when it is back."""
        try:
            await self._cluster.own(stream_ids)
        except ServiceError:
            event(logger, "cluster.streams_untold", streams=len(stream_ids))

    async def disown(self, stream_ids: Sequence[StreamId]) -> None:
        """They are kept no more."""
        with suppress(ServiceError):
            await self._cluster.disown(stream_ids)

    def forget(self, stream_id: StreamId) -> None:
        """The stream is kept here no more."""
        self._publications.forget(stream_id)

    async def shared(self, song: str, order: letters.Sharing, seconds: float) -> Replica | None:
        """The stream of another node that is this song; None where this node is to order it, for all."""
        mine = self._cluster.node
        for _ in range(3):
            holder = await self._cluster.claim(song, mine, seconds)
            if holder == mine:
                return None
            try:
                answer = await self._cluster.ask(holder, "share", order.octets(), PATIENT_SECONDS)
                if answer:
                    return await self.find(order.tenant, StreamId(answer.decode()))
            except RequestError:
                pass  # It has gone since.
            except ServiceError:
                if holder in self._cluster.peers:
                    raise
            # It has none to share, or is gone: the song is whose claim comes next.
            await self._cluster.release(song, holder)
        return None

    async def unclaim(self, song: str) -> None:
        """The song was not ordered after all."""
        with suppress(ServiceError):
            await self._cluster.release(song, self._cluster.node)

    def crowd(self, tenant: TenantId) -> int:
        """How many of this tenant listen on other nodes, as of their last signs of life."""
        total = 0
        for node, said in self._cluster.peers.items():
            known = self._crowded.get(node)
            if known is None or known[0] is not said:
                # Once for each sign of life: this is asked whenever somebody comes.
                known = self._crowded[node] = said, crowds(said)
            total += known[1].get(tenant, 0)
        return total

    def says(self) -> bytes:
        """What this node says of itself with each sign of life."""
        return letters.Crowds(listeners=self._crowds()).octets()

    def tick(self) -> None:
        """Called about once a second: says what is heard here, and drops what others say no more."""
        rows: dict[str, list[letters.Heard]] = {}
        for stream in list(self._streams.values()):
            if not isinstance(stream, Replica) or stream.adopted:
                continue
            if stream.node not in self._cluster.peers and stream.whole:
                stream.owner_lost()
                continue
            rows.setdefault(stream.node, [])
            if (row := stream.heard()) is not None:
                rows[stream.node].append(row)
        for node, said in rows.items():
            self._cluster.tell(node, "heard", letters.HeardList(streams=said).octets())
        self._crowded = {node: known for node, known in self._crowded.items() if node in self._cluster.peers}
        now = self._instruments.now()
        for node in [node for node, at in self._heard_at.items() if now - at > WANTED_SECONDS]:
            self._forget_node(node)
        self._publications.tick()

    async def hand_over(self, seconds: float) -> None:
        """This node is leaving: what it keeps is copied to others, and what they read is read to its end.

        As far as time and their room allow.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for number, stream in enumerate(stream for stream in list(self._streams.values()) if owned(stream)):
                    peers = sorted(self._cluster.peers)
                    if not peers:
                        return
                    if stream.status.final and not stream.silent:
                        name = letters.Name(tenant=stream.tenant, stream_id=stream.id)
                        try:
                            await self._cluster.ask(peers[number % len(peers)], "keep", name.octets(), PATIENT_SECONDS)
                        except WavegateError as error:
                            event(logger, "stream.not_handed_over", stream_id=stream.id, code=error.code)
                await self._publications.read_out()

    # -- as the way to an owner ------------------------------------------------------------------------------------

    async def look(self, replica: Replica) -> None:
        facts = await self._look(replica.node, replica.tenant, replica.id)
        if facts is None:
            raise unknown()
        replica.learn(facts)

    async def want(self, replica: Replica, wishes: Sequence[Wished], at: Position | None) -> letters.Published:
        body = letters.want(replica.id, wishes, at).octets()
        return read(letters.Published, await self._cluster.ask(replica.node, "want", body))

    def follow(self, replica: Replica, log: str, reader: LogReader) -> Following:
        return self._cluster.follow(log, replica.node, reader)

    async def cancel(self, replica: Replica) -> None:
        name = letters.Name(tenant=replica.tenant, stream_id=replica.id)
        answer = await self._cluster.ask(replica.node, "cancel", name.octets(), PATIENT_SECONDS)
        replica.learn(read(letters.Facts, answer))

    async def gone(self, replica: Replica) -> bool:
        # The question tells whether there is anybody to ask.
        owner = await self._cluster.owner(replica.id)
        return owner != replica.node and replica.node not in self._cluster.peers

    def adopted(self, replica: Replica) -> None:
        self._spawn(self.own([replica.id]), f"adopted {replica.id}")

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._spawn(work, name)

    async def _look(self, node: str, tenant: TenantId, stream_id: StreamId) -> letters.Facts | None:
        name = letters.Name(tenant=tenant, stream_id=stream_id)
        answer = await self._cluster.ask(node, "look", name.octets())
        return read(letters.Facts, answer) if answer else None

    # -- what other nodes ask --------------------------------------------------------------------------------------

    def _own(self, name: letters.Name) -> AnyStream | None:
        stream = self._streams.get(name.stream_id)
        return stream if stream is not None and stream.tenant == name.tenant and owned(stream) else None

    async def _on_look(self, node: str, body: bytes) -> bytes:
        stream = self._own(read(letters.Name, body))
        return facts_of(stream).octets() if stream is not None else b""

    async def _on_list(self, node: str, body: bytes) -> bytes:
        tenant = read(letters.Listing, body).tenant
        mine = [stream for stream in self._streams.values() if stream.tenant == tenant and owned(stream)]
        newest = sorted(mine, key=lambda stream: stream.created_at, reverse=True)[:MOST_LISTED]
        told = letters.FactsList(streams=[])
        octets = 0
        for facts in map(facts_of, newest):
            # Lyrics make most of it. What is not told is older than what is.
            octets += LISTED_OCTETS + len((facts.lyrics or "").encode()) + len(facts.request.words.encode())
            if octets > MOST_OCTETS:
                break
            told.streams.append(facts)
        return told.octets()

    async def _on_want(self, node: str, body: bytes) -> bytes:
        want = read(letters.Want, body)
        stream = self._streams.get(want.stream_id)
        if stream is None or not owned(stream):
            raise unknown()
        wishes = want.wished
        channel = await stream.obtain(wishes)
        # The same format may be wished for in several ways.
        chosen = next(at for at, one in enumerate(wishes) if stream.renditions.existing([one]) is channel)
        self._heard_at[node] = self._instruments.now()
        publication = self._publications.want(channel, node)
        return letters.Published(
            chosen=chosen,
            number=channel.rendition.number,
            epoch=channel.rendition.epoch,
            log=publication.log_name,
            end=channel.end,
            over=channel.outcome is not None,
            moment=stream.moment(want.position) if want.position is not None else None,
        ).octets()

    async def _on_heard(self, node: str, body: bytes) -> bytes:
        self._heard_at[node] = self._instruments.now()
        rows = {row.stream_id: row for row in read(letters.HeardList, body).streams}
        for stream in self._streams.values():
            row = rows.get(stream.id)
            if row is not None and (row.listeners or row.came):
                stream.came()
            if row is not None and row.listeners:
                stream.elsewhere[node] = row.listeners
            else:
                stream.elsewhere.pop(node, None)
        self._publications.reads(node, {(row.stream_id, number) for row in rows.values() for number in row.reading})
        return b""

    async def _on_cancel(self, node: str, body: bytes) -> bytes:
        stream = self._own(read(letters.Name, body))
        if stream is None:
            raise unknown()
        await stream.stop()
        return facts_of(stream).octets()

    async def _on_share(self, node: str, body: bytes) -> bytes:
        stream_id = await self._share(read(letters.Sharing, body))
        return stream_id.encode() if stream_id is not None else b""

    async def _on_keep(self, node: str, body: bytes) -> bytes:
        name = read(letters.Name, body)
        replica = await self.find(name.tenant, name.stream_id)
        await replica.obtain([Wished(replica.native.format, Wish())])
        return b""

    def _forget_node(self, node: str) -> None:
        """It has said nothing for too long."""
        del self._heard_at[node]
        for stream in self._streams.values():
            stream.elsewhere.pop(node, None)


def owned(stream: AnyStream) -> bool:
    """Whether it is this node's own."""
    return not isinstance(stream, Replica) or stream.adopted
