"""The reception of the HTTP doors: who makes this request, and whether they may.

Invariant: nobody comes past it unknown; a stream that is another tenant's is as unknown as one that never was; no use
of a ticket is spent here. Pages of other origins are held to the tenant's list, and no page may hold a long-lived key,
except in the demo. It must not know what a door does with its guests.
"""

from aiohttp import web

from gateway.log import bind
from gateway.model import Principal, TenantId
from gateway.relay.hub import Hub
from gateway.relay.replica import AnyStream
from gateway.server.auth import Tenants, credentials, page_of
from gateway.server.callers import claim_of
from gateway.server.claim import guarding
from gateway.server.forwarding import host_of
from gateway.server.tickets import Permission
from gateway.server.visitor import Visitor

# Whose credentials a request has brought, once that is known; for whoever writes the head of its answer.
TENANT = web.RequestKey("tenant", TenantId)


class Reception:
    """Asked first by every handler under /v1."""

    def __init__(self, hub: Hub, tenants: Tenants) -> None:
        self._hub = hub
        self._tenants = tenants

    def visitor(self, request: web.Request) -> Visitor:
        """Whoever asks, with a key or a ticket. Raises AccessError, and LimitError for too many wrong ones."""
        origin = request.headers.get("Origin")
        with guarding(claim_of(request)):
            given = credentials(request.headers, request.query)
            # Who it is comes first: only then is it known whose list of origins counts.
            visitor = self._tenants.visitor(given, origin=None, page=origin or page_of(request.headers))
        request[TENANT] = visitor.principal.tenant
        bind(tenant=visitor.principal.tenant, key=visitor.principal.key_id)
        self._tenants.check_page(visitor.principal.tenant, origin, host_of(request))
        if visitor.ticket is None:
            self._tenants.check_key_in_page(origin)
        return visitor

    def owner(self, request: web.Request) -> Principal:
        """Whoever asks, with a key. Raises AccessError."""
        visitor = self.visitor(request)
        visitor.check_owner()
        return visitor.principal

    async def listener(self, request: web.Request) -> tuple[Visitor, AnyStream]:
        """Whoever asks for the stream `{id}` of the route, and that stream.

        Raises AccessError, RequestError, and ServiceError where other nodes have to be asked and do not answer.
        """
        visitor, stream_id = self.visitor(request), request.match_info["id"]
        visitor.check(Permission.LISTEN, stream_id)
        return visitor, await self._hub.find(visitor.principal.tenant, stream_id)
