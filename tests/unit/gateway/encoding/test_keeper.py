"""The keeper: a worker that dies is followed by another, one that hangs is killed, and what fails is tried again later.

Invariant under test: while there is a desk there is a worker behind it, and whoever is told of a loss finds no desk.
It must not know processes or threads: workers are played.
"""

import asyncio
from collections.abc import Callable

import pytest

from gateway.encoding import keeper as keeping
from gateway.encoding.keeper import LONG_LIFE, Keeper, wait_before
from metrics.recorder import Recorder
from tests.support.parrots import SPEC, Heard, events
from tests.support.relay import Clock, until, within
from tests.support.verbs import value
from transcode.messages import Answer, Request


class Played:
    """A worker that starts as told, and dies when told."""

    name = "played"

    def __init__(self, start: "bool | Exception", answered: Callable[[Answer], None], lost: Callable[[], None]) -> None:
        self.sent: list[Request] = []
        self.kills = 0
        self.stops: list[float] = []
        self.answered = answered
        self.lost = lost
        self._start = start
        self._ended = asyncio.Event()

    async def start(self) -> bool:
        if isinstance(self._start, Exception):
            raise self._start
        if not self._start:
            self._ended.set()
        return self._start

    def send(self, request: Request) -> None:
        self.sent.append(request)

    def kill(self) -> None:
        self.kills += 1
        self.die()

    def die(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self.lost()

    async def ended(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self, seconds: float) -> str:
        self.stops.append(seconds)
        self.die()
        return "exit 0"


class Scene:
    """A keeper and the workers that it has had."""

    def __init__(self, *starts: bool | Exception, step_timeout: float = 30.0) -> None:
        self.workers: list[Played] = []
        self.born = asyncio.Event()
        self.clock = Clock()
        self.recorder = Recorder()
        self._starts = list(starts)
        self.keeper = Keeper(
            0,
            self._make,
            self.recorder,
            self.clock,
            lambda: 0.0,
            start_timeout=0.01,
            step_timeout=step_timeout,
            stop_timeout=5.0,
        )

    def _make(self, answered: Callable[[Answer], None], lost: Callable[[], None]) -> Played:
        start = self._starts.pop(0) if self._starts else True
        self.workers.append(Played(start, answered, lost))
        self.born.set()
        return self.workers[-1]

    def ends(self, reason: str) -> float | None:
        return value(self.recorder, "codec_worker_restarts_total", reason=reason)

    async def until(self, workers: int) -> Played:
        """Waits until so many have been made, and the last one works."""
        async with asyncio.timeout(20):
            while len(self.workers) < workers:
                self.born.clear()
                await self.born.wait()
        await until(lambda: self.keeper.desk is not None)
        return self.workers[-1]

    async def __aenter__(self) -> "Scene":
        self.task = asyncio.create_task(self.keeper.run())
        await within(self.keeper.tried.wait())
        return self

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


def test_waits_grow_up_to_a_cap() -> None:
    """Half of each is chance."""
    assert [wait_before(start, 1.0) for start in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert wait_before(1, 0.0) == 0.05
    assert wait_before(1000, 1.0) == 10.0


async def test_a_death_is_followed_by_another_worker(caplog: pytest.LogCaptureFixture) -> None:
    """With a desk of its own; who is told of the loss finds none. The log tells how it died and what that cost."""
    caplog.set_level("INFO")
    desks: list[object] = []
    async with Scene() as scene:
        first = scene.keeper.desk
        assert first is not None

        class Watching(Heard):
            def lost(self) -> None:
                super().lost()
                desks.append(scene.keeper.desk)

        sink = Watching()
        first.open(SPEC, sink, None)
        scene.workers[0].die()
        assert (desks, sink.losses) == ([None], 1)
        await scene.until(2)
        assert scene.keeper.desk is not first
        assert scene.ends("died") == 1.0
    assert events(caplog) == ["codec.worker_started", "codec.worker_died", "codec.worker_restarted"]
    died = caplog.records[1].fields
    assert (died["how"], died["encodes"], died["worker"]) == ("exit 0", 1, 0)
    assert (scene.workers[0].stops, scene.workers[1].stops, scene.keeper.desk) == ([1.0], [5.0], None)


async def test_what_cannot_start_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Whether it says so, is too slow, cannot be had, or there is a fault of ours."""
    async with Scene(False, OSError("no memory"), TimeoutError(), ValueError("a fault"), step_timeout=1.0) as scene:
        assert scene.keeper.desk is None
        assert scene.keeper.retry_at == scene.clock.at + 0.05
        await scene.until(5)
        assert scene.keeper.desk is not None
        assert scene.ends("not_started") == 3.0, "a fault of ours is none of theirs"
    assert events(caplog) == [
        "codec.worker_died",
        "codec.worker_unready",
        "codec.worker_died",
        "codec.worker_unready",
        "codec.worker_died",
        "codec.worker_failed",
    ]
    assert [worker.kills for worker in scene.workers[:4]] == [0, 1, 1, 0]


async def test_waits_grow_with_short_lives_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has lived for a while did not die of its start."""
    starts: list[int] = []

    def noted(start: int, chance: float) -> float:
        starts.append(start)
        return 0.0

    monkeypatch.setattr(keeping, "wait_before", noted)
    async with Scene(False, False) as scene:
        worker = await scene.until(3)
        scene.clock.at += LONG_LIFE + 1
        worker.die()
        worker = await scene.until(4)
        worker.die()
        await scene.until(5)
    assert starts == [1, 2, 1, 2]


async def test_one_that_hangs_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    """One that has nothing to do does not hang, however long."""
    async with Scene(step_timeout=0.02) as scene:
        desk, sink = scene.keeper.desk, Heard()
        assert desk is not None
        scene.clock.at += 100
        encode = desk.open(SPEC, sink, None)
        encode.step(b"a")
        scene.clock.at += 0.021
        await sink.until(1)
        assert (sink.losses, scene.workers[0].kills) == (1, 1)
        await scene.until(2)
        assert (scene.ends("hung"), scene.ends("died")) == (1.0, 0.0)
        scene.workers[1].die()
        await scene.until(3)
        assert (scene.ends("hung"), scene.ends("died")) == (1.0, 1.0)
    assert events(caplog)[0] == "codec.worker_hung"


async def test_what_comes_after_the_end_is_not_heard() -> None:
    """An answer of a worker that is lost already."""
    async with Scene() as scene:
        scene.workers[0].die()
        scene.workers[0].answered(None)  # type: ignore[arg-type] # whatever it is
