"""The internal port of several workers: real HTTP to stand-ins for the workers' own, whose answers a test chooses.

Invariant under test: what is told is of all workers, one that is silent hides nothing, no counter goes backwards.
It must not know how workers are started.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.server.rest import errors
from gateway.workers import internal as module
from gateway.workers.internal import Internal, joined
from gateway.workers.worker import Worker
from metrics.exposition import render
from metrics.merging import Reader
from metrics.recorder import Recorder
from metrics.totals import Totals
from tests.support.relay import within
from tests.support.server import soon
from tests.support.workers import FakeWorker


def row(number: int, created_at: float) -> dict[str, Any]:
    """A stream as a worker tells it."""
    return {
        "id": f"st_{number}",
        "tenant": "acme",
        "status": "running",
        "silent": None,
        "model": "m",
        "created_at": created_at,
        "age_seconds": 1.0,
        "listeners": 2,
        "listeners_by_transport": {"http": 2},
        "slowest_lag_seconds": None,
        "owned": True,
        "upstream": {"position": None, "tries": 1},
        "seconds": {"received": 1.0, "granted": 2.0, "billed": None, "settled": False},
        "retained_bytes": 0,
        "error": None,
        "renditions": [],
    }


class Own:
    """A worker's own internal port."""

    def __init__(self, number: int) -> None:
        self.worker = FakeWorker(number)
        self.recorder = Recorder(version="1")
        self.reasons: list[str] = []
        self.streams: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.status = 200
        self.silent = False
        self.over = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if self.silent:
            await self.over.wait()
        if request.path == "/metrics":
            return web.Response(body=render(self.recorder.registry, "")[0])
        if request.path == "/readyz":
            return web.json_response({"reasons": self.reasons}, status=503 if self.reasons else 200)
        counts = {"total": 3, "running": 1, "listeners": 2, "listeners_looked_at": 2}
        return web.json_response({"streams": self.streams, **counts}, status=self.status)


class Scene:
    """Two workers, and what is told of them at `url`."""

    def __init__(self, client: aiohttp.ClientSession, owns: list[Own]) -> None:
        self.owns = owns
        self.live: list[Worker] = [own.worker for own in owns]
        self.places: list[Worker | None] = list(self.live)
        self.stopping = False
        self.recorder = Recorder(version="1")
        self.internal = Internal(
            lambda: self.live, lambda: self.places, lambda: self.stopping, client, self.recorder, Totals()
        )
        self.client = client
        self.url = ""

    async def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        async with self.client.get(self.url + path, headers=headers) as found:
            return found.status, await found.text(), found.headers["Content-Type"]

    async def joins(self) -> float:
        _, text, _ = await self.get("/metrics")
        return Reader().read(text)["wavegate_listener_joins_total", ()]


async def opened(routes: list[web.RouteDef]) -> tuple[web.AppRunner, str]:
    application = web.Application(middlewares=[errors])
    application.add_routes(routes)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    # Who answers has its time, however busy the machine is; where one is silent it is not waited for that long.
    monkeypatch.setattr(module, "ANSWER_SECONDS", 10.0)
    owns = [Own(number) for number in (1, 2)]
    runners = []
    async with aiohttp.ClientSession() as client:
        made = Scene(client, owns)
        for own in owns:
            runner, own.worker.internal = await opened([web.get("/{path:.*}", own.handle)])
            runners.append(runner)
        runner, made.url = await opened(made.internal.routes())
        yield made
        for own in owns:
            own.over.set()
            own.worker.end()
            await own.worker.ended
        for one in (*runners, runner):
            await one.cleanup()


async def test_metrics_are_of_all(scene: Scene) -> None:
    """Added up, with what the supervisor itself counts, in the format that is asked for."""
    for own, times in zip(scene.owns, (2, 3), strict=True):
        for _ in range(times):
            own.recorder.listener_joined("http", "mp3")
        own.recorder.process(10.0 * times, 1 << 40, 1 << 20, 1 << 20, 1e9 * times)
    scene.recorder.worker_restarted("died")
    status, text, kind = await scene.get("/metrics")
    found = Reader().read(text)
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert found["wavegate_listener_joins_total", ()] == 5.0
    assert found["wavegate_listeners", (("codec", "mp3"), ("transport", "http"))] == 5.0
    assert found["wavegate_worker_restarts_total", (("reason", "died"),)] == 1.0
    assert found["process_cpu_seconds_total", ()] > 50.0, "the supervisor takes some, too"
    assert found["process_resident_memory_bytes", ()] > 2 << 40
    assert found["process_open_fds", ()] > 2 << 20
    assert found["process_start_time_seconds", ()] < 2e9, "the first of them, which is the supervisor or one of ours"
    assert [value for (name, _), value in found.items() if name == "wavegate_build_info"] == [1.0]
    _, text, kind = await scene.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


