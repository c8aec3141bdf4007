"""The reception of the HTTP doors: who makes this request, and whether they may.

Invariant: nobody comes past it unknown; a stream that is another tenant's is as unknown as one that never was; no use
of a ticket is spent here. It must not know what a door does with its guests.
"""

from aiohttp import web

from gateway.model import Principal
from gateway.relay.hub import Hub
from gateway.server.auth import Tenants, credentials, page_of
from gateway.server.tickets import Permission
from gateway.server.visitor import Visitor


class Reception:
    """Asked first by every handler under /v1."""

    def __init__(self, hub: Hub, tenants: Tenants) -> None:
        self._hub = hub
        self._tenants = tenants

    def visitor(self, request: web.Request) -> Visitor:
        """Whoever asks, with a key or a ticket. Raises AccessError."""
        given = credentials(request.headers, request.query)
        # With a key the Origin says nothing here: there is no CORS, so no page reads the answer.
        origin = None if given.ticket is None else request.headers.get("Origin")
        return self._tenants.visitor(given, origin=origin, page=page_of(request.headers))

    def owner(self, request: web.Request) -> Principal:
        """Whoever asks, with a key. Raises AccessError."""
        visitor = self.visitor(request)
        visitor.check_owner()
        return visitor.principal

    def listener(self, request: web.Request) -> Visitor:
        """Whoever asks for the stream `{id}` of the route, which is there. Raises AccessError, RequestError."""
        visitor, stream_id = self.visitor(request), request.match_info["id"]
        visitor.check(Permission.LISTEN, stream_id)
        self._hub.get(visitor.principal.tenant, stream_id)
        return visitor
