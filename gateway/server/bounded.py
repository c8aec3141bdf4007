"""What one address may have, kept at the HTTP doors: its requests, and the connections that proxies make for it.

A connection of its own has its claim since the port let it in; of one that a proxy makes for many, each request has one
for as long as it takes, and what is taken over keeps it. Invariant: a refusal is the error body of every other door,
and ends the connection; a claim is left exactly once. It must not know what is asked for.
"""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.errors import LimitError
from gateway.server.callers import Caller
from gateway.server.claim import Claim
from gateway.server.prefixes import Prefixes
from gateway.server.rest import refusal


def bounded(prefixes: Prefixes) -> Middleware:
    """Behind the middleware that tells whose request it is."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        caller = request.protocol
        if not isinstance(caller, Caller):
            return await handler(request)
        lent: Claim | None = None
        try:
            try:
                if caller.claim is None:
                    if "Upgrade" in request.headers:
                        prefixes.arrive(request.remote)
                    lent = caller.claim = prefixes.enter(request.remote)
                claim = caller.claim
                claim.request()
            except LimitError as error:
                response: web.StreamResponse = refusal(error)
                response.force_close()
                return response
            response = await handler(request)
            if claim.parting:
                response.force_close()
            return response
        finally:
            # One that was taken over has it no more.
            if lent is not None and caller.claim is lent:
                caller.claim = None
                lent.leave()

    return middleware
