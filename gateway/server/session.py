"""A client's session on a WebSocket: carries out what it says, and holds its attachments.

Invariant: messages are carried out one after another in the order they came; a mistake is answered with `error` and
ends nothing; when the connection goes, every listener it held leaves and nothing else changes.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeGuard, TypeVar
from urllib.parse import urlsplit

from websockets.frames import CloseCode

from gateway.errors import AccessError, LimitError, RequestError, ServiceError, WavegateError
from gateway.log import event
from gateway.model import StreamId
from gateway.protocol import events, messages
from gateway.protocol.messages import ClientMessage, MessageError
from gateway.protocol.session import Session
from gateway.relay.audiences import Place
from gateway.relay.channel import Channel
from gateway.relay.departure import sent_away
from gateway.relay.listener import Listener, OnLag
from gateway.relay.order import Order, RepeatedOrderError
from gateway.relay.replica import AnyStream
from gateway.relay.since import Since
from gateway.relay.stream import queued
from gateway.relay.wishes import Wished, possible
from gateway.server.attachment import FRAMINGS, Attachment
from gateway.server.auth import Credentials
from gateway.server.claim import guarding
from gateway.server.ordering import order_of, since_of, wishes
from gateway.server.purchasing import bought
from gateway.server.record import Record
from gateway.server.repeats import once_of
from gateway.server.services import Services
from gateway.server.tickets import Permission
from gateway.server.view import session_created, stream_info
from gateway.server.visitor import Visitor
from gateway.server.websocket import WebSocketConnection
from transcode.spec import Wish

logger = logging.getLogger("wavegate.session")

_M = TypeVar("_M", bound=ClientMessage)

MAX_WAITING = 64  # messages that may wait behind an order that is being taken


class ClientSession:
    """One session; the connection hands it whole messages."""

    def __init__(
        self,
        connection: WebSocketConnection,
        services: Services,
        visitor: Visitor | None,
        origin: str | None,
        base: str,
    ) -> None:
        self.id = services.new_id()
        self._record = Record(self.id)
        self._connection = connection
        self._services = services
        self._visitor = visitor
        self._origin = origin
        self._base = base
        self._state = Session(authenticated=visitor is not None)
        self._attached: dict[str, tuple[Attachment, Listener]] = {}
        self._waiting: deque[ClientMessage] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Greets a client that has said who it is; gives the others their deadline. Raises LimitError."""
        if self._visitor is not None:
            self._greet(self._visitor)
            return
        seconds = self._services.config.server.authentication_timeout
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._too_late)

    def turn_away(self, error: WavegateError) -> None:
        """Says why a page may not come in, and closes: script sees the close code, and the sentence before it."""
        self._refuse(error)
        self.close(error)

    # -- what the connection tells ---------------------------------------------------------------------------------

    def received(self, text: bytes) -> None:
        """A whole text message."""
        self._record.messages += 1
        try:
            message = messages.decode_client(text)
        except MessageError as mistake:
            self._refuse(mistake.error, mistake.ref)
            return
        if len(self._waiting) >= MAX_WAITING:
            self.turn_away(LimitError("rate_exceeded", "Too many messages at once.", retry_after=1.0))
            return
        self._waiting.append(message)
        if self._worker is None:
            self._work()

    def received_binary(self, data: bytes) -> None:
        del data
        self._refuse(RequestError("invalid_message", "Clients send JSON text messages; this one was binary."))

    def too_fast(self, wait: float) -> None:
        """Frames come faster than they may."""
        self.turn_away(LimitError("rate_exceeded", "Too many WebSocket frames: send fewer.", retry_after=wait))

    def closed(self, code: int) -> None:
        """The connection is gone; a song that is being ordered is ordered all the same, the slot is its own."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._leave()
        self._record.ended(code, self._connection.goodbye, self._visitor)

    # -- what the gateway tells ------------------------------------------------------------------------------------

    def go_away(self, time_left: float, reconnect_after: float) -> None:
        """The gateway is stopping: what runs may end, nothing new begins."""
        self._state.drain()
        self._connection.say(events.Goaway(round(time_left * 1000), round(reconnect_after * 1000)))

    @property
    def idle(self) -> bool:
        """Whether nothing is heard here, and nothing that was asked for is still to be done."""
        return not self._attached and self._worker is None

    def tell_owner(self, message: events.QuotaUpdated) -> None:
        """News for whoever holds a key, and for no guest."""
        if self._visitor is not None and self._visitor.ticket is None:
            self._connection.say(message)

    def recheck(self) -> None:
        """The tenants have changed: who came with a key that is no more, or from such a page, is sent away."""
        if self._visitor is None:
            return
        principal, tenants = self._visitor.principal, self._services.tenants
        if not tenants.holds(principal):
            self.turn_away(AccessError("bad_credentials", "This key is not known here any more."))
            return
        try:
            tenants.check_page(principal.tenant, self._origin, urlsplit(self._base).netloc)
        except AccessError as error:
            self.turn_away(error)

    def rest(self) -> None:
        """Ends it, since nothing is heard and nothing asked for: whoever wants something may come again."""
        self._connection.close(CloseCode.NORMAL_CLOSURE, "idle")
        self._leave()

    def close(self, error: WavegateError) -> None:
        """Ends the session with the error's close code: nothing more is heard, and nothing it said is carried out."""
        self._connection.parting = sent_away(error)
        self._connection.close(error.handling.close, error.close_reason())
        self._leave()

    # -- carrying out ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Carries out what waits; hands over to a task where a message has to wait for somebody."""
        while self._waiting:
            message = self._waiting.popleft()
            try:
                self._state.accept(message)
                if (work := self._long(message)) is not None:
                    self._worker = self._services.tasks.create_task(work, name=f"{type(message).__name__} {self.id}")
                    return
                self._carry_out(message)
            except WavegateError as error:
                self._refuse(error, getattr(message, "ref", None))

    def _long(self, message: ClientMessage) -> Coroutine[Any, Any, None] | None:
        """What has to wait for somebody before it is done."""
        if isinstance(message, messages.StreamCreate):
            return self._doing(message, self._create)
        if self._elsewhere(message):
            return self._doing(message, self._reach)
        if isinstance(message, messages.Authenticate) and message.ticket is not None:
            return self._let_in(message)
        return None

    def _carry_out(self, message: ClientMessage) -> None:
        if isinstance(message, messages.Ping):
            self._connection.say(events.Pong(message.t, time.time()))
        elif isinstance(message, messages.Authenticate):
            self._authenticate(message)
        elif isinstance(message, messages.StreamAttach):
            self._known.check(Permission.LISTEN, message.stream_id)
            stream = self._stream(message.stream_id)
            self._attach(stream, self._existing(stream, message), message)
        elif isinstance(message, messages.StreamDetach):
            if message.stream_id not in self._attached:
                raise RequestError("stream_not_found", "This session is not attached to it.", param="stream_id")
            self._drop(message.stream_id)
            self._connection.say(events.StreamDetached(message.stream_id, message.ref))
        elif isinstance(message, messages.StreamCancel):
            self._known.check_owner()
            self._stream(message.stream_id).cancel()

    def _elsewhere(self, message: ClientMessage) -> TypeGuard[messages.StreamAttach | messages.StreamCancel]:
        """Whether another node has to be asked before this can be done."""
        if not isinstance(message, messages.StreamAttach | messages.StreamCancel):
            return False
        return not self._services.hub.owns(message.stream_id)

    async def _doing(self, message: _M, work: Callable[[_M], Awaitable[None]]) -> None:
        """Carries out what has to wait for somebody, and then what has come meanwhile."""
        self._record.works(self._visitor)
        try:
            await work(message)
        except WavegateError as error:
            self._refuse(error, getattr(message, "ref", None))
        except Exception:
            event(logger, "session.failed", exc_info=True, session_id=self.id, message=type(message).__name__)
            self._refuse(
                ServiceError("internal", "Something went wrong in the gateway."), getattr(message, "ref", None)
            )
        finally:
            self._worker = None
            self._work()

    async def _reach(self, message: messages.StreamAttach | messages.StreamCancel) -> None:
        """Does it with a stream of another node."""
        hub, tenant = self._services.hub, self._known.principal.tenant
        if isinstance(message, messages.StreamCancel):
            self._known.check_owner()
            await (await hub.find(tenant, message.stream_id)).stop()
            return
        self._known.check(Permission.LISTEN, message.stream_id)
        stream = await hub.find(tenant, message.stream_id)
        channel = await self._obtain(stream, message)
        if self._connection.conversation is self:
            self._attach(stream, channel, message)

    async def _create(self, message: messages.StreamCreate) -> None:
        self._services.admission.check_order()
        principal = self._known.principal
        abandon = self._services.tenants.abandon(principal.tenant)
        order = order_of(message, principal, abandon, self._services.config.upstream.model)
        self._checked(message)
        with self._services.hub.place(principal.tenant) as place:
            stream = await self._ordered(order, message)
            self._connection.say(events.StreamCreated(stream_info(stream, self._base), message.ref))
            if self._connection.conversation is not self:
                return
            channel = await self._obtain(stream, message)
            # Where another node was asked, the client may have gone meanwhile.
            if self._connection.conversation is self:
                self._attach(stream, channel, message, place)

    async def _ordered(self, order: Order, message: messages.StreamCreate) -> AnyStream:
        """Buys, but not what was bought under this key before. Raises WavegateError."""
        given = () if message.idempotency_key is None else (message.idempotency_key,)
        order = replace(order, once=once_of(given, message.body, self._known))
        hub, tasks, estimate = self._services.hub, self._services.tasks, self._services.config.quota.estimate_seconds

        async def buy() -> tuple[AnyStream, bool]:
            return await bought(self._known, hub, tasks, order, estimate)

        info, _ = await self._services.repeats.order(order, self._base, buy)
        stream_id = StreamId(info.id)
        try:
            return await hub.find(order.tenant, stream_id)
        except RequestError:
            raise RepeatedOrderError(stream_id) from None

    def _authenticate(self, message: messages.Authenticate) -> None:
        """With a key, or with nothing: nobody is waited for."""
        try:
            self._welcome(self._newcomer(message))
        except (AccessError, LimitError) as error:
            self._refuse(error, message.ref)
            self.close(error)

    async def _let_in(self, message: messages.Authenticate) -> None:
        """With a ticket: a use is spent when there is a place, and before anything is said."""
        self._record.works(None)
        try:
            visitor = self._newcomer(message)
            await self._services.let_in(visitor)
            if self._connection.conversation is self:
                self._welcome(visitor)
        except WavegateError as error:
            self._refuse(error, message.ref)
            self.close(error)
        except Exception:
            event(logger, "session.failed", exc_info=True, session_id=self.id, message="Authenticate")
            self.turn_away(ServiceError("internal", "Something went wrong in the gateway."))
        finally:
            self._worker = None
            self._work()

    def _newcomer(self, message: messages.Authenticate) -> Visitor:
        given = Credentials(message.key, message.ticket)
        with guarding(self._connection.claim):
            return self._services.tenants.visitor(given, origin=self._origin, host=urlsplit(self._base).netloc)

    def _welcome(self, visitor: Visitor) -> None:
        self._greet(visitor)
        self._visitor = visitor
        if self._deadline is not None:
            self._deadline.cancel()

    def _greet(self, visitor: Visitor) -> None:
        tenant, ours = visitor.principal.tenant, self._services
        ours.seats.take(tenant, self)
        self._connection.say(session_created(self.id, visitor.principal, ours.config, ours.tenants.limits(tenant)))
        if visitor.ticket is None:
            ours.welcomed(tenant)

    def _too_late(self) -> None:
        self.turn_away(AccessError("not_authenticated_in_time", "Say who you are in the first message."))

    @property
    def _known(self) -> Visitor:
        assert self._visitor is not None
        return self._visitor

    def _stream(self, stream_id: str) -> AnyStream:
        return self._services.hub.get(self._known.principal.tenant, stream_id)

    def _checked(self, message: messages.StreamCreate | messages.StreamAttach) -> tuple[Since, OnLag]:
        """The parts of an attachment that can be wrong, before anything is spent. Raises RequestError."""
        if message.framing not in FRAMINGS:
            raise RequestError("invalid_request", f"The framing is one of: {', '.join(FRAMINGS)}.", param="framing")
        if message.on_lag not in list(OnLag):
            raise RequestError("invalid_request", "on_lag is `complete` or `live`.", param="on_lag")
        return since_of(message), OnLag(message.on_lag)

    def _wished(self, stream: AnyStream, message: messages.StreamCreate | messages.StreamAttach) -> list[Wished]:
        """The formats that would be heard, best first. Raises RequestError."""
        self._checked(message)
        if stream.id in self._attached:
            raise RequestError("already_attached", "This session hears that stream already.", param="stream_id")
        wished = wishes(message.format)
        return possible(wished) if wished else [Wished(stream.native.format, Wish())]

    def _existing(self, stream: AnyStream, message: messages.StreamAttach) -> Channel:
        """The channel of a stream that is this node's own. Raises WavegateError."""
        return stream.renditions.channel(self._wished(stream, message))

    async def _obtain(self, stream: AnyStream, message: messages.StreamCreate | messages.StreamAttach) -> Channel:
        """The channel of a stream, wherever that is made. Raises WavegateError."""
        return await stream.obtain(self._wished(stream, message), since_of(message))

    def _attach(
        self,
        stream: AnyStream,
        channel: Channel,
        message: messages.StreamCreate | messages.StreamAttach,
        place: Place | None = None,
    ) -> None:
        since, on_lag = self._checked(message)
        attachment = Attachment(self._connection, stream, message.framing, message.ref, self._ended)
        listener, recovered = self._services.hub.attach(stream, channel, attachment, since, on_lag, place)
        attachment.resumed(recovered)
        self._attached[stream.id] = (attachment, listener)
        self._known.hears(stream.id)
        self._connection.listeners.append(listener)
        listener.join()
        if stream.place is not None:
            self._connection.say(queued(stream.id, stream.place))

    def _drop(self, stream_id: str) -> None:
        attachment, listener = self._attached.pop(stream_id)
        self._connection.listeners.remove(listener)
        self._services.hub.detach(attachment.tenant, listener, self._connection.parting)
        self._record.heard(listener)

    def _leave(self) -> None:
        """Nothing is left of it: neither what it had not carried out, nor its listeners, nor its place."""
        self._waiting.clear()
        for stream_id in list(self._attached):
            self._drop(stream_id)
        if self._visitor is not None:
            self._services.seats.leave(self._visitor.principal.tenant, self)

    def _ended(self, attachment: Attachment, error: WavegateError | None) -> None:
        """Nothing follows on this attachment; a listener that was cut takes the session with it."""
        self._drop(attachment.stream_id)
        if error is not None:
            self.close(error)

    def _refuse(self, error: WavegateError, ref: str | int | None = None) -> None:
        self._record.refused(error, self._visitor)
        self._connection.say(events.Error(events.ErrorBody.of(error), ref))
