"""A worker's place: who follows whom, when, and what happens when nobody can.

Invariant under test: a place is filled again after every end, with growing waits, and in a replacement somebody works
there at every moment. It must not know processes: workers that end when they are told to take their place.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.workers.place import FIRST_WAIT, LONG_LIFE, LONGEST_WAIT, Means, Place, wait_before
from gateway.workers.worker import Worker
from tests.support.relay import until, within
from tests.support.server import soon
from tests.support.workers import FakeWorker


@pytest.mark.parametrize(
    ("start", "longest"), [(1, 0.1), (2, 0.2), (5, 1.6), (8, LONGEST_WAIT), (10_000, LONGEST_WAIT)]
)
def test_waits_grow_up_to_a_cap(start: int, longest: float) -> None:
    """Each is between half of its longest and that, as chance wants it."""
    assert wait_before(start, 0.0) == pytest.approx(longest / 2)
    assert wait_before(start, 1.0) == pytest.approx(longest)


class Scene:
    """A place whose starts are scripted, and a clock that a test moves. `waits` are the pauses between starts."""

    def __init__(self, *made: Callable[[], FakeWorker]) -> None:
        self.now = 0.0
        self.started: list[FakeWorker] = []
        self.waits: list[float] = []
        self.restarted: list[str] = []
        self.vacant: list[int] = []
        self.fit = True
        self.made = list(made)
        self.means = Means(
            start=self.start,
            fit=self.judge,
            vacant=self.vacant.append,
            restarted=self.restarted.append,
            clock=lambda: self.now,
            chance=lambda: 1.0,
            start_seconds=0.05,
            empty_seconds=0.0,
            wait=self.sleep,
        )
        self.place = Place(3, self.means)
        self.pause = asyncio.Event()
        self.task = asyncio.create_task(self.place.run())

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self.pause.wait()

    async def start(self, number: int) -> Worker:
        assert number == 3
        worker = (self.made.pop(0) if self.made else FakeWorker)()
        worker._clock = lambda: self.now
        worker.ready_at = self.now
        self.started.append(worker)
        return worker

    async def judge(self, worker: Worker) -> bool:
        return self.fit

    async def filled(self, count: int) -> FakeWorker:
        await until(lambda: len(self.started) == count and self.place.worker is self.started[-1])
        return self.started[-1]

    async def waited(self, count: int) -> float:
        await until(lambda: len(self.waits) == count)
        return self.waits[-1]

    async def close(self) -> None:
        self.task.cancel()
        for worker in self.started:
            worker.end()
        await asyncio.wait([self.task, *(worker.ended for worker in self.started)])


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    await made.close()


async def test_who_has_died_is_followed(scene: Scene) -> None:
    """Waits grow while they die young; after a long life the next one comes soon again."""
    scene.pause.set()
    for number in range(1, 4):
        worker = await scene.filled(number)
        assert scene.place.tried.is_set()
        worker.end(-9)
        assert await scene.waited(number) == pytest.approx(FIRST_WAIT * 2 ** (number - 1))
    worker = await scene.filled(4)
    scene.now += LONG_LIFE + 1
    worker.end(-9)
    assert await scene.waited(4) == pytest.approx(FIRST_WAIT)
    await scene.filled(5)
    assert scene.restarted == ["died"] * 4


async def test_who_leaves_is_followed_before_it_has_ended(scene: Scene) -> None:
    """Somebody else has told it to go: it drains, and the next one takes its place meanwhile."""
    scene.pause.set()
    worker = await scene.filled(1)
    worker.leaving.set()
    await scene.filled(2)
    assert not worker.ended.done()


async def test_a_place_that_stays_empty_gives_its_socket_up(scene: Scene) -> None:
    """Once, and not when somebody comes in time."""
    worker = await scene.filled(1)
    worker.end(1)
    await until(lambda: scene.vacant == [3])
    scene.pause.set()
    await scene.filled(2)
    assert scene.place._vacancy is None


async def test_a_start_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """A process that cannot be, one that ends at once and one that hangs; the exit code of the last is known."""

    def none() -> FakeWorker:
        raise OSError(12, "Cannot allocate memory")

    def dead() -> FakeWorker:
        worker = FakeWorker(ready=False)
        worker.end(2)
        return worker

    scene = Scene(none, dead, lambda: FakeWorker(ready=False))
    await scene.waited(1)
    assert scene.place.worker is None
    assert (scene.place.tried.is_set(), scene.place.code) == (True, None)
    scene.pause.set()
    await until(lambda: scene.place.code == 2)
    await soon(lambda: scene.place.worker is not None)
    assert scene.started[-2].told == ["SIGKILL"]
    assert [round(wait, 3) for wait in scene.waits[:3]] == [0.1, 0.2, 0.4]
    assert "worker.not_started" in caplog.text
    assert "worker.not_ready" in caplog.text
    await scene.close()


async def test_a_replacement_is_ready_before_the_old_one_goes(scene: Scene) -> None:
    """The old one is told to drain once the new one works there; the place goes on with that."""
    scene.pause.set()
    old = await scene.filled(1)
    assert await within(scene.place.replace()) is old
    new = await scene.filled(2)
    assert old.told == ["SIGTERM"]
    assert not new.told
    old.end()
    await asyncio.sleep(0)
    new.end(-9)
    await scene.filled(3)
    assert scene.restarted == ["replaced", "died"]


async def test_a_replacement_that_is_not_fit_goes_again(scene: Scene) -> None:
    """It became ready, but not for work: the old one stays; the same when it does not become ready."""
    old = await scene.filled(1)
    scene.fit = False
    assert await within(scene.place.replace()) is None
    assert scene.started[1].told == ["SIGTERM"]

    def dead() -> FakeWorker:
        worker = FakeWorker(ready=False)
        worker.end(1)
        return worker

    scene.made = [dead]
    assert await within(scene.place.replace()) is None
    assert scene.place.worker is old
    assert not old.told


async def test_an_empty_place_is_not_replaced(scene: Scene) -> None:
    """Whoever comes next is new anyway."""
    worker = await scene.filled(1)
    worker.end(1)
    await scene.waited(1)
    assert await within(scene.place.replace()) is None
    assert len(scene.started) == 1