async def test_no_counter_goes_backwards(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is silent counts as it last did; one that has ended for good, by its last word if there is one."""
    _, second = scene.owns
    for own in scene.owns:
        own.recorder.listener_joined("http", "mp3")
    assert await scene.joins() == 2.0
    second.recorder.listener_joined("http", "mp3")
    second.silent = True
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    assert await scene.joins() == 2.0
    second.worker.page = render(second.recorder.registry, "")[0].decode()
    for own in scene.owns:
        own.worker.end()
        await own.worker.ended
        scene.live.remove(own.worker)
        scene.internal.gone(own.worker)
    assert await scene.joins() == 3.0
    _, text, _ = await scene.get("/metrics")
    assert Reader().read(text)["wavegate_listeners", (("codec", "mp3"), ("transport", "http"))] == 0.0


async def test_one_that_ends_while_it_is_asked_counts_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer comes when it is counted among the dead already: that is the end of it."""
    first, second = scene.owns
    first.recorder.listener_joined("http", "mp3")
    second.silent = True
    monkeypatch.setattr(module, "ANSWER_SECONDS", 1.0)
    look = asyncio.create_task(scene.joins())
    await soon(lambda: bool(first.asked and second.asked))
    first.worker.page = render(first.recorder.registry, "")[0].decode()
    first.worker.end()
    await first.worker.ended
    scene.internal.gone(first.worker)
    assert await within(look) == 1.0


async def test_a_page_that_is_none_is_left_out(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """What a worker says wrongly is written down, and the rest is told."""
    scene.internal._take(scene.live[0], "wavegate_listener_joins_total none\n")
    assert "workers.metrics_unread" in caplog.text
    assert await scene.joins() == 0.0


async def test_workers_are_looked_at_by_themselves(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that little is lost when one is killed."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    task = asyncio.create_task(scene.internal.run())
    await soon(lambda: all(own.asked.count("/metrics") > 1 for own in scene.owns))
    task.cancel()
    await asyncio.wait([task])


async def test_health_is_the_supervisors(scene: Scene) -> None:
    """It answers; nobody is asked for that."""
    assert (await scene.get("/healthz"))[:2] == (200, '{"status":"ok"}')
    assert not scene.owns[0].asked


async def test_ready_while_one_is(scene: Scene) -> None:
    """The others' reasons are told all the same; a place that is empty, and one that is silent, is a reason."""
    first, second = scene.owns
    assert (await scene.get("/readyz"))[:2] == (200, '{"status":"ready","reasons":[]}')
    second.reasons = ["memory", "upstream circuit open"]
    assert (await scene.get("/readyz"))[:2] == (
        200,
        '{"status":"ready","reasons":["memory","upstream circuit open"]}',
    )
    first.reasons = ["memory"]
    assert (await scene.get("/readyz"))[:2] == (
        503,
        '{"status":"unready","reasons":["memory","upstream circuit open"]}',
    )
    scene.places[0], second.silent = None, True
    assert (await scene.get("/readyz"))[:2] == (
        503,
        '{"status":"unready","reasons":["a worker is being started","worker 2 does not answer"]}',
    )
    scene.stopping = True
    assert (await scene.get("/readyz"))[:2] == (503, '{"status":"unready","reasons":["draining"]}')


async def test_streams_are_of_all(scene: Scene) -> None:
    """The newest of all, by the parameters that each worker is asked with; every row says whose it is."""
    first, second = scene.owns
    first.streams, second.streams = [row(3, 30.0), row(1, 10.0)], [row(2, 20.0)]
    status, text, _ = await scene.get("/debug/streams?limit=2&tenant=acme&tenant=x&status=running")
    found = json.loads(text)
    assert status == 200
    assert [(one["id"], one["worker"]) for one in found["streams"]] == [("st_3", 1), ("st_2", 2)]
    assert {name: found[name] for name in ("total", "running", "listeners")} == {
        "total": 6,
        "running": 2,
        "listeners": 4,
    }
    assert first.asked == ["/debug/streams?limit=2&tenant=acme&tenant=x&status=running&format=json"]
    _, text, kind = await scene.get("/debug/streams", Accept="text/plain")
    assert kind.startswith("text/plain")
    assert text.splitlines()[1].endswith("st_3")
    assert text.splitlines()[-1] == "the newest 3 of 6 streams, 2 running, 4 listeners"


async def test_streams_of_one_that_is_silent_are_missed_in_words(scene: Scene) -> None:
    """The others' are told, and who is missing."""
    first, second = scene.owns
    first.streams, second.silent = [row(1, 1.0)], True
    found = json.loads((await scene.get("/debug/streams"))[1])
    assert [one["worker"] for one in found["streams"]] == [1]
    assert found["silent_workers"] == [2]


async def test_a_wrong_question_is_refused(scene: Scene) -> None:
    """Here where that can be told, or in the words of the workers."""
    for query in ("limit=0", "format=xml"):
        status, text, _ = await scene.get(f"/debug/streams?{query}")
        assert status == 400
        assert json.loads(text)["error"]["code"] == "invalid_request"
    for own in scene.owns:
        own.status = 400
    assert (await scene.get("/debug/streams?status=x"))[0] == 400


async def test_a_new_worker_is_asked_until_it_is_ready(scene: Scene) -> None:
    """Within its time; one that leaves or stays unready is not fit."""
    first, second = scene.owns
    first.reasons = ["draining"]
    asking = asyncio.create_task(scene.internal.fit(first.worker, 20.0))
    await soon(lambda: len(first.asked) > 1)
    first.reasons = []
    assert await within(asking)
    second.reasons = ["memory"]
    assert not await scene.internal.fit(second.worker, 0.02)
    second.worker.leaving.set()
    assert not await scene.internal.fit(second.worker, 20.0)


def test_of_nobody_there_is_nothing() -> None:
    """No worker, no row."""
    assert joined({}, 5) == {"streams": [], "total": 0, "running": 0, "listeners": 0, "listeners_looked_at": 0}
