"""Logs that this node writes, each a Redis Stream: entries numbered from 1, kept here until Redis surely has them.

Invariant: entry n has the ID `n-0`. So what may have been taken, when an answer was lost, is found by asking for the
last ID and is never there twice, and who reads sees it when one is missing. The first is no entry of the writer's: it
makes the log, and none but it can, so a log that Redis has forgotten is never begun in its middle.
It must not know when its commands are sent, nor what entries mean.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from gateway.log import event
from gateway.redis.connection import Command

logger = logging.getLogger("wavegate.cluster")

# As much may wait to be taken by Redis, of each log, before `writable` is False.
PENDING_OCTETS = 1 << 20
PENDING_ENTRIES = 256
# As much is kept in Redis, of each; a follower that comes later than that finds it lost.
KEPT_OCTETS = 64 << 20
KEPT_ENTRIES = 1 << 14
# Time after which an unattended log is gone, and how often it is attended.
EXPIRY_SECONDS = 120
# What of one log goes into one batch, so that logs take turns.
BATCH_ENTRIES = 64
BATCH_OCTETS = 256 << 10

FIELD = b"e"


def number_of(entry_id: bytes) -> int:
    """The place in its log of the entry with this ID."""
    return int(entry_id.partition(b"-")[0])


class PublishedLog:
    """One log. `waits` is told that there is something to send; `drained` and `lost` are as the relay has them."""

    def __init__(
        self,
        key: str,
        drained: Callable[[], None],
        lost: Callable[[], None],
        waits: Callable[["PublishedLog"], None],
        kept_octets: int = KEPT_OCTETS,
    ) -> None:
        self.key = key
        self.closed = False
        # How much the last `commands` hold.
        self.sending_octets = 0
        self._drained = drained
        self._lost = lost
        self._waits = waits
        self._kept_limit = kept_octets
        # Not surely taken yet, the first of them on their way; `_taken` is the number of the last that surely is.
        self._pending: deque[bytes] = deque([b""])
        self._pending_octets = 0
        self._sending = 0
        self._taken = 0
        # The sizes of those from `_first` on: what is kept.
        self._sizes: deque[int] = deque([0])
        self._kept_octets = 0
        self._first = 1
        self._full = False

    @property
    def writable(self) -> bool:
        """False from when more waits than may, until half of that has been taken; and when it is closed or lost."""
        return not (self._full or self.closed)

    def append(self, entry: bytes) -> None:
        """Sends it as soon as may be. Of a log that is closed or lost it goes nowhere."""
        if self.closed:
            return
        self._pending.append(entry)
        self._pending_octets += len(entry)
        self._full = self._full or self._pending_octets >= PENDING_OCTETS or len(self._pending) >= PENDING_ENTRIES
        self._sizes.append(len(entry))
        self._kept_octets += len(entry)
        while self._kept_octets > self._kept_limit or len(self._sizes) > KEPT_ENTRIES:
            self._kept_octets -= self._sizes.popleft()
            self._first += 1
        self._waits(self)

    def close(self) -> None:
        """It is needed no more: what it holds goes."""
        if not self.closed:
            self._end()

    def _end(self) -> None:
        self.closed = True
        self._pending.clear()
        self._pending_octets = 0
        self._waits(self)

    def forgotten(self) -> None:
        """Redis has it no more, or not as it was."""
        if not self.closed:
            self._end()
            _tell(self._lost)

    # -- what the outbox asks --------------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether Redis surely had it."""
        return self._taken > 0

    @property
    def waiting(self) -> bool:
        return bool(self._pending)

    def commands(self) -> list[Command]:
        """What is to be sent next; it is on its way now, until `answered` or `unanswered`."""
        commands: list[Command] = []
        octets = 0
        for number, entry in enumerate(self._pending, start=self._taken + 1):
            octets += len(entry)
            if commands and (octets > BATCH_OCTETS or len(commands) >= BATCH_ENTRIES):
                break
            commands.append(self._command(number, entry))
        self._sending = len(commands)
        self.sending_octets = octets
        if self._taken == 0:
            commands.append(self.attend())
        return commands

    def _command(self, number: int, entry: bytes) -> Command:
        guard = ("NOMKSTREAM",) if number > 1 else ()
        trim = ("MINID", "~", self._first) if self._first > 1 else ()
        return ("XADD", self.key, *guard, *trim, f"{number}-0", FIELD, entry)

    def attend(self) -> Command:
        """Has it live on; its answer is false where it is gone."""
        return ("PEXPIRE", self.key, EXPIRY_SECONDS * 1000)

    def answered(self, answers: Sequence[Any]) -> None:
        """To what `commands` gave."""
        sent, self._sending = self._sending, 0
        if not all(answers[:sent]):
            self.forgotten()
        else:
            self._took(sent)

    def unanswered(self) -> None:
        """Of what is on its way nobody knows."""
        self._sending = 0

    def inquire(self) -> Command:
        """Asks what Redis has of it, to be given to `found`."""
        return ("XREVRANGE", self.key, "+", "-", "COUNT", 1)

    def found(self, answer: Sequence[Any]) -> None:
        last = number_of(answer[0][0]) if answer else 0
        if last < self._taken:
            self.forgotten()
        else:
            self._took(last - self._taken)

    def _took(self, entries: int) -> None:
        # It may have been closed meanwhile: then nothing is pending.
        self._taken += entries
        for _ in range(min(entries, len(self._pending))):
            self._pending_octets -= len(self._pending.popleft())
        if self._full and self._pending_octets <= PENDING_OCTETS // 2 and len(self._pending) <= PENDING_ENTRIES // 2:
            self._full = False
            if not self.closed:
                _tell(self._drained)


def _tell(call: Callable[[], None]) -> None:
    # Whoever breaks at the news harms no other log.
    try:
        call()
    except Exception:
        event(logger, "cluster.writer_failed", exc_info=True)
