"""The supervisor of several workers: all places together, and what a signal means for them.

Invariant: every worker that was ever started is watched until it has ended, and one that is to end and does not is
killed in bounded time; one replacement is under way at a time, and a place whose worker cannot be replaced ends it.
It must not know what a worker serves, nor where signals come from.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from gateway.log import event
from gateway.workers.place import Means, Place
from gateway.workers.worker import Worker

logger = logging.getLogger("wavegate.workers")

DONE, FAILED, USAGE = 0, 1, 2
# After the second signal, until those that are still there are killed: settling a bill takes less.
STOP_SECONDS = 10.0


class Supervisor:
    """`await run()` once; the other calls return at once. `workers` are all that live, those too that are to go.

    Behind the first signal all goes on for `delay_seconds`, but for being ready for more. A worker that was told to
    end has `leave_seconds` for that. `gone` is called for each that has ended, `closing` when
    nothing new is to be accepted, and `announce` once those that could start have started, with one that has; it was
    `announced` then.
    """

    def __init__(
        self,
        places: int,
        means: Means,
        *,
        announce: Callable[[Worker], None],
        closing: Callable[[], None],
        gone: Callable[[Worker], None],
        leave_seconds: float,
        stop_seconds: float = STOP_SECONDS,
        delay_seconds: float = 0.0,
    ) -> None:
        self.workers: dict[Worker, asyncio.Task[None]] = {}
        self._places = [Place(number, means) for number in range(1, places + 1)]
        self._announce = announce
        self._closing = closing
        self._gone = gone
        self._leave_seconds = leave_seconds
        self._stop_seconds = stop_seconds
        self._delay_seconds = delay_seconds
        self._stopping, self._hurry = asyncio.Event(), asyncio.Event()
        self._signals = 0
        self._code = DONE
        self._rolling: asyncio.Task[None] | None = None
        self.announced = False

    @property
    def serving(self) -> Sequence[Worker | None]:
        """Who works at each place."""
        return [place.worker for place in self._places]

    @property
    def stopping(self) -> bool:
        """Whether nothing new is taken any more."""
        return self._stopping.is_set()

    def began(self, worker: Worker) -> None:
        """This one has been started: from now on it is watched."""
        self.workers[worker] = asyncio.create_task(self._watch(worker), name=f"watch over worker {worker.number}")

    async def run(self) -> int:
        """Until all is over: the exit code."""
        tasks = [asyncio.create_task(place.run(), name="place") for place in self._places]
        tasks.append(asyncio.create_task(self._begin(), name="first workers"))
        try:
            await self._stopping.wait()
            if self._signals:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._delay_seconds):
                        await self._hurry.wait()
        finally:
            self._stopping.set()
            tasks += [self._rolling] if self._rolling is not None else []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._closing()
            for worker in self.workers:
                worker.drain()
            while self.workers:
                await asyncio.wait(self.workers.values())
        return self._code

    def signalled(self) -> None:
        """The first time all drain; the second time they stop at once, the third time they are killed."""
        self._signals += 1
        self._stopping.set()
        if self._signals == 2:
            self._hurry.set()
            for worker in self.workers:
                worker.stop()
            asyncio.get_running_loop().call_later(self._stop_seconds, self._kill, self.workers)
        elif self._signals > 2:
            self._kill(self.workers)

    def reload(self) -> None:
        """All take up what has changed."""
        for worker in self.workers:
            worker.reload()

    def restart(self) -> None:
        """Replaces one worker after the other, unless that is under way."""
        if self._rolling is not None and not self._rolling.done():
            event(logger, "restart.refused", reason="one is under way")
        elif not self.stopping:
            self._rolling = asyncio.create_task(self._roll(), name="rolling restart")

    async def _begin(self) -> None:
        """Until every place was tried; if nobody could start there, all is over."""
        for place in self._places:
            await place.tried.wait()
        serving = next((worker for worker in self.serving if worker is not None), None)
        if serving is not None:
            self.announced = True
            self._announce(serving)
            return
        # What is wrong with the configuration the workers have said themselves, with the exit code for it.
        self._code = USAGE if {place.code for place in self._places} == {USAGE} else FAILED
        event(logger, "workers.none_started", workers=len(self._places))
        self._stopping.set()

    async def _roll(self) -> None:
        event(logger, "restart.began", workers=len(self._places))
        for place in self._places:
            old = await place.replace()
            if old is None:
                event(logger, "restart.broke_off", reason="a new worker has not become ready")
                return
            # One at a time: whoever leaves the old one has found a place with another before the next one goes.
            await asyncio.wait({self.workers[old]} if old in self.workers else {old.ended})
        event(logger, "restart.done", workers=len(self._places))

    async def _watch(self, worker: Worker) -> None:
        event(logger, "worker.started", worker=worker.number, pid=worker.pid)
        try:
            await worker.leaving.wait()
            done, _ = await asyncio.wait({worker.ended}, timeout=self._leave_seconds)
            if not done:
                event(logger, "worker.stuck", worker=worker.number, pid=worker.pid)
                self._kill([worker])
            code = await worker.ended
            level = logging.INFO if code == DONE or self.stopping else logging.ERROR
            event(logger, "worker.ended", level=level, worker=worker.number, pid=worker.pid, exit_code=code)
            self._gone(worker)
        finally:
            del self.workers[worker]

    def _kill(self, workers: Iterable[Worker]) -> None:
        """That something did not end in good order is not a success."""
        for worker in workers:
            self._code = FAILED
            worker.kill()
