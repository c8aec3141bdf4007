"""All places together: what a signal means for them, and with which code all of it ends.

Invariant under test: every worker is watched to its end, and one that does not end when it should is killed.
It must not know processes: workers that end when they are told to take their place.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from gateway.workers.place import Means
from gateway.workers.supervisor import DONE, FAILED, USAGE, Supervisor
from gateway.workers.worker import Worker
from tests.support.relay import within
from tests.support.server import soon
from tests.support.workers import FakeWorker


class Scene:
    """A supervisor of two places, all of whose workers a test holds in `workers`, in the order of their starts."""

    def __init__(
        self,
        *,
        leave_seconds: float = 20.0,
        stop_seconds: float = 20.0,
        delay_seconds: float = 0.0,
        ready: bool = True,
    ) -> None:
        self.workers: list[FakeWorker] = []
        self.life: list[str] = []
        self.ready = ready
        self.fit = True
        self.supervisor = Supervisor(
            2,
            Means(
                start=self.start,
                fit=self.judge,
                vacant=lambda number: None,
                restarted=self.life.append,
                clock=lambda: 0.0,
                chance=lambda: 0.0,
            ),
            announce=lambda worker: self.life.append(f"serves at {worker.public}"),
            closing=lambda: self.life.append("closing"),
            gone=lambda worker: self.life.append(f"gone {worker.number}"),
            leave_seconds=leave_seconds,
            stop_seconds=stop_seconds,
            delay_seconds=delay_seconds,
        )
        self.task = asyncio.create_task(self.supervisor.run())

    async def start(self, number: int) -> Worker:
        worker = FakeWorker(number, ready=self.ready)
        self.workers.append(worker)
        self.supervisor.began(worker)
        return worker

    async def judge(self, worker: Worker) -> bool:
        return self.fit

    async def serving(self) -> None:
        await soon(lambda: len([w for w in self.supervisor.serving if w]) == 2 and self.supervisor.announced)

    async def over(self) -> int:
        return await within(asyncio.shield(self.task))


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    await made.serving()
    yield made
    if not made.task.done():
        for _ in range(3):
            made.supervisor.signalled()
        await made.over()


async def test_the_first_signal_drains(scene: Scene) -> None:
    """All are told once, the doors are closed before that, and when the last has ended that is a success."""
    assert scene.life == ["serves at http://1"]
    seen = [scene.supervisor.stopping]
    scene.supervisor.signalled()
    assert [*seen, scene.supervisor.stopping] == [False, True]
    await soon(lambda: all(worker.told == ["SIGTERM"] for worker in scene.workers))
    for worker in scene.workers:
        worker.end()
    assert await scene.over() == DONE
    assert scene.life[1:] == ["closing", "gone 1", "gone 2"]
    assert not scene.supervisor.workers


async def test_the_second_signal_stops_the_third_kills(scene: Scene) -> None:
    """At once, but in good order; then without. What had to be killed is no success."""
    for told in (["SIGTERM"], ["SIGTERM", "stop"]):
        scene.supervisor.signalled()
        await soon(lambda: all(worker.told == told for worker in scene.workers))  # noqa: B023 - awaited right here
    scene.supervisor.signalled()
    assert await scene.over() == FAILED
    assert all(worker.told[-1] == "SIGKILL" for worker in scene.workers)


async def test_a_balancer_gets_its_time() -> None:
    """All serve on, and who dies is followed, but nobody is told to come; then they drain, and it is a success."""
    scene = Scene(delay_seconds=0.3)
    await scene.serving()
    began = asyncio.get_running_loop().time()
    scene.supervisor.signalled()
    assert scene.supervisor.stopping
    scene.workers[0].end(1)
    await soon(lambda: len(scene.workers) == 3)
    assert not any(worker.told for worker in scene.workers)
    await soon(lambda: all(worker.told == ["SIGTERM"] for worker in scene.workers[1:]))
    assert asyncio.get_running_loop().time() - began >= 0.3
    for worker in scene.workers:
        worker.end()
    assert await scene.over() == DONE


async def test_a_second_signal_takes_that_time() -> None:
    """Nobody waits any more."""
    scene = Scene(delay_seconds=3600.0)
    await scene.serving()
    scene.supervisor.signalled()
    await asyncio.sleep(0)
    assert not any(worker.told for worker in scene.workers)
    scene.supervisor.signalled()
    await soon(lambda: all(worker.told[-1:] == ["SIGTERM"] for worker in scene.workers))
    for worker in scene.workers:
        worker.end()
    assert await scene.over() == DONE


@pytest.mark.parametrize(("leave_seconds", "stop_seconds", "signals"), [(0.02, 20.0, 1), (20.0, 0.02, 2)])
async def test_who_does_not_end_is_killed(leave_seconds: float, stop_seconds: float, signals: int) -> None:
    """After its time to drain, or after a shorter one when all is to stop at once."""
    scene = Scene(leave_seconds=leave_seconds, stop_seconds=stop_seconds)
    await scene.serving()
    for _ in range(signals):
        scene.supervisor.signalled()
        await asyncio.sleep(0)
    assert await scene.over() == FAILED
    assert all(worker.told[-1] == "SIGKILL" for worker in scene.workers)


async def test_who_dies_is_followed_and_watched(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Its end is told on, and written down with its code; the others hear nothing of it."""
    scene.workers[0].end(-11)
    await soon(lambda: len(scene.workers) == 3 and scene.supervisor.serving[0] is scene.workers[2])
    assert scene.life[1:] == ["gone 1", "died"]
    assert set(scene.supervisor.workers) == set(scene.workers[1:])
    assert "worker.ended" in caplog.text


