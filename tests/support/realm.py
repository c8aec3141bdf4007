"""A cluster that is a few dictionaries: what nodes share, as a test plays it, with a switch for all that goes wrong.

A letter that is not answered, a node that dies or leaves, a log that is lost, full or slow, a store that is away.
Invariant: nothing happens in the turn in which it is asked for, as over a network, and nothing by itself.
It must not know what the letters and entries say.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from gateway.cluster.letter import Refusal
from gateway.errors import ServiceError, WavegateError
from gateway.model import StreamId
from gateway.relay.neighbours import Handler
from gateway.relay.ports import LogReader


class Realm:
    """What the nodes share. `away` has every question fail; `held` has what logs hold wait."""

    def __init__(self) -> None:
        self.nodes: dict[str, FakeCluster] = {}
        self.owners: dict[StreamId, str] = {}
        self.claims: dict[str, str] = {}
        self.logs: dict[tuple[str, str], FakeLog] = {}
        self.followings: list[FakeFollowing] = []
        # Every letter: from, to, kind.
        self.letters: list[tuple[str, str, str]] = []
        self.away = False
        self.held = False
        self.tasks: set[asyncio.Task[None]] = set()

    def pump(self) -> None:
        """Hands over, in the next turn, what followers have not read yet."""
        asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if not (self.away or self.held):
            for following in list(self.followings):
                following.read()

    def kill(self, *names: str) -> None:
        """They die: what was not read of them is lost."""
        for name in names:
            del self.nodes[name]
        for following in list(self.followings):
            if following.reader_node in names:
                following.close()
            elif following.node in names:
                following.lose(owner_lost=True)

    def leave(self, name: str) -> None:
        """It goes and says so: its logs are read to their ends, and nothing is found there."""
        node = self.nodes.pop(name)
        self.owners = {stream_id: owner for stream_id, owner in self.owners.items() if owner != node.node}
        for following in list(self.followings):
            if following.node == name:
                following.read()
                following.lose(owner_lost=True)

    def lose_logs(self) -> None:
        """The store has forgotten them all."""
        logs, self.logs = self.logs, {}
        for log in logs.values():
            log.closed = True
            log.lost()
        for following in list(self.followings):
            following.lose(owner_lost=False)


class FakeCluster:
    """One node's. It answers none of the kinds in `deaf`; `room` is how many entries a log of it takes unread."""

    def __init__(self, realm: Realm, node: str) -> None:
        self._node = node
        self.realm = realm
        self.deaf: set[str] = set()
        self.room: int | None = None
        self.handlers: dict[str, Handler] = {}
        self.says: Callable[[], bytes] = bytes
        realm.nodes[node] = self

    @property
    def node(self) -> str:
        return self._node

    @property
    def peers(self) -> Mapping[str, bytes]:
        return {name: other.says() for name, other in self.realm.nodes.items() if name != self.node}

    async def own(self, stream_ids: Sequence[StreamId]) -> None:
        await self._call()
        self.realm.owners.update(dict.fromkeys(stream_ids, self.node))

    async def disown(self, stream_ids: Sequence[StreamId]) -> None:
        await self._call()
        for stream_id in stream_ids:
            if self.realm.owners.get(stream_id) == self.node:
                del self.realm.owners[stream_id]

    async def owner(self, stream_id: StreamId) -> str | None:
        await self._call()
        owner = self.realm.owners.get(stream_id)
        return owner if owner in self.realm.nodes else None

    async def claim(self, name: str, value: str, seconds: float) -> str:
        await self._call()
        return self.realm.claims.setdefault(name, value)

    async def release(self, name: str, value: str) -> None:
        await self._call()
        if self.realm.claims.get(name) == value:
            del self.realm.claims[name]

    async def _call(self) -> None:
        await asyncio.sleep(0)
        if self.realm.away or self.node not in self.realm.nodes:
            raise unavailable()

    async def ask(self, node: str, kind: str, body: bytes, seconds: float | None = None) -> bytes:
        await self._call()
        self.realm.letters.append((self.node, node, kind))
        other = self.realm.nodes.get(node)
        if other is None or kind in other.deaf:
            raise unavailable()
        try:
            answer = await other.handlers[kind](self.node, body)
        except WavegateError as error:
            raise Refusal.of(error).error() from None
        await self._call()
        return answer

    def tell(self, node: str, kind: str, body: bytes) -> None:
        task = asyncio.ensure_future(self._tell(node, kind, body))
        self.realm.tasks.add(task)
        task.add_done_callback(self.realm.tasks.discard)

    async def _tell(self, node: str, kind: str, body: bytes) -> None:
        other = self.realm.nodes.get(node)
        here = self.node in self.realm.nodes and not self.realm.away
        if here and other is not None and kind not in other.deaf:
            self.realm.letters.append((self.node, node, kind))
            await other.handlers[kind](self.node, body)

    def publish(self, name: str, drained: Callable[[], None], lost: Callable[[], None]) -> "FakeLog":
        assert (self.node, name) not in self.realm.logs, "a log's name is never used again"
        log = self.realm.logs[self.node, name] = FakeLog(self, name, drained, lost)
        return log

    def follow(self, name: str, node: str, reader: LogReader) -> "FakeFollowing":
        following = FakeFollowing(self, node, name, reader)
        self.realm.followings.append(following)
        self.realm.pump()
        return following


class FakeLog:
    """Entries in a list. With `cluster.room` it is full when so many are not `taken`."""

    def __init__(self, cluster: FakeCluster, name: str, drained: Callable[[], None], lost: Callable[[], None]) -> None:
        self.entries: list[bytes] = []
        self.closed = False
        self.taken = 0
        self.lost = lost
        self._cluster = cluster
        self._name = name
        self._drained = drained

    @property
    def writable(self) -> bool:
        room = self._cluster.room
        return not self.closed and (room is None or len(self.entries) - self.taken < room)

    def append(self, entry: bytes) -> None:
        if not self.closed:
            self.entries.append(entry)
            self._cluster.realm.pump()

    def drain(self) -> None:
        """What waits is taken, and the writer hears of it."""
        self.taken = len(self.entries)
        self._drained()

    def close(self) -> None:
        self.closed = True
        realm = self._cluster.realm
        realm.logs.pop((self._cluster.node, self._name), None)
        realm.pump()


class FakeFollowing:
    """A log that is being read."""

    def __init__(self, cluster: FakeCluster, node: str, name: str, reader: LogReader) -> None:
        self.node = node
        self.reader_node = cluster.node
        self._realm = cluster.realm
        self._name = name
        self._reader = reader
        self._next = 0

    def read(self) -> None:
        """What has come since, and that it is gone if it is."""
        log = self._realm.logs.get((self.node, self._name))
        while self in self._realm.followings:
            if log is None:
                self.lose(owner_lost=self.node not in self._realm.nodes)
            elif self._next < len(log.entries):
                self._next += 1
                self._reader.entry(log.entries[self._next - 1])
            else:
                return

    def lose(self, *, owner_lost: bool) -> None:
        self.close()
        self._reader.lost(owner_lost)

    def close(self) -> None:
        if self in self._realm.followings:
            self._realm.followings.remove(self)


def unavailable() -> ServiceError:
    """What is said where nobody answers."""
    return ServiceError("cluster_unavailable", "Nobody answers.", retry_after=1.0)
