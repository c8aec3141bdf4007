"""Renditions that other nodes hear: publishing is one more listener, whose line is a log that they can follow.

Invariant: a rendition is published once, however many nodes want it, from the oldest chunk that is kept; it is
published as long as a node has said within WANTED_SECONDS that it reads it. A log that breaks is given up, never
mended: who reads it asks again and finds another. A slow log keeps nobody waiting but those who read it.
It must not know what a log is made of.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence

from gateway.errors import WavegateError
from gateway.model import Chunk, Position, StreamId
from gateway.relay import letters
from gateway.relay.channel import CLUSTER, Channel
from gateway.relay.listener import Listener, OnLag
from gateway.relay.outcome import Outcome
from gateway.relay.ports import Cluster, Log
from transcode.formats import StreamFormat

# Nodes say once a second what they read: so many of their words may be late or lost.
WANTED_SECONDS = 10.0
# What a node asked for just now it may not have said yet that it reads.
ASKED_SECONDS = 2.0


class Publication:
    """One rendition on its way to other nodes: the listener's transport and its line in one."""

    name = CLUSTER
    form: Callable[[Chunk], bytes] | None = None  # it is to see every chunk itself

    def __init__(self, channel: Channel, cluster: Cluster, live_lag: float, log_name: str) -> None:
        self.channel = channel
        self.log_name = log_name
        self.broken = False
        self._wanted: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self.log: Log = cluster.publish(log_name, self._drained, self._lost)
        self._listener = Listener(channel, self, channel.first, OnLag.COMPLETE, live_lag)
        self._listener.join()

    def ask(self, node: str, now: float) -> None:
        """This node is going to read it."""
        self._asked[node] = now + ASKED_SECONDS
        self._wanted[node] = now + WANTED_SECONDS

    def read(self, node: str, now: float, *, reads: bool) -> None:
        """What this node says of itself: it reads it, or it does not."""
        if reads:
            self._wanted[node] = now + WANTED_SECONDS
        elif node in self._wanted and self._asked.get(node, 0.0) <= now:
            del self._wanted[node]

    def wanted(self, now: float) -> bool:
        """Whether any node reads it."""
        self._wanted = {node: until for node, until in self._wanted.items() if until > now}
        return bool(self._wanted)

    def close(self) -> None:
        """Nobody reads it, or nobody can. A second call does nothing."""
        self._listener.leave()
        self.log.close()

    def _drained(self) -> None:
        if not self.broken:
            self._listener.pump()

    def _lost(self) -> None:
        self.broken = True
        self._listener.leave()

    # -- as a transport, and its line ----------------------------------------------------------------------------------

    @property
    def line(self) -> "Publication":
        return self

    @property
    def sink(self) -> "Publication":
        return self

    def write(self, data: bytes) -> None:
        """Nothing comes this way, for its chunks have no form that they share with other listeners'."""

    @property
    def writable(self) -> bool:
        return self.log.writable and not self.broken

    def started(self, at: Position, form: StreamFormat, number: int, init: Chunk | None) -> None:
        pts = self.channel.pts(at.seq)
        self.log.append(letters.opened_entry(form, init.payload if init is not None else b"", at.seq, pts))

    def send(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            self.log.append(letters.chunk_entry(chunk))

    def metadata(self, text: bytes) -> None:
        # News are as good as new a second later: they wait for nobody.
        if self.writable:
            self.log.append(letters.news_entry(text))

    def gap(self, from_seq: int, to_seq: int, reason: str) -> None:
        """Whoever reads sees by the chunks what is missing, and tells its listeners."""

    def refused(self, error: WavegateError) -> None:
        """It was too slow for what is kept, or broke: whoever reads asks again, and hears where what is kept begins."""
        self.broken = True
        self.log.close()

    def ended(self, outcome: Outcome) -> None:
        self.log.append(letters.ended_entry(outcome))


class Publications:
    """All of one node. `now` is monotonic."""

    def __init__(self, cluster: Cluster, live_lag: float, now: Callable[[], float]) -> None:
        self._cluster = cluster
        self._live_lag = live_lag
        self._now = now
        self._all: dict[tuple[StreamId, int], Publication] = {}
        self._count = 0
        self._read: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._all)

    def want(self, channel: Channel, node: str) -> Publication:
        """The rendition's publication, which this node is going to read."""
        name = channel.rendition.stream_id, channel.rendition.number
        known = self._all.get(name)
        if known is None or known.broken or known.channel is not channel:
            if known is not None:
                known.close()
            self._count += 1  # no log has the name of one before
            log_name = f"{name[0]}:{name[1]:08x}:{self._count}"
            known = self._all[name] = Publication(channel, self._cluster, self._live_lag, log_name)
        known.ask(node, self._now())
        return known

    def reads(self, node: str, names: Collection[tuple[StreamId, int]]) -> None:
        """All that this node reads now."""
        now = self._now()
        for name, publication in self._all.items():
            publication.read(node, now, reads=name in names)

    def tick(self) -> None:
        """Called about once a second: gives up what nobody reads any more."""
        now = self._now()
        for name, publication in list(self._all.items()):
            if publication.broken or not publication.wanted(now):
                del self._all[name]
                publication.close()
        if not self._all and self._read is not None:
            self._read.set_result(None)
            self._read = None

    async def read_out(self) -> None:
        """Until nobody reads any of them: those who do have said that they have them whole."""
        if self._all:
            self._read = self._read or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._read)

    def forget(self, stream_id: StreamId) -> None:
        """The stream is kept no more."""
        for name in [name for name in self._all if name[0] == stream_id]:
            self._all.pop(name).close()
