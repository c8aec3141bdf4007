"""The keeper of one worker's place: starts a worker, watches over it, and starts the next one when it has died.

Invariant: there is a desk exactly while a worker lives; it is taken away before anybody hears that the worker is lost.
A step that takes longer than `step_timeout` seconds means a worker that hangs, which is killed. Waits between starts
grow, up to a cap, and shrink again once a worker has lived for a while.
It must not know whether a worker is a process or a thread.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from gateway.encoding.desk import Desk
from gateway.log import event
from metrics.recorder import Recorder
from transcode.messages import Answer, Request

logger = logging.getLogger("wavegate.encoding")

# Seconds. The first start after a death comes soon, because its encodes have nowhere else to go.
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0
# A worker that has lived this long did not die of its start.
LONG_LIFE = 30.0
_MOST_DOUBLINGS = 10
_LOOK_SECONDS = 1.0
_LAST_SECONDS = 1.0  # what a worker has to end in that is of no more use


class Worker(Protocol):
    """What a keeper and a desk need of a worker."""

    @property
    def name(self) -> str: ...
    async def start(self) -> bool: ...
    def send(self, request: Request) -> None: ...
    def kill(self) -> None: ...
    async def ended(self, seconds: float) -> bool: ...
    async def stop(self, seconds: float) -> str: ...


Make = Callable[[Callable[[Answer], None], Callable[[], None]], Worker]
"""A worker, not started, from whom to tell its answers and its loss."""


def wait_before(start: int, chance: float) -> float:
    """Seconds before start number `start` after a death, from 1: 0.05 to 0.1, 0.1 to 0.2 ... with `chance` 0 to 1."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(start - 1, _MOST_DOUBLINGS))
    return longest * (0.5 + chance / 2)


class Keeper:
    """`number` is for the log. `desk` is None while there is no worker; the next one is tried at `retry_at`.

    `worker` is the name of the last one: a process id or a thread's.
    """

    def __init__(
        self,
        number: int,
        make: Make,
        recorder: Recorder,
        clock: Callable[[], float],
        chance: Callable[[], float],
        *,
        start_timeout: float,
        step_timeout: float,
        stop_timeout: float,
    ) -> None:
        self.desk: Desk | None = None
        self.worker = ""
        self.retry_at = 0.0
        self.tried = asyncio.Event()  # the first start has succeeded or failed
        self._number = number
        self._make = make
        self._recorder = recorder
        self._clock = clock
        self._chance = chance
        self._start_timeout = start_timeout
        self._step_timeout = step_timeout
        self._stop_timeout = stop_timeout
        self._cost = 0  # encodes that the last death has cost
        self._hung = False  # whether it was the last one's fault

    async def run(self) -> None:
        """One worker after the other, until it is cancelled."""
        start = 0
        try:
            while True:
                born = self._clock()
                try:
                    await self._life(start)
                except Exception:  # a fault of ours must not cost this place for good
                    event(logger, "codec.worker_failed", exc_info=True, worker=self._number)
                self.tried.set()
                start = 1 if self._clock() - born > LONG_LIFE else start + 1
                wait = wait_before(start, self._chance())
                self.retry_at = self._clock() + wait
                await asyncio.sleep(wait)
        finally:
            self.tried.set()

    async def _life(self, start: int) -> None:
        begin = self._clock()
        worker = self._make(self._answered, self._lost)
        patience, served = self._stop_timeout, False
        try:
            if served := await self._start(worker):
                self.desk = Desk(worker.send, self._recorder, self._clock)
                self.worker = worker.name
                self.tried.set()
                name = "codec.worker_started" if start == 0 else "codec.worker_restarted"
                event(logger, name, worker=self._number, start_seconds=self._clock() - begin, process=worker.name)
                await self._watch(worker)
            patience = _LAST_SECONDS
        finally:
            how = await worker.stop(patience)
        self._recorder.codec_worker_ended("hung" if self._hung else "died" if served else "not_started")
        self._hung = False
        event(logger, "codec.worker_died", worker=self._number, process=worker.name, how=how, encodes=self._cost)
        self._cost = 0

    async def _start(self, worker: Worker) -> bool:
        try:
            async with asyncio.timeout(self._start_timeout):
                return await worker.start()
        except (OSError, TimeoutError) as error:  # too many processes or files, or no memory; or it is just slow
            problem = str(error) or "it was not ready in time"
            event(logger, "codec.worker_unready", worker=self._number, reason=problem)
            worker.kill()
            return False

    async def _watch(self, worker: Worker) -> None:
        """Until the worker has ended."""
        while not await worker.ended(min(_LOOK_SECONDS, self._step_timeout / 4)):
            since = self.desk.since if self.desk is not None else None
            if since is not None and self._clock() - since > self._step_timeout:
                self._hung = True
                event(logger, "codec.worker_hung", worker=self._number, process=worker.name)
                worker.kill()

    def _answered(self, answer: Answer) -> None:
        if self.desk is not None:
            self.desk.answered(answer)

    def _lost(self) -> None:
        desk, self.desk = self.desk, None
        if desk is not None:
            self._cost = len(desk)
            desk.lose()
