"""The internal port of several workers: their metrics, health and streams, told as those of one gateway.

Invariant: a worker that does not answer in time delays nothing and hides nothing of the others, and no counter goes
backwards for its sake: what it said last still counts. Workers are looked at every few seconds, too, so that little of
what one has counted is lost when it is killed.
It must not know how workers are started, nor what a metric means.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from multidict import MultiDict

from gateway.log import event
from gateway.protocol.events import encode
from gateway.server.debug import MOST_ROWS, USUAL_ROWS, as_table, as_text
from gateway.server.gauges import tell_of_process
from gateway.server.listing import rows
from gateway.server.rest import answer
from gateway.workers.worker import Worker
from metrics.exposition import render
from metrics.recorder import Recorder
from metrics.totals import Totals

logger = logging.getLogger("wavegate.workers")

ANSWER_SECONDS = 2.0
LOOK_SECONDS = 5.0
_COUNTS = ("total", "running", "listeners", "listeners_looked_at")

Answer = tuple[int, bytes]
"""Status and body; status 0 is none."""


class Internal:
    """`workers` are all that live, `serving` who works at each place, `stopping` whether nothing new is taken.

    `client` asks the workers; `recorder` is for what the supervisor itself counts.
    """

    def __init__(
        self,
        workers: Callable[[], Iterable[Worker]],
        serving: Callable[[], Sequence[Worker | None]],
        stopping: Callable[[], bool],
        client: aiohttp.ClientSession,
        recorder: Recorder,
        totals: Totals,
    ) -> None:
        self._workers = workers
        self._serving = serving
        self._stopping = stopping
        self._client = client
        self._recorder = recorder
        self._totals = totals
        self._looking = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/metrics", self.metrics),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/debug/streams", self.streams, allow_head=False),
        ]

    async def run(self) -> None:
        """Looks at all workers for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    def gone(self, worker: Worker) -> None:
        """This one has ended: what it said last is what it has counted."""
        if worker.page is not None:
            self._take(worker, worker.page)
        self._totals.gone(worker)

    async def fit(self, worker: Worker, seconds: float) -> bool:
        """Whether this one says within so many seconds that it is ready for new work."""
        try:
            async with asyncio.timeout(seconds):
                while (await self._ask(worker, "/readyz"))[0] != web.HTTPOk.status_code:
                    if worker.leaving.is_set():
                        return False
                    await asyncio.sleep(0.05)
        except TimeoutError:
            return False
        return True

    async def answers(self, worker: Worker) -> bool:
        """Whether its loop turns."""
        return (await self._ask(worker, "/healthz"))[0] != 0

    # -- the doors -----------------------------------------------------------------------------------------------------

    async def metrics(self, request: web.Request) -> web.Response:
        await self._look()
        body, content_type = render(self._totals, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(self, request: web.Request) -> web.Response:
        return answer({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.Response:
        """Ready while at least one worker is; the reasons of the others are told all the same."""
        if self._stopping():
            return answer({"status": "unready", "reasons": ["draining"]}, 503)
        places = self._serving()
        found = await asyncio.gather(*(self._reasons(worker) for worker in places))
        reasons = list(dict.fromkeys(reason for of_one in found for reason in of_one))
        if not any(not of_one for of_one in found):
            return answer({"status": "unready", "reasons": reasons}, 503)
        return answer({"status": "ready", "reasons": reasons})

    async def streams(self, request: web.Request) -> web.Response:
        """What every worker tells of its streams, newest first; each row says whose it is. Raises RequestError."""
        query = MultiDict(request.query)
        limit = rows(query, USUAL_ROWS, MOST_ROWS)
        table = as_table(query.get("format"), ",".join(request.headers.getall("Accept", [])))
        query["format"] = "json"
        found = await self._ask_all("/debug/streams", query)
        for status, body in found.values():
            if status not in (0, web.HTTPOk.status_code):
                # The question was wrong, for all of them alike.
                return web.Response(status=status, body=body, content_type="application/json")
        parts = {worker: msgspec.json.decode(body) for worker, (status, body) in found.items() if status}
        document = joined(parts, limit)
        document["silent_workers"] = [worker.number for worker in found if worker not in parts]
        headers = {"Cache-Control": "no-store", "Vary": "Accept"}
        if table:
            return web.Response(text=as_text(document), content_type="text/plain", charset="utf-8", headers=headers)
        body = msgspec.json.format(encode(document), indent=2) + b"\n"
        return web.Response(body=body, content_type="application/json", headers=headers)

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Takes everybody's metrics, one look at a time, so that none is older than the one before it."""
        async with self._looking:
            for worker, (status, body) in (await self._ask_all("/metrics")).items():
                # It may have ended, and been counted for good, while the others answered.
                if status == web.HTTPOk.status_code and not worker.ended.done():
                    self._take(worker, body.decode())
            tell_of_process(self._recorder)
            self._take(self, render(self._recorder.registry, "")[0].decode())

    def _take(self, whose: Any, page: str) -> None:
        try:
            self._totals.look(whose, page)
        except ValueError as error:
            event(logger, "workers.metrics_unread", reason=str(error))

    async def _reasons(self, worker: Worker | None) -> list[str]:
        if worker is None:
            return ["a worker is being started"]
        status, body = await self._ask(worker, "/readyz")
        if not status:
            return [f"worker {worker.number} does not answer"]
        reasons: list[str] = msgspec.json.decode(body)["reasons"]
        return reasons if status != web.HTTPOk.status_code else []

    async def _ask_all(self, path: str, query: Mapping[str, str] | None = None) -> dict[Worker, Answer]:
        workers = [worker for worker in self._workers() if worker.ready.is_set()]
        answers = await asyncio.gather(*(self._ask(worker, path, query) for worker in workers))
        return dict(zip(workers, answers, strict=True))

    async def _ask(self, worker: Worker, path: str, query: Mapping[str, str] | None = None) -> Answer:
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._client.get(f"{worker.internal}{path}", params=query, headers={"Accept": "*/*"}) as found,
            ):
                return found.status, await found.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0, b""


def joined(parts: Mapping[Worker, Mapping[str, Any]], limit: int) -> dict[str, Any]:
    """What several workers tell of their streams as one document: counts are added, rows are the newest of all."""
    found = [{**row, "worker": worker.number} for worker, part in parts.items() for row in part["streams"]]
    found.sort(key=lambda row: (row["created_at"], row["id"]), reverse=True)
    return {"streams": found[:limit], **{name: sum(part[name] for part in parts.values()) for name in _COUNTS}}
