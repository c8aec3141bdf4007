"""A worker's place: somebody works there, or the next one is on the way.

Invariant: one that has died, or leaves of its own accord, is followed by another; waits between starts grow, up to a
cap, and shrink again once a worker has lived for a while. In a replacement the new one is ready before the old one is
told to go, and when it does not get ready the old one stays.
It must not know what a worker does, nor how many places there are.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.log import event
from gateway.workers.worker import Worker

logger = logging.getLogger("wavegate.workers")

# Seconds. The first start after a death comes soon, because new connections wait at this place's socket.
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0
# A worker that has lived this long did not die of its start.
LONG_LIFE = 30.0
# A place that is empty for longer gives its socket up: who waits there is refused, and who comes goes elsewhere.
EMPTY_SECONDS = 5.0
START_SECONDS = 60.0
_MOST_DOUBLINGS = 10


def wait_before(start: int, chance: float) -> float:
    """Seconds before start number `start` after a death, from 1: 0.05 to 0.1, 0.1 to 0.2 ... with `chance` 0 to 1."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(start - 1, _MOST_DOUBLINGS))
    return longest * (0.5 + chance / 2)


@dataclass(frozen=True, slots=True)
class Means:
    """What a place needs. `start` starts a worker for the place of this number; it may raise OSError.

    `fit` tells whether a new worker may take over; `vacant` is called when a place has been empty for too long, and
    `restarted` when a worker serves in place of another, with the reason. Times are in seconds, `chance` is 0 to 1.
    """

    start: Callable[[int], Awaitable[Worker]]
    fit: Callable[[Worker], Awaitable[bool]]
    vacant: Callable[[int], None]
    restarted: Callable[[str], None]
    clock: Callable[[], float]
    chance: Callable[[], float]
    start_seconds: float = START_SECONDS
    empty_seconds: float = EMPTY_SECONDS
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep


class Place:
    """`worker` is who works here, None while nobody does. `tried` is set when the first start succeeded or failed.

    `code` is the exit code of the last start that failed, None where there was no process.
    """

    def __init__(self, number: int, means: Means) -> None:
        self.worker: Worker | None = None
        self.tried = asyncio.Event()
        self.code: int | None = None
        self._number = number
        self._means = means
        self._changing = asyncio.Lock()
        self._vacancy: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """One worker after the other, until it is cancelled."""
        start, means = 0, self._means
        try:
            while True:
                async with self._changing:
                    self.worker = await self._attempt()
                if self.worker is None:
                    start += 1
                else:
                    if self.tried.is_set():
                        means.restarted("died")
                    self._filled()
                self.tried.set()
                if self.worker is not None:
                    last = await self._served()
                    start = 1 if means.clock() - last.ready_at > LONG_LIFE else start + 1
                    self._emptied()
                await means.wait(wait_before(start, means.chance()))
        finally:
            self._filled()

    async def replace(self) -> Worker | None:
        """Has another worker take over; who has worked here, and goes. None where that is not possible now."""
        async with self._changing:
            old = self.worker
            if old is None:
                return None
            new = await self._attempt()
            if new is None:
                return None
            if not await self._means.fit(new):
                new.drain()
                return None
            self.worker = new
        self._means.restarted("replaced")
        old.drain()
        return old

    async def _attempt(self) -> Worker | None:
        """A new one that serves; None, behind an entry in the log, where that has failed."""
        try:
            worker = await self._means.start(self._number)
        except OSError as error:
            event(logger, "worker.not_started", worker=self._number, reason=error.strerror)
            return None
        if await worker.settled(self._means.start_seconds):
            return worker
        if not worker.leaving.is_set():
            event(logger, "worker.not_ready", worker=self._number, pid=worker.pid)
        worker.kill()
        self.code = await worker.ended
        return None

    async def _served(self) -> Worker:
        """Until nobody works here any more; who was the last."""
        while True:
            worker = self.worker
            assert worker is not None, "somebody works here"
            await worker.leaving.wait()
            async with self._changing:
                if self.worker is worker:
                    self.worker = None
                    return worker

    def _emptied(self) -> None:
        loop = asyncio.get_running_loop()
        self._vacancy = loop.call_later(self._means.empty_seconds, self._means.vacant, self._number)

    def _filled(self) -> None:
        if self._vacancy is not None:
            self._vacancy.cancel()
            self._vacancy = None
