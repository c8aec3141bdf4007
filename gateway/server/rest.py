"""The REST door: create, inspect, list and cancel streams; and how every refusal looks over HTTP.

Invariant: every answer that is not audio or a page is JSON; every refusal is the error body of the contract with its
status, and `Retry-After` where waiting helps; no traceback ever reaches a client.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from aiohttp import web
from msgspec import structs

from gateway.config.schema import Config
from gateway.errors import RequestError, ServiceError, WavegateError
from gateway.log import event as log_event
from gateway.protocol.events import encode
from gateway.protocol.messages import decode_create, decode_ticket
from gateway.relay.hub import Hub
from gateway.relay.replica import AnyStream
from gateway.server.admission import Admission
from gateway.server.audio import AudioDoor
from gateway.server.auth import Tenants
from gateway.server.clip import ClipDoor
from gateway.server.heads import refusal_headers
from gateway.server.listing import listed
from gateway.server.malformed import check_host, mistake_of
from gateway.server.ordering import order_of
from gateway.server.purchasing import bought
from gateway.server.reception import Reception
from gateway.server.repeats import HEADER, Repeats, once_of
from gateway.server.requests import CODE, route_of
from gateway.server.tickets import Permission, Wanted
from gateway.server.usage import UsageDoor
from gateway.server.view import stream_info

logger = logging.getLogger("wavegate.rest")

# Refusals that end the connection: the rest of the request is not waited for, and a full gateway keeps nobody's place.
_PARTING = {"request_timeout", "overloaded"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer, which nobody keeps: the next to ask at this address may be somebody else."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | (headers or {})
    return web.Response(body=encode(document), status=status, content_type="application/json", headers=headers)


def refusal(error: WavegateError) -> web.Response:
    """The error body with its status."""
    response = answer({"error": error.body()}, error.handling.status, refusal_headers(error))
    response[CODE] = error.code
    if error.code in _PARTING:
        response.force_close()
    return response


async def whole_body(request: web.Request, seconds: float) -> bytes:
    """The body of a request. Raises RequestError when it is compressed, or does not come within so many seconds."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        # A few KB could be made to stand for gigabytes.
        raise RequestError("unsupported_media_type", "Send the body as it is, without a Content-Encoding.")
    try:
        if request.transport is None:
            # Gone before its request had its turn: to aiohttp it is a fault to wait for what such a one says.
            raise ConnectionResetError
        async with asyncio.timeout(seconds):
            return await request.read()
    except ConnectionError as error:
        # Its frames refer to the request, which keeps it.
        error.__traceback__ = None
        # Nobody reads this: whoever asked is gone.
        raise RequestError("request_timeout", "The rest of the request did not come.") from None
    except TimeoutError:
        raise RequestError("request_timeout", "The body of the request did not come in time.") from None


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises into the error body."""
    try:
        check_host(request)
        return await handler(request)
    except WavegateError as error:
        return refusal(error)
    except web.HTTPNotFound:
        return refusal(RequestError("not_found", "There is nothing at this address."))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = refusal(RequestError("method_not_allowed", f"This address answers {allowed}."))
        response.headers["Allow"] = allowed
        return response
    except web.HTTPRequestEntityTooLarge:
        return refusal(RequestError("message_too_big", "The request body is larger than this gateway takes."))
    except web.HTTPRequestRangeNotSatisfiable as error:
        response = refusal(RequestError("range_not_satisfiable", "The song has no such range of bytes."))
        response.headers["Content-Range"] = error.headers["Content-Range"]
        return response
    except web.HTTPException:
        raise
    except Exception as error:
        if (mistake := mistake_of(request, error)) is not None:
            return refusal(mistake)
        log_event(logger, "request.failed", exc_info=True, method=request.method, route=route_of(request))
        return refusal(ServiceError("internal", "Something went wrong in the gateway."))


class Rest:
    """The handlers under /v1."""

    def __init__(
        self,
        hub: Hub,
        tenants: Tenants,
        reception: Reception,
        config: Config,
        audio: AudioDoor,
        clip: ClipDoor,
        usage: UsageDoor,
        repeats: Repeats,
        admission: Admission,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._hub = hub
        self._tenants = tenants
        self._reception = reception
        self._config = config
        self._audio = audio
        self._clip = clip
        self._usage = usage
        self._repeats = repeats
        self._admission = admission
        self._tasks = tasks

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/streams", self.create),
            web.post("/v1/tickets", self.ticket),
            web.get("/v1/usage", self.usage, allow_head=False),
            web.get("/v1/streams", self.list),
            web.get("/v1/streams/{id}", self.inspect),
            web.delete("/v1/streams/{id}", self.cancel),
            web.get("/v1/streams/{id}/audio.{ext}", self.audio),
            web.get("/v1/streams/{id}/clip.{ext}", self.clip),
        ]

    async def ticket(self, request: web.Request) -> web.Response:
        """A ticket for a guest. Its stream must be there, and its page on the tenant's list."""
        owner = self._reception.owner(request)
        tenant = owner.tenant
        body = await whole_body(request, self._config.server.handshake_timeout)
        wanted = Wanted(**structs.asdict(decode_ticket(body)))
        # First, for it names the field that is wrong; nobody has the ticket until everything is right.
        minted = self._tenants.office.mint(tenant, wanted, owner.key_id)
        if wanted.stream_id is not None:
            await self._hub.find(tenant, wanted.stream_id)
        self._tenants.check_page(tenant, wanted.origin)
        document = {"ticket": minted.token.reveal(), "expires_at": minted.ticket.expires_at}
        return answer(document, 201)

    async def create(self, request: web.Request) -> web.Response:
        self._admission.check_newcomer()
        visitor = self._reception.visitor(request)
        visitor.check(Permission.CREATE)
        if request.content_type != "application/json":
            raise RequestError("unsupported_media_type", "Send the song as application/json.")
        body = decode_create(await whole_body(request, self._config.server.handshake_timeout))
        abandon = self._tenants.abandon(visitor.principal.tenant)
        order = order_of(body, visitor.principal, abandon, self._config.upstream.model)
        order = replace(order, once=once_of(request.headers.getall(HEADER, []), body, visitor))

        async def buy() -> tuple[AnyStream, bool]:
            await visitor.enter()
            return await bought(visitor, self._hub, self._tasks, order, self._config.quota.estimate_seconds)

        info, there = await self._repeats.order(order, str(request.url.origin()), buy)
        return answer(info, 200 if there else 201, {"Location": f"/v1/streams/{info.id}"})

    async def usage(self, request: web.Request) -> web.StreamResponse:
        return await self._usage.handle(request, self._reception.owner(request).tenant)

    async def list(self, request: web.Request) -> web.Response:
        tenant = self._reception.owner(request).tenant
        return answer(await listed(self._hub, tenant, request.query, str(request.url.origin())))

    async def inspect(self, request: web.Request) -> web.Response:
        _, stream = await self._reception.listener(request)
        return answer(stream_info(stream, str(request.url.origin())))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancels and waits for the bill; a stream that has ended already is answered as it is."""
        stream = await self._hub.find(self._reception.owner(request).tenant, request.match_info["id"])
        await stream.stop()
        return answer(stream_info(stream, str(request.url.origin())))

    async def audio(self, request: web.Request) -> web.StreamResponse:
        self._admission.check_newcomer()
        return await self._audio.handle(request, *await self._reception.listener(request))

    async def clip(self, request: web.Request) -> web.Response:
        self._admission.check_newcomer()
        visitor, stream = await self._reception.listener(request)
        if request.method != "HEAD":
            self._hub.check_bytes(stream.tenant)
            await visitor.enter()
        return await self._clip.handle(request, stream)
