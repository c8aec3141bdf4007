"""All workers together: where an encode is made, and whether there is room for one more.

Invariant: an encode stays with its worker; a worker has at most `max_encodings` of them. Processes, threads and files
are as many with a thousand streams as with none.
It must not know what an encode is for.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable

from gateway.config.schema import Transcode
from gateway.encoding.desk import Desk
from gateway.encoding.encode import Encode, Sink
from gateway.encoding.keeper import Keeper, Make, Worker
from gateway.encoding.process import WorkerProcess, command
from gateway.encoding.threads import WorkerThread, warm_bench
from gateway.errors import ServiceError, StartError
from metrics.recorder import Recorder
from transcode.messages import Answer
from transcode.packet import Resume
from transcode.spec import EncoderSpec

_MOST_THREADS = 2  # they share one interpreter: a third only makes the loop wait longer
_FULL_SECONDS = 2.0  # until a place may be free: songs end all the time
_START_SECONDS = 1.0  # what a worker takes from its start until it is ready, on a busy machine


class EncodingPool:
    """`async with EncodingPool(config, recorder) as pool:`; then `pool.open`. Raises StartError without any worker.

    `start_timeout`, `step_timeout` and `stop_timeout` are seconds until a worker is ready, until a step makes it one
    that hangs, and until one that does not end by itself is killed. `make` is for tests: other workers than ours.
    """

    def __init__(
        self,
        config: Transcode,
        recorder: Recorder,
        *,
        start_timeout: float = 20.0,
        step_timeout: float = 30.0,
        stop_timeout: float = 5.0,
        make: Make | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._most = config.max_encodings
        self._clock = clock
        makers = [make] * (config.workers or 1) if make is not None else _makers(config.workers, _processors())
        self._keepers = [
            Keeper(
                number,
                maker,
                recorder,
                clock,
                chance,
                start_timeout=start_timeout,
                step_timeout=step_timeout,
                stop_timeout=stop_timeout,
            )
            for number, maker in enumerate(makers)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "EncodingPool":
        self._tasks = [asyncio.create_task(keeper.run(), name="encoding worker") for keeper in self._keepers]
        try:
            for keeper in self._keepers:
                await keeper.tried.wait()
            if all(keeper.desk is None for keeper in self._keepers):
                raise StartError("no encoding worker has started; the log says why.")
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stop()

    @property
    def workers(self) -> list[str]:
        """The names of those that live, such as `pid 4711`."""
        return [keeper.worker for keeper in self._keepers if keeper.desk is not None]

    @property
    def pids(self) -> list[int]:
        """Of those of them that are processes."""
        return [int(name.removeprefix("pid ")) for name in self.workers if name.startswith("pid ")]

    @property
    def room(self) -> int:
        """How many encodes there may be at once, in those that live."""
        return len(self.workers) * self._most

    def admit(self) -> None:
        """Raises ServiceError `transcoding_full` where there is no room for an encode."""
        self._free()

    def open(self, spec: EncoderSpec, sink: Sink, resume: Resume | None = None) -> Encode:
        """An encode with the worker that has the fewest. Raises ServiceError `transcoding_full`: there is no room."""
        return min(self._free(), key=len).open(spec, sink, resume)

    def _free(self) -> list[Desk]:
        """The desks that have room, at least one."""
        living = [keeper.desk for keeper in self._keepers if keeper.desk is not None]
        desks = [desk for desk in living if len(desk) < self._most]
        if not desks:
            raise ServiceError(
                "transcoding_full",
                "No more formats can be made at the moment; try again soon, or take the song's own.",
                retry_after=_FULL_SECONDS if living else self._next_start(),
            )
        return desks

    def _next_start(self) -> float:
        wait = min(keeper.retry_at for keeper in self._keepers) - self._clock()
        return max(0.0, wait) + _START_SECONDS

    async def _stop(self) -> None:
        """Whoever still has an encode hears that it is lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _processors() -> list[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _makers(workers: int | None, processors: list[int]) -> list[Make]:
    """A way to make each of the workers; as processes they are spread over the processors."""
    if workers == 0:
        return [_thread] * min(_MOST_THREADS, len(processors))
    count = workers if workers is not None else max(1, len(processors) - 1)
    # Gateways on one machine begin at different processors.
    return [_process(processors[(os.getpid() + number) % len(processors)]) for number in range(count)]


def _thread(answered: Callable[[Answer], None], lost: Callable[[], None]) -> Worker:
    return WorkerThread(warm_bench, answered, lost)


def _process(processor: int) -> Make:
    return lambda answered, lost: WorkerProcess(command(processor), answered, lost)
