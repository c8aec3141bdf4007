"""All that this node sends to the others goes through here, by one task: letters, and the entries of its logs.

Invariant: one batch is on its way at a time, and a log is begun before any letter that may name it is sent. A letter is
tried once, if no more is asked for, and reported where it failed; of logs all that was not surely taken is sent when
Redis is back. What waits is bounded: letters by number and octets, logs by their `writable`.
It must not know what letters and entries say.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from gateway.cluster.keys import inbox_of
from gateway.cluster.logs import EXPIRY_SECONDS, KEPT_OCTETS, PublishedLog
from gateway.errors import ServiceError
from gateway.log import event
from gateway.redis.connection import Command, Redis

# An inbox that nobody reads holds about so many; the oldest go.
INBOX_LETTERS = 1024
WAITING_LETTERS = 1024
WAITING_OCTETS = 16 << 20
# After so much a batch is full.
ROUND_OCTETS = 1 << 20
ROUND_LETTERS = 128
# As many logs are asked after in one batch.
SLICE = 64
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0

FIELD = b"l"

logger = logging.getLogger("wavegate.cluster")


class _Posted(NamedTuple):
    node: str
    octets: bytes
    undelivered: Callable[[], None]
    tries: int


class Outbox:
    """`run` is the task. `kept_octets` is how much of each log Redis keeps."""

    def __init__(self, redis: Redis, *, kept_octets: int = KEPT_OCTETS) -> None:
        self._redis = redis
        self._kept_octets = kept_octets
        self._letters: deque[_Posted] = deque()
        self._letter_octets = 0
        self._open: dict[str, PublishedLog] = {}
        # Those with something to send, by whose turn it is, and the keys that are to be deleted.
        self._waiting: dict[str, PublishedLog] = {}
        self._ended: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        # Whether it is known what Redis has of each log.
        self._sure = True

    # -- what is to be sent ----------------------------------------------------------------------------------------

    def post(self, node: str, octets: bytes, undelivered: Callable[[], None] = lambda: None, tries: int = 1) -> None:
        """A letter to that node's inbox. `undelivered` is called where it did not get there, or not for sure.

        More `tries` than one may take it there more than once.
        """
        if len(self._letters) >= WAITING_LETTERS or self._letter_octets + len(octets) > WAITING_OCTETS:
            undelivered()
            return
        self._letters.append(_Posted(node, octets, undelivered, tries))
        self._letter_octets += len(octets)
        self._wake.set()

    @staticmethod
    def command(node: str, octets: bytes) -> Command:
        """What sends a letter; its answer is None where nobody lives there."""
        return ("XADD", inbox_of(node), "NOMKSTREAM", "MAXLEN", "~", INBOX_LETTERS, "*", FIELD, octets)

    def publish(self, key: str, drained: Callable[[], None], lost: Callable[[], None]) -> PublishedLog:
        """A new log under a key that was never used. Raises ValueError where it is in use."""
        if key in self._open or key in self._ended:
            raise ValueError(f"a log of this name is there already: {key}")
        log = PublishedLog(key, drained, lost, self._attention, self._kept_octets)
        self._open[key] = log
        self._attention(log)
        return log

    def _attention(self, log: PublishedLog) -> None:
        if log.closed:
            self._waiting.pop(log.key, None)
            del self._open[log.key]
            self._ended[log.key] = None
        else:
            self._waiting[log.key] = log
        self._wake.set()

    def doubt(self) -> None:
        """Redis may have forgotten things: every log is asked after."""
        self._sure = False
        self._wake.set()

    async def idle(self) -> None:
        """Until nothing waits to be sent."""
        self._idle.clear()
        self._wake.set()
        await self._idle.wait()

    # -- sending ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Sends for ever."""
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE
        attend_at = clock() + EXPIRY_SECONDS / 4
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(attend_at):
                    await self._wake.wait()
            self._wake.clear()
            try:
                if clock() >= attend_at:
                    await self._attend()
                    attend_at = clock() + EXPIRY_SECONDS / 4
                await self._send()
                pause = FIRST_PAUSE
            except Exception as error:
                if not isinstance(error, ServiceError):
                    event(logger, "cluster.sending_failed", exc_info=True)
                self._failed()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _send(self) -> None:
        while True:
            if not self._sure:
                await self._inquire()
            if not (self._letters or self._waiting or self._ended):
                self._idle.set()
                return
            await self._round()

    async def _round(self) -> None:
        ended = list(self._ended)
        logs = self._next_logs()
        # A letter may name a log that was published before it.
        letters = [] if any(not log.begun for log in self._waiting.values()) else self._next_letters()
        commands: list[Command] = [("UNLINK", *ended)] if ended else []
        commands += [command for _, ours in logs for command in ours]
        commands += [self.command(letter.node, letter.octets) for letter in letters]
        try:
            answers = await self._redis.batch(commands)
        except BaseException:
            self._letters.extendleft(reversed(letters))
            self._letter_octets += sum(len(letter.octets) for letter in letters)
            for log, _ in logs:
                log.unanswered()
                self._again(log)
            raise
        if ended:
            del answers[0]
            for key in ended:
                self._ended.pop(key, None)
        place = 0
        for log, ours in logs:
            log.answered(answers[place : place + len(ours)])
            self._again(log)
            place += len(ours)
        for letter, answer in zip(letters, answers[place:], strict=True):
            if answer is None:
                letter.undelivered()

    def _next_logs(self) -> Sequence[tuple[PublishedLog, Sequence[Command]]]:
        chosen: list[tuple[PublishedLog, Sequence[Command]]] = []
        octets = 0
        for log in sorted(self._waiting.values(), key=lambda log: log.begun):
            if octets >= ROUND_OCTETS:
                break
            del self._waiting[log.key]
            chosen.append((log, log.commands()))
            octets += log.sending_octets
        return chosen

    def _next_letters(self) -> Sequence[_Posted]:
        chosen: list[_Posted] = []
        octets = 0
        while self._letters and len(chosen) < ROUND_LETTERS and octets < ROUND_OCTETS:
            letter = self._letters.popleft()
            chosen.append(letter)
            octets += len(letter.octets)
        self._letter_octets -= octets
        return chosen

    def _again(self, log: PublishedLog) -> None:
        if log.waiting:
            self._waiting[log.key] = log

    def _failed(self) -> None:
        self._sure = False
        self._wake.set()
        letters, self._letters, self._letter_octets = self._letters, deque(), 0
        for letter in letters:
            if letter.tries > 1:
                self.post(letter.node, letter.octets, letter.undelivered, letter.tries - 1)
            else:
                letter.undelivered()

    # -- what Redis has --------------------------------------------------------------------------------------------

    async def _inquire(self) -> None:
        self._sure = True
        for logs in _slices(self._open.values()):
            for log, answer in zip(logs, await self._redis.batch([log.inquire() for log in logs]), strict=True):
                log.found(answer)

    async def _attend(self) -> None:
        for logs in _slices(log for log in self._open.values() if log.begun):
            for log, answer in zip(logs, await self._redis.batch([log.attend() for log in logs]), strict=True):
                if not answer:
                    log.forgotten()

    @property
    def keys(self) -> Sequence[str]:
        """Of all logs that are there, or may be."""
        return [*self._open, *self._ended]


def _slices(logs: Iterable[PublishedLog]) -> Iterator[Sequence[PublishedLog]]:
    # Of what is there now: others are published while answers are awaited.
    now = iter(list(logs))
    while part := list(islice(now, SLICE)):
        yield part