async def test_a_restart_goes_from_place_to_place(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The next one's turn is when the one before it has gone; asked again meanwhile, it is refused."""
    first, second = scene.workers
    scene.supervisor.restart()
    await soon(lambda: first.told == ["SIGTERM"])
    scene.supervisor.restart()
    assert "one is under way" in str([getattr(record, "fields", None) for record in caplog.records])
    assert len(scene.workers) == 3
    first.end()
    await soon(lambda: second.told == ["SIGTERM"])
    second.end()
    await soon(lambda: "restart.done" in caplog.text)
    assert list(scene.supervisor.serving) == scene.workers[2:]
    scene.supervisor.restart()
    await soon(lambda: scene.workers[2].told == ["SIGTERM"])


async def test_a_restart_that_fails_ends(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """What one new worker cannot, the next one could not either: the old ones stay."""
    scene.fit = False
    before = list(scene.supervisor.serving)
    scene.supervisor.restart()
    await soon(lambda: "restart.broke_off" in caplog.text)
    assert scene.supervisor.serving == before
    assert len(scene.workers) == 3
    scene.workers[2].end()


async def test_a_stop_ends_a_restart(scene: Scene) -> None:
    """Whoever is there, the half of a replacement too, drains; later a restart is not begun."""
    scene.supervisor.restart()
    await soon(lambda: scene.workers[0].told == ["SIGTERM"])
    scene.supervisor.signalled()
    await soon(lambda: all("SIGTERM" in worker.told for worker in scene.workers))
    scene.supervisor.restart()
    assert len(scene.workers) == 3
    for worker in scene.workers:
        worker.end()
    assert await scene.over() == DONE


async def test_a_hangup_is_passed_on(scene: Scene) -> None:
    """To all that are there."""
    scene.supervisor.reload()
    assert [worker.told for worker in scene.workers] == [["SIGHUP"], ["SIGHUP"]]


@pytest.mark.parametrize(("codes", "expected"), [((2, 2), USAGE), ((2, 1), FAILED), ((-9, -9), FAILED)])
async def test_without_a_first_worker_all_is_over(codes: tuple[int, int], expected: int) -> None:
    """A configuration that all of them find wrong has the exit code for that; anything else has failed."""
    scene = Scene(ready=False)
    await soon(lambda: len(scene.workers) == 2)
    for worker, code in zip(scene.workers, codes, strict=True):
        worker.end(code)
    assert await scene.over() == expected
    assert not scene.supervisor.announced
    assert "serves" not in " ".join(scene.life)


async def test_a_signal_while_they_start(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever is on the way is told to go; nothing was ever served, and that is no failure."""
    scene = Scene(ready=False)
    await soon(lambda: len(scene.workers) == 2)
    scene.supervisor.signalled()
    await soon(lambda: all(worker.told == ["SIGTERM"] for worker in scene.workers))
    for worker in scene.workers:
        worker.end(-15)
    assert await scene.over() == DONE
