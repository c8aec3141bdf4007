"""The WebSocket door: GET /v1/ws becomes a session, or a refusal that the client can read.

aiohttp routes the request, `websockets` checks the handshake, the socket is taken over. Invariant: with an Origin a
refusal is accept + `error` + close, because page script cannot see an HTTP status; without one it is the HTTP status.
"""

import re
from collections.abc import Callable, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.errors import RequestError, ServiceError, WavegateError
from gateway.server.auth import SUBPROTOCOL, credentials
from gateway.server.callers import claim_of
from gateway.server.claim import guarding
from gateway.server.connections import Connections
from gateway.server.forwarding import host_of
from gateway.server.pace import Rate
from gateway.server.services import Services
from gateway.server.session import ClientSession
from gateway.server.strict import StrictProtocol
from gateway.server.takeover import TakenOver, take_over
from gateway.server.visitor import Visitor
from gateway.server.websocket import BURST_SECONDS, WebSocketConnection
from metrics.recorder import Recorder

_HANDSHAKE = re.compile("host|upgrade|connection|sec-websocket-.*", re.IGNORECASE)


def _select(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Only wavegate.v1 is ever echoed: the credential beside it is not a protocol."""
    del protocol
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _offered(request: web.Request) -> list[str]:
    header = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    return [name.strip() for name in header.split(",") if name.strip()]


@web.middleware
async def parting(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whoever asks for another protocol and is given none has its answer and an end.

    A proxy that takes any answer for a yes passes on what its client says from then on, unseen: that is no request.
    """
    response = await handler(request)
    if "Upgrade" in request.headers or request.method == "CONNECT":
        response.force_close()
    return response


class WebSocketDoor:
    """The handler of /v1/ws."""

    def __init__(
        self, services: Services, connections: Connections, recorder: Recorder, now: Callable[[], float]
    ) -> None:
        self._services = services
        self._connections = connections
        self._recorder = recorder
        self._now = now
        self._rate = Rate.over(services.config.server.frames_per_minute, BURST_SECONDS)
        # Nothing of one handshake is left for the next.
        self._acceptor = ServerProtocol(select_subprotocol=_select)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers the upgrade. Raises WavegateError where an HTTP status can be seen."""
        origin = request.headers.get("Origin")
        response = self._handshake(request)
        visitor, refusal = await self._admit(request, origin)
        if refusal is not None and origin is None:
            raise refusal
        # aiohttp has read the handshake: the frames begin.
        protocol = StrictProtocol(self._services.config.server.max_message_bytes)
        connection = WebSocketConnection(protocol, self._recorder, self._now, self._rate)
        taken = take_over(request, connection)
        if taken is None:
            return TakenOver()
        transport, early = taken
        transport.write(response)
        session = ClientSession(connection, self._services, visitor, origin, str(request.url.origin()))
        connection.conversation = session
        self._connections.add(connection, session)
        if refusal is None:
            session.begin()
        else:
            session.turn_away(refusal)
        if early:
            connection.data_received(early)
        return TakenOver()

    def _handshake(self, request: web.Request) -> bytes:
        """The answer to an opening handshake. Raises RequestError for one that is not in order."""
        # Only what the handshake is about: other headers may hold octets that are no text.
        about = [(name, value) for name, value in request.headers.items() if _HANDSHAKE.fullmatch(name)]
        if not all(value.isascii() for _, value in about):
            raise RequestError("bad_protocol", "The headers of a WebSocket handshake are ASCII.")
        if "Transfer-Encoding" in request.headers or request.headers.get("Content-Length", "0") != "0":
            # What is a body to one is frames to another, who stands between us and the client.
            raise RequestError("bad_protocol", "A WebSocket handshake has no body.")
        version = request.version
        response = self._acceptor.accept(
            Request("/v1/ws", Headers(about), request.method, f"HTTP/{version.major}.{version.minor}")
        )
        if response.status_code != 101:
            sentence = "This is the WebSocket door: connect with a WebSocket handshake (RFC 6455)."
            raise RequestError("bad_protocol", sentence)
        return response.serialize()

    async def _admit(self, request: web.Request, origin: str | None) -> tuple[Visitor | None, WavegateError | None]:
        """Who connects; nobody yet if no credential came along; or why not."""
        offered = _offered(request)
        if self._connections.draining:
            return None, ServiceError("going_away", "This gateway is stopping: reconnect elsewhere.", retry_after=1.0)
        if offered and SUBPROTOCOL not in offered:
            return None, RequestError("bad_protocol", f"Offer the subprotocol {SUBPROTOCOL}.")
        try:
            self._services.admission.check_newcomer()
            with guarding(claim_of(request)):
                given = credentials(request.headers, request.query, offered)
                if not given.given:
                    return None, None
                visitor = self._services.tenants.visitor(given, origin=origin, host=host_of(request))
            await self._services.let_in(visitor)
        except WavegateError as error:
            return None, error
        return visitor, None
