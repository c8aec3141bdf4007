"""What the log knows of an HTTP request: its id, whence it comes, and the line for one that is refused.

Invariant: every answer that aiohttp writes has the `X-Request-Id` under which its lines are found; a client's own id is
taken if it is nothing but an id. No query and no header is ever logged, and of a path only the route.
It must not know what is asked for.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.log import Bound, Origin, binding, bound
from gateway.log import event as log_event

logger = logging.getLogger("wavegate.requests")

HEADER = "X-Request-Id"
ID = web.RequestKey("id", str)
# The code of the error that an answer carries, for the log.
CODE = web.ResponseKey("code", str)

_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_AGENT_CHARACTERS = 60
# From here on it is our fault.
_OURS = 500


def id_of(request: web.Request, token: Callable[[int], str] = secrets.token_hex) -> str:
    """The id of a request: its client's, or a new one."""
    given = request.headers.get(HEADER, "")
    return given if _SANE.fullmatch(given) else f"rq_{token(8)}"


def route_of(request: web.Request) -> str:
    """The path as it stands in the table of routes, without what a client wrote into it."""
    resource = request.match_info.route.resource
    return "unknown" if resource is None else resource.canonical


def origin_of(request: web.Request) -> Origin:
    """Whence it comes, as far as lines and traces may know."""
    agent = request.headers.get("User-Agent")
    short = None if agent is None else agent[:_AGENT_CHARACTERS]
    return Origin(request.remote, short, request.headers.get("traceparent"), time.time())


def with_id(granted: Callable[[web.Request], dict[str, str]]) -> Callable[[web.Request], dict[str, str]]:
    """For doors that write their heads themselves: what is `granted`, and the id."""
    return lambda request: {**granted(request), HEADER: bound().ids.get("request_id", "")}


@web.middleware
async def lines(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware: what runs within it belongs to this request."""
    request_id = request[ID] = id_of(request)
    with binding(Bound({"request_id": request_id}, (), origin_of(request))):
        response = await handler(request)
        if (code := response.get(CODE)) is not None:
            level = logging.WARNING if response.status >= _OURS else None
            log_event(
                logger,
                "request.refused",
                level=level,
                method=request.method,
                route=route_of(request),
                status=response.status,
                code=code,
                tenant=bound().ids.get("tenant"),
                client=request.remote,
            )
        return response


async def named(request: web.Request, response: web.StreamResponse) -> None:
    """A signal: the head of an answer is about to be written."""
    if (request_id := request.get(ID)) is not None:
        response.headers.setdefault(HEADER, request_id)
    # It would tell which versions of what serve here.
    response.headers.pop("Server", None)
