"""All that this node reads of the others comes through here, by one task: its letters, and the logs that it follows.

Invariant: one blocking read waits for all of them at once. A log is read from its beginning, in order and without a
hole: what is missing, trimmed or deleted ends the following with `lost`, and so does a reader that breaks. Nothing is
fetched that has not been handed over before, so a slow loop makes nothing grow.
It must not know what letters and entries say, nor who lives.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from gateway.cluster.keys import inbox_of, log_of
from gateway.cluster.logs import FIELD, number_of
from gateway.cluster.outbox import FIELD as LETTER
from gateway.errors import ServiceError
from gateway.log import event
from gateway.redis.connection import Redis, Value

logger = logging.getLogger("wavegate.cluster")

BLOCK_SECONDS = 1.0
# What a read costs grows with the logs that it names. It waits so long for each of them after one that gave something,
# so that entries of many logs come together; for a few it does not wait at all.
PACE_SECONDS = 0.00002
LEAST_PACE_SECONDS = 0.001
# As many entries come in one read, of all logs together, and of one; and as many are handed over between two turns of
# the loop.
READ_ENTRIES = 256
READ_ENTRIES_OF_ONE = 32
TURN_ENTRIES = 16
# As many logs catch up at a time.
CATCHING_UP = 8
# How often it is looked whether logs that say nothing are still there.
LOOK_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5
# So many signs of life without the owner's, and it is gone: one that has just begun is not known at the first.
ABSENCES = 2

Entry = tuple[bytes, dict[bytes, bytes]]


class LogReader(Protocol):
    """What reads a log."""

    def entry(self, entry: bytes) -> None: ...

    def lost(self, owner_lost: bool) -> None: ...


class Following:
    """A log that is being read; `last` is the number of the entry that was handed over last."""

    def __init__(self, key: str, node: str, reader: LogReader, closed: Callable[["Following"], None]) -> None:
        self.key = key
        self.node = node
        self.reader = reader
        self.last = 0
        self.absences = 0
        self.leaving = False
        self.open = True
        self._closed = closed

    def close(self) -> None:
        """It is read no more, from this moment on."""
        self.open = False
        self._closed(self)


class Reading:
    """`run` is the task. `letter` takes the octets of one; `wake` has an empty letter come soon."""

    def __init__(self, redis: Redis, node: str, letter: Callable[[bytes], None], wake: Callable[[], None]) -> None:
        self._redis = redis
        self._inbox = inbox_of(node)
        self._letter = letter
        self._wake = wake
        # The letter read last: what is up to it may go.
        self.read_up_to = b"0-0"
        self._followings: dict[str, Following] = {}
        # Those that have a backlog, or may have one, by whose turn it is: read by themselves until they have not.
        self._behind: dict[Following, None] = {}
        self._blocked = False
        self._look_at = 0.0

    def follow(self, node: str, name: str, reader: LogReader) -> Following:
        """From its beginning on. Raises ValueError where it is being followed already."""
        key = log_of(node, name)
        if key in self._followings:
            raise ValueError(f"this log is being followed already: {key}")
        following = self._followings[key] = Following(key, node, reader, self._forget)
        self._behind[following] = None
        if self._blocked:
            self._wake()
        return following

    def _forget(self, following: Following) -> None:
        if self._followings.get(following.key) is following:
            del self._followings[following.key]

    def _lose(self, following: Following, *, owner_lost: bool) -> None:
        if following.open:
            following.close()
            try:
                following.reader.lost(owner_lost)
            except Exception:
                event(logger, "cluster.reader_failed", exc_info=True)

    def lost(self, node: str) -> None:
        """That node is dead."""
        for following in list(self._followings.values()):
            if following.node == node:
                self._lose(following, owner_lost=True)

    def left(self, node: str) -> None:
        """That node has gone, and had sent all before it said so: its logs are read to their ends."""
        for following in self._followings.values():
            following.leaving = following.leaving or following.node == node
        if self._blocked:
            self._wake()

    def living(self, nodes: Collection[str]) -> None:
        """These are alive, and no others, says a sign of life."""
        for following in list(self._followings.values()):
            following.absences = 0 if following.node in nodes else following.absences + 1
            if following.absences >= ABSENCES:
                self._lose(following, owner_lost=True)

    # -- reading ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Reads for ever."""
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE
        while True:
            try:
                if clock() >= self._look_at:
                    await self._look()
                    self._look_at = clock() + LOOK_SECONDS
                if self._behind:
                    await self._catch_up()
                if await self._read() and (pace := self._pace()) >= LEAST_PACE_SECONDS:
                    await asyncio.sleep(pace)
                pause = FIRST_PAUSE
            except Exception as error:
                if not isinstance(error, ServiceError):
                    event(logger, "cluster.reading_failed", exc_info=True)
                # What is gone since then is found before anything is read.
                self._look_at = 0.0
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _pace(self) -> float:
        return 0.0 if self._behind else len(self._followings) * PACE_SECONDS

    async def _read(self) -> bool:
        """One read; whether logs gave something. Letters are few, and somebody waits for the answer."""
        followed = {f.key: f for f in self._followings.values() if f not in self._behind}
        ending = [following for following in followed.values() if following.leaving]
        count = max(1, min(READ_ENTRIES_OF_ONE, READ_ENTRIES // (len(followed) + 1)))
        places: list[Value] = [self.read_up_to, *(f"{following.last}-0" for following in followed.values())]
        self._blocked = True
        try:
            answer: Sequence[tuple[bytes, Sequence[Entry]]] = await self._redis.wait(
                BLOCK_SECONDS,
                *("XREAD", "COUNT", count),
                *(() if ending or self._behind else ("BLOCK", round(BLOCK_SECONDS * 1000))),
                "STREAMS",
                self._inbox,
                *followed,
                *places,
            )
        finally:
            self._blocked = False
        logs_gave = False
        ended = dict.fromkeys(ending)
        for key, entries in answer or ():
            following = followed.get(key.decode())
            if following is None:
                self._read_letters(entries)
            else:
                ended.pop(following, None)
                await self._hand_over(following, entries)
                logs_gave = True
        for following in ended:
            self._lose(following, owner_lost=True)
        return logs_gave

    def _read_letters(self, entries: Sequence[Entry]) -> None:
        for entry_id, fields in entries:
            self.read_up_to = entry_id
            if octets := fields.get(LETTER):
                self._letter(octets)

    async def _hand_over(self, following: Following, entries: Iterable[Entry]) -> None:
        for place, (entry_id, fields) in enumerate(entries, start=1):
            if not following.open:
                return
            number = number_of(entry_id)
            if number != following.last + 1:
                self._lose(following, owner_lost=False)
                return
            following.last = number
            # The first only makes the log.
            if number > 1:
                try:
                    following.reader.entry(fields[FIELD])
                except Exception:
                    event(logger, "cluster.reader_failed", exc_info=True)
                    self._lose(following, owner_lost=False)
                    return
            if place % TURN_ENTRIES == 0:
                await asyncio.sleep(0)

    async def _catch_up(self) -> None:
        """The next entries of some that are new or far behind: one that has never had any is not there."""
        behind = list(self._behind)[:CATCHING_UP]
        answers = await self._redis.batch(
            [("XRANGE", f.key, f"({f.last}-0", "+", "COUNT", READ_ENTRIES_OF_ONE) for f in behind]
        )
        for following, entries in zip(behind, answers, strict=True):
            del self._behind[following]
            await self._hand_over(following, entries)
            if len(entries) == READ_ENTRIES_OF_ONE and following.open:
                # Behind the others that are behind.
                self._behind[following] = None
            elif not following.last:
                self._lose(following, owner_lost=False)

    async def _look(self) -> None:
        """Whether the logs that are followed are there: a blocked read is not told that one was deleted."""
        begun = [following for following in self._followings.values() if following.last]
        if not begun or await self._redis.call("EXISTS", *[f.key for f in begun]) == len(begun):
            return
        there = await self._redis.batch([("EXISTS", following.key) for following in begun])
        for following, is_there in zip(begun, there, strict=True):
            if not is_there:
                self._lose(following, owner_lost=False)
