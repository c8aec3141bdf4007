"""The internal port: metrics and health. It is never served publicly.

Invariant: /healthz says that the process answers, /readyz whether it should get new work; neither waits for anything.
No page of a browser reads any of it by a name that it made lead here.
It must not know what makes the gateway unready, only how to ask.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import AccessError
from gateway.server.forwarding import address_of
from gateway.server.rest import answer
from metrics.exposition import render
from metrics.recorder import Recorder

HEALTH = ("/healthz", "/readyz")


@web.middleware
async def by_its_name(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whoever comes by loopback calls it localhost, by an address, or by a name without a dot, which nobody can buy; on
    other networks it may have any name, and so it may where health is asked for, as balancers do.

    A page whose name leads to this machine (DNS rebinding) is the same origin as this port for its browser, and nobody
    is asked for a credential here.
    """
    socket = request.transport.get_extra_info("sockname") if request.transport is not None else None
    address = address_of(str(socket[0])) if isinstance(socket, tuple) else None
    guarded = request.path not in HEALTH and address is not None and address.is_loopback
    if guarded and not _at_home(request):
        raise AccessError("forbidden", "The internal port is localhost or 127.0.0.1 here, and nothing else.")
    return await handler(request)


def _at_home(request: web.Request) -> bool:
    try:
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        return False
    return name is None or "." not in name or address_of(name) is not None


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
