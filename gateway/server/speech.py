"""The door for OpenAI's clients: POST /v1/audio/speech, which is an order and its listening in one, and GET /v1/models.

An order is bought as at POST /v1/streams and heard as at …/audio.EXT: at once, by way of the relay, so that others can
hear the same stream under its id. Invariant: what a client's library sends again by itself buys nothing twice; the
answer tells which model has really spoken. It must not know what the fields of an order mean, nor how audio is written.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from gateway.config.schema import Config
from gateway.errors import RequestError, WavegateError
from gateway.model import StreamId
from gateway.protocol.openai import ModelList, SpeechBody, decode_speech
from gateway.relay.audiences import Place
from gateway.relay.channel import Channel
from gateway.relay.hub import Hub
from gateway.relay.listener import Listener, OnLag
from gateway.relay.order import Order, RepeatedOrderError
from gateway.relay.replica import AnyStream
from gateway.relay.since import FromStart
from gateway.server.admission import Admission
from gateway.server.auth import Tenants
from gateway.server.connections import Connections
from gateway.server.purchasing import bought
from gateway.server.reception import Reception
from gateway.server.repeats import HEADER, Repeats, once_of
from gateway.server.rest import answer, refusal, whole_body
from gateway.server.speech_answer import SpeechConnection, said_of
from gateway.server.speech_mapping import Dictionary
from gateway.server.speech_retries import Name, Retries, name_of, tries_of
from gateway.server.takeover import TakenOver, take_over
from gateway.server.tickets import Permission
from gateway.server.visitor import Visitor

STREAM_HEADER = "X-Wavegate-Stream-Id"
MODEL_HEADER = "X-Wavegate-Model"


class SpeechDoor:
    """The handlers. `granted` lets a page read an answer; `now` is monotonic, `started_at` in Unix seconds.

    Raises StartError for aliases of nothing.
    """

    def __init__(
        self,
        hub: Hub,
        tenants: Tenants,
        reception: Reception,
        config: Config,
        repeats: Repeats,
        connections: Connections,
        admission: Admission,
        tasks: asyncio.TaskGroup,
        granted: Callable[[web.Request], dict[str, str]] = lambda _: {},
        *,
        now: Callable[[], float] = time.monotonic,
        started_at: float | None = None,
    ) -> None:
        self._hub = hub
        self._tenants = tenants
        self._reception = reception
        self._config = config
        self._repeats = repeats
        self._connections = connections
        self._admission = admission
        self._tasks = tasks
        self._granted = granted
        self._now = now
        self._retries = Retries(now=now)
        self._dictionary = Dictionary(config.upstream.speech_aliases, config.upstream.model)
        self._models = self._dictionary.models(int(time.time() if started_at is None else started_at))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/audio/speech", self.speak),
            web.get("/v1/models", self.models),
            web.get("/v1/models/{model}", self.model),
        ]

    async def models(self, request: web.Request) -> web.Response:
        """All models that can be bought here, and the names that the configuration gives them."""
        self._reception.visitor(request).check(Permission.CREATE)
        return answer(ModelList(self._models))

    async def model(self, request: web.Request) -> web.Response:
        """One of them."""
        self._reception.visitor(request).check(Permission.CREATE)
        for model in self._models:
            if model.id == request.match_info["model"]:
                return answer(model)
        raise RequestError("not_found", "There is no such model here: GET /v1/models lists them.", param="model")

    async def speak(self, request: web.Request) -> web.StreamResponse:
        """An order, answered with its sound."""
        self._admission.check_newcomer()
        visitor = self._reception.visitor(request)
        visitor.check(Permission.CREATE)
        if request.content_type != "application/json":
            raise RequestError("unsupported_media_type", "Send what is to be said as application/json.")
        said = decode_speech(await whole_body(request, self._config.server.handshake_timeout))
        wished, meaning = self._dictionary.heard(said), self._dictionary.meaning(said)
        tenant = visitor.principal.tenant
        order = meaning.order(visitor.principal, self._tenants.abandon(tenant))
        order = replace(order, once=once_of(request.headers.getall(HEADER, []), said, visitor))
        with self._hub.place(tenant) as place:
            stream, there = await self._ordered(request, order, visitor, name_of(visitor, said))
            # It buys nothing, but is heard once more: of a ticket that costs a use, as it does at …/audio.EXT.
            await visitor.enter()
            # What OpenAI's libraries show as the id of a request finds its stream here.
            always = {STREAM_HEADER: stream.id, "X-Request-Id": stream.id, MODEL_HEADER: stream.request.model}
            if there and stream.error is not None:
                response = refusal(_final(stream.error))
                response.headers.update(always)
                return response
            channel = await stream.obtain(wished)
            return self._answered(request, visitor, stream, channel, said, always, place)

    async def _ordered(
        self, request: web.Request, order: Order, visitor: Visitor, name: Name
    ) -> tuple[AnyStream, bool]:
        """The stream, and whether it was bought before. Raises WavegateError."""
        tries = tries_of(request.headers)
        if tries is None or order.once is not None:
            return await self._bought(request, order, visitor)
        async with self._retries.turn(name):
            again = await self._bought_before(order, name) if tries else None
            if again is not None:
                return again, True
            stream, there = await self._bought(request, order, visitor)
            self._retries.remember(name, stream.id)
            return stream, there

    async def _bought(self, request: web.Request, order: Order, visitor: Visitor) -> tuple[AnyStream, bool]:
        """The stream, and whether it was bought before under this key. Raises WavegateError."""

        async def buy() -> tuple[AnyStream, bool]:
            await visitor.enter()
            return await bought(visitor, self._hub, self._tasks, order, self._config.quota.estimate_seconds)

        info, there = await self._repeats.order(order, str(request.url.origin()), buy)
        stream_id = StreamId(info.id)
        try:
            stream = await self._hub.find(order.tenant, stream_id)
        except RequestError:
            raise RepeatedOrderError(stream_id) from None
        return stream, there

    async def _bought_before(self, order: Order, name: Name) -> AnyStream | None:
        """What this very order has bought, as its sender says; None if that was nothing."""
        stream_id = self._retries.known(name)
        if stream_id is None:
            return None
        try:
            stream = await self._hub.find(order.tenant, stream_id)
        except RequestError:
            return None
        # One that has failed before its first sound has cost nothing: it may be tried again.
        return None if stream.error is not None and not stream.received_seconds else stream

    def _answered(
        self,
        request: web.Request,
        visitor: Visitor,
        stream: AnyStream,
        channel: Channel,
        said: SpeechBody,
        always: dict[str, str],
        place: Place,
    ) -> web.StreamResponse:
        joined: list[Listener] = []

        def leave(parting: str) -> None:
            # Emptied, so that nothing refers to the song any more: the connection and its listener refer to each other.
            while joined:
                self._hub.detach(stream.tenant, joined.pop(), parting)

        events = said.stream_format == "sse"
        connection = SpeechConnection(
            self._now,
            leave,
            visitor.principal,
            events=events,
            modern=request.version >= (1, 1),
            headers=said_of(channel.format, events=events),
            # No middleware sees an answer of this connection.
            always=self._granted(request) | always,
        )
        listener, _ = self._hub.attach(stream, channel, connection, FromStart(), OnLag.COMPLETE, place)
        joined.append(listener)
        if take_over(request, connection) is None:
            leave(connection.parting)
            return TakenOver()
        self._connections.add(connection)
        connection.listeners.append(listener)
        connection.wait()
        listener.join()
        return TakenOver()


def _final(error: WavegateError) -> WavegateError:
    """The error of an order that has been bought: asking again for the same gives the same, however it failed."""
    last = WavegateError(error.code, error.message, param=error.param)
    last.handling = replace(error.handling, retryable=False)
    return last
