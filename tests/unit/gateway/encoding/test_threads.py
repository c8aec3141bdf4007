"""A worker thread: answers reach the loop in its own turn, and one that cannot be ended is given up.

Invariant under test: nothing that a thread does late is heard, and no thread keeps the interpreter alive.
It must not know encodes, nor codecs but for one look at the real bench.
"""

import asyncio
import threading
from collections.abc import Callable

import pytest

from gateway.encoding.threads import Workbench, WorkerThread, warm_bench
from tests.support.parrots import SPEC, WITHIN, Parrot, events, parrot_bench
from tests.support.relay import within
from transcode.messages import Answer, Close, Done, Failed, Step
from transcode.worker import Bench


class Watch:
    """What a worker tells, and the worker."""

    def __init__(self, prepare: Callable[[], Workbench] = parrot_bench) -> None:
        self.answers: list[Answer] = []
        self.losses = 0
        self.where: set[int] = set()
        self._news = asyncio.Event()
        self.worker = WorkerThread(prepare, self._answered, self._lost)

    def _answered(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.where.add(threading.get_ident())
        self._news.set()

    def _lost(self) -> None:
        self.losses += 1

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WITHIN):
            while len(self.answers) < count:
                self._news.clear()
                await self._news.wait()


async def test_steps_are_answered_in_the_loop() -> None:
    """In order; a close is not answered. Stopped, it ends after what it was given."""
    watch = Watch()
    assert await within(watch.worker.start())
    assert watch.worker.name.startswith("thread ")
    for request in (Step(1, b"a", spec=SPEC), Step(2, b"fail", spec=SPEC), Close(1), Step(1, b"b")):
        watch.worker.send(request)
    assert watch.answers == []
    assert await within(watch.worker.stop(WITHIN)) == "ended"
    assert [(type(answer), answer.number) for answer in watch.answers] == [(Done, 1), (Failed, 2), (Failed, 1)]
    assert (watch.where, watch.losses) == ({threading.get_ident()}, 1)


async def test_one_that_hangs_is_given_up() -> None:
    """By a kill or by a stop; what it says when it comes to itself is not heard."""
    Parrot.free.clear()
    killed, stopped = Watch(), Watch()
    try:
        for watch in (killed, stopped):
            await watch.worker.start()
            watch.worker.send(Step(1, b"hang", spec=SPEC))
        killed.worker.kill()
        assert killed.losses == 0
        assert await killed.worker.ended(WITHIN)
        assert await within(killed.worker.stop(WITHIN)) == "given up"
        assert await within(stopped.worker.stop(0.01)) == "given up"
    finally:
        Parrot.free.set()
    for watch in (killed, stopped):
        await asyncio.to_thread(watch.worker._thread.join, WITHIN)
    await asyncio.sleep(0)
    assert (killed.answers, killed.losses, stopped.answers, stopped.losses) == ([], 1, [], 1)


async def test_a_bench_that_cannot_be_had_is_no_start(caplog: pytest.LogCaptureFixture) -> None:
    """Why stands in the log."""

    def broken() -> Bench:
        raise ImportError("no codecs")

    watch = Watch(broken)
    assert not await within(watch.worker.start())
    assert (watch.losses, events(caplog)) == (0, ["codec.worker_failed"])


async def test_no_more_threads_is_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without memory for a process."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("no more")

    watch = Watch()
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(OSError, match="no more"):
        await watch.worker.start()
    assert await watch.worker.ended(WITHIN)


def test_a_loop_that_has_gone_is_no_fault() -> None:
    """A thread that was given up may come to itself after the loop has closed."""
    Parrot.free.clear()

    async def leave() -> WorkerThread:
        watch = Watch()
        await watch.worker.start()
        watch.worker.send(Step(1, b"hang", spec=SPEC))
        return watch.worker

    worker = asyncio.run(leave())
    Parrot.free.set()
    worker.send(Close(1))
    worker._requests.put(None)
    worker._thread.join(WITHIN)
    assert not worker._thread.is_alive()


async def test_the_real_bench_is_warm() -> None:
    """It is made in the thread."""
    watch = Watch(warm_bench)
    assert await within(watch.worker.start())
    assert await within(watch.worker.stop(WITHIN)) == "ended"
