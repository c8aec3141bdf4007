"""The internal port: metrics and health. It is never served publicly.

Invariant: /healthz says that the process answers, /readyz whether it should get new work; neither waits for anything.
It must not know what makes the gateway unready, only how to ask.
"""

from collections.abc import Callable

from aiohttp import web

from gateway.server.rest import answer
from metrics.exposition import render
from metrics.recorder import Recorder


class Internal:
    """The handlers of the internal port. `unready` gives the reasons why no new work should come.

    `look` is called before the metrics are told, for what nobody has told them of.
    """

    def __init__(
        self, recorder: Recorder, unready: Callable[[], list[str]], look: Callable[[], None] = lambda: None
    ) -> None:
        self._recorder = recorder
        self._unready = unready
        self._look = look

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/metrics", self.metrics),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
        ]

    async def metrics(self, request: web.Request) -> web.Response:
        self._look()
        body, content_type = render(self._recorder.registry, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(self, request: web.Request) -> web.Response:
        return answer({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.Response:
        reasons = self._unready()
        return answer({"status": "unready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200)
