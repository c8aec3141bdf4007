"""What a node books by itself while the ledger that it shares is away, and how that is carried over afterwards.

Rows that were reserved meanwhile are kept as in `memory:`; of rows that the shared ledger keeps, what it is to be told.
Invariant: everything is carried over exactly once. A row is told as it stands, which may be told again, and traffic by
a name under which it counts once; what was told is only let go when it was acknowledged, so that carrying over may be
broken off anywhere. It must not know when the ledger is away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.accounting import Grant, Once, Reservation, Settlement, Traffic
from gateway.model import StreamId
from gateway.quota.book import Book
from gateway.quota.entry import Entry
from gateway.quota.ledger import unavailable
from gateway.quota.memory_store import MemoryStore
from gateway.quota.redis import RedisLedger

# Rows that may be kept alone: some 50 MiB, and more than a day of one a second.
MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Word:
    """What is to be told of a row that the shared ledger keeps. `begun` is the provider's name for it, in a tuple."""

    begun: tuple[str | None] | None = None
    received: float | None = None
    settlement: Settlement | None = None
    withdrawn: bool = False


class Absence:
    """One time without the shared ledger. `name` is its own: no other absence of any node has the same."""

    def __init__(self, book: Book, name: str) -> None:
        self.book = book
        self.store = MemoryStore(MOST_ROWS)
        self._name = name
        self._once: dict[StreamId, Once | None] = {}
        self._carried: dict[StreamId, Entry] = {}
        self._words: dict[StreamId, Word] = {}
        self._tellings: dict[str, Sequence[Traffic]] = {}
        self._traffic: dict[StreamId, Traffic] = {}
        self._told = 0

    # -- booking alone ---------------------------------------------------------------------------------------------

    def keeps(self, stream_id: StreamId) -> bool:
        """Whether this is a row of this time, and not the shared ledger's."""
        return stream_id in self._once

    def reserve(self, reservation: Reservation) -> Grant:
        if len(self._once) >= MOST_ROWS:
            raise unavailable("is away, and what this node may keep alone is full")
        grant = self.book.reserve(self.store, reservation)
        if not grant.repeated:
            self._once[grant.stream_id] = reservation.once
        return grant

    def withdraw(self, stream_id: StreamId) -> None:
        if not self.keeps(stream_id) or stream_id in self._carried:
            self._note(stream_id, Word(withdrawn=True))
        if self.keeps(stream_id):
            self.book.withdraw(self.store, stream_id)
            self._once[stream_id] = None

    def begin(self, stream_id: StreamId, provider_request_id: str | None) -> None:
        if self.keeps(stream_id):
            self.book.begin(self.store, stream_id, provider_request_id)
        else:
            self._note(stream_id, Word(begun=(provider_request_id,)))

    def renew(self, stream_id: StreamId, received_seconds: float) -> bool:
        if self.keeps(stream_id):
            return self.book.renew(self.store, stream_id, received_seconds)
        self._note(stream_id, Word(received=received_seconds))
        return True

    def extend(self, stream_id: StreamId, seconds: float) -> float:
        if self.keeps(stream_id):
            return self.book.extend(self.store, stream_id, seconds)
        # Nobody knows here what its tenant has left. Who has begun goes on without.
        raise unavailable("is away")

    def note_settlement(self, stream_id: StreamId, settlement: Settlement) -> None:
        """Of a row that the shared ledger keeps."""
        self._note(stream_id, Word(settlement=settlement))

    def heard(self, traffic: Sequence[Traffic]) -> None:
        self.book.heard(self.store, [one for one in traffic if self.keeps(one.stream_id)])
        for one in traffic:
            if not self.keeps(one.stream_id):
                before = self._traffic.get(one.stream_id, Traffic(one.stream_id, 0.0, 0))
                self._traffic[one.stream_id] = Traffic(
                    one.stream_id,
                    before.listener_seconds + one.listener_seconds,
                    before.egress_bytes + one.egress_bytes,
                )

    def note_telling(self, name: str, traffic: Sequence[Traffic]) -> None:
        """Traffic of which nobody knows whether it was taken under this name."""
        self._tellings[name] = traffic

    def _note(self, stream_id: StreamId, word: Word) -> None:
        before = self._words.get(stream_id, Word())
        self._words[stream_id] = replace(
            before,
            begun=word.begun or before.begun,
            received=before.received if word.received is None else word.received,
            settlement=before.settlement or word.settlement,
            withdrawn=before.withdrawn or word.withdrawn,
        )

    # -- carrying over ---------------------------------------------------------------------------------------------

    @property
    def left(self) -> int:
        """How many rows and words are not carried over yet."""
        return len(self._stale()) + len(self._words) + len(self._tellings) + len(self._traffic)

    @property
    def rows(self) -> list[Entry]:
        """Every row of this time, as it stands."""
        return [entry for stream_id in self._once if (entry := self.store.entry(stream_id)) is not None]

    async def carry_over(self, shared: RedisLedger) -> None:
        """Until nothing is left. Raises ServiceError when it is away again; to be called again then."""
        while self.left:
            for stream_id, word in list(self._words.items()):
                await _say(shared, stream_id, word)
                if self._words[stream_id] is word:
                    del self._words[stream_id]
            for entry in self._stale():
                await shared.carry(entry, self._once[entry.stream_id])
                self._carried[entry.stream_id] = entry
            if self._traffic:
                self._told += 1
                self._tellings[f"{self._name}:{self._told}"] = list(self._traffic.values())
                self._traffic = {}
            for name, traffic in list(self._tellings.items()):
                await shared.heard_once(traffic, name)
                del self._tellings[name]

    def _stale(self) -> list[Entry]:
        return [entry for entry in self.rows if self._carried.get(entry.stream_id) != entry]


async def _say(shared: RedisLedger, stream_id: StreamId, word: Word) -> None:
    if word.begun is not None:
        await shared.begin(stream_id, *word.begun)
    if word.received is not None:
        await shared.renew(stream_id, word.received)
    if word.settlement is not None:
        await shared.settle(stream_id, word.settlement)
    if word.withdrawn:
        await shared.withdraw(stream_id)
