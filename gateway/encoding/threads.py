"""A worker that is a thread of this process: for wherever processes are not wanted.

Invariant: codecs are touched by this thread alone, and the loop hears answers in a turn of its own. A thread cannot be
killed: one that is given up is not listened to any more, and ends when its step does, if ever; it is a daemon.
It must not know encodes.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from gateway.log import event
from transcode.messages import Answer, Close, Ready, Reply, Request, Step

logger = logging.getLogger("wavegate.encoding")


class Workbench(Protocol):
    """What a thread works at."""

    def answer(self, step: Step) -> Answer: ...
    def close(self, number: int) -> None: ...


def warm_bench() -> Workbench:
    """A bench with every codec warm. Codecs are loaded here, not above: with processes the gateway needs none."""
    from transcode.worker import Bench, warm_up

    warm_up()
    return Bench()


class WorkerThread:
    """One thread. `answered` is called for every answer, `lost` once when a started one is of no more use."""

    def __init__(
        self, prepare: Callable[[], Workbench], answered: Callable[[Answer], None], lost: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._prepare = prepare
        self._answered = answered
        self._lost = lost
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._started = False
        self._given_up = False
        # At most two steps and some closes: what a desk has under way.
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="encoding", daemon=True)

    @property
    def name(self) -> str:
        """For the log."""
        return f"thread {self._thread.native_id}"

    async def start(self) -> bool:
        """Until it is ready, True, or has ended. Raises OSError when there can be no thread."""
        try:
            self._thread.start()
        except RuntimeError as error:
            self._end()
            raise OSError(str(error)) from None
        await asyncio.wait({self._ready, self._closed}, return_when=asyncio.FIRST_COMPLETED)
        self._started = not self._closed.done()
        return self._started

    def send(self, request: Request) -> None:
        """Returns at once; a thread that has ended does nothing with it."""
        self._requests.put(request)

    def kill(self) -> None:
        """Gives it up."""
        self._given_up = True
        self._requests.put(None)
        self._loop.call_soon(self._end)

    async def ended(self, seconds: float) -> bool:
        """Whether it is of no more use; False after `seconds`."""
        await asyncio.wait({self._closed}, timeout=seconds)
        return self._closed.done()

    async def stop(self, seconds: float) -> str:
        """Ends it after what it is doing; after `seconds` it is given up. How it ended."""
        self._requests.put(None)
        if not await self.ended(seconds):
            self.kill()
            await self.ended(seconds)
        return "given up" if self._given_up else "ended"

    # -- in the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            bench = self._prepare()
            self._say(Ready())
            while (request := self._requests.get()) is not None and not self._given_up:
                if isinstance(request, Close):
                    bench.close(request.number)
                else:
                    self._say(bench.answer(request))
        except Exception:
            event(logger, "codec.worker_failed", exc_info=True)
        finally:
            self._say(None)

    def _say(self, reply: Reply | None) -> None:
        with suppress(RuntimeError):  # the loop has closed: it was given up long ago
            self._loop.call_soon_threadsafe(self._hear, reply)

    # -- in the loop ---------------------------------------------------------------------------------------------------

    def _hear(self, reply: Reply | None) -> None:
        if self._given_up:
            return
        if reply is None:
            self._end()
        elif isinstance(reply, Ready):
            self._ready.set_result(None)
        else:
            self._answered(reply)

    def _end(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
            if self._started:
                self._lost()
