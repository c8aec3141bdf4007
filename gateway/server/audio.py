"""The progressive door: GET …/audio.EXT, a song as one long body that any player takes.

While the song is made the body begins at once and is never paced; a finished song has a length and answers ranges.
Either comes out of the song's channel, from a listener's position, on a socket taken over from the HTTP server.
Invariant: byte N of `since=start` is the same for everybody, now and when the song is whole; whoever only looks is no
listener and spends no use of a ticket, and neither does a request that is refused.
"""

from collections.abc import Callable, Mapping

from aiohttp import web

from gateway.errors import WavegateError
from gateway.model import Principal
from gateway.protocol import frames
from gateway.relay.hub import Hub
from gateway.relay.listener import Listener, OnLag
from gateway.relay.replica import AnyStream
from gateway.relay.since import Since
from gateway.relay.wishes import Wished
from gateway.server.connections import Connections
from gateway.server.heads import head, headers_of
from gateway.server.icy import IcyConnection, interval_of
from gateway.server.listening import Offer, asked, offered
from gateway.server.pieces import FirstSound, at_once, probed, small
from gateway.server.port import http_answer
from gateway.server.progressive import AudioConnection, PartConnection
from gateway.server.ranges import UnsatisfiableRangeError
from gateway.server.takeover import TakenOver, take_over
from gateway.server.tickets import is_probe
from gateway.server.visitor import Visitor
from transcode.formats import StreamFormat

# How long a player that asks for the first two bytes waits for them. They give up after 30 s and more.
PROBE_SECONDS = 10.0

Grant = Callable[[web.Request], Mapping[str, str]]


class AudioDoor:
    """The handlers of …/audio.EXT. `grant` gives the headers that let a page read the answer."""

    def __init__(
        self,
        hub: Hub,
        connections: Connections,
        now: Callable[[], float],
        grant: Grant = lambda _: {},
        probe_seconds: float = PROBE_SECONDS,
    ) -> None:
        self._hub = hub
        self._connections = connections
        self._now = now
        self._grant = grant
        self._probe_seconds = probe_seconds

    async def handle(self, request: web.Request, visitor: Visitor, stream: AnyStream) -> web.StreamResponse:
        """Answers GET and HEAD. Raises WavegateError."""
        if request.method == "HEAD":
            return await self._look(request, stream)
        if is_probe(request.method, request.headers.get("Range")):
            return await self._probe(request, stream)
        await self._offer(request, stream)  # a mistake costs no use
        await visitor.enter()
        # The song may have ended meanwhile, and others may have come.
        stream = self._hub.get(stream.tenant, stream.id)
        offer = await self._offer(request, stream)
        if small(offer):
            return at_once(offer)
        return self._follow(request, offer, visitor.principal)

    def _asked(self, request: web.Request, stream: AnyStream) -> tuple[list[Wished], Since]:
        """What is to be heard of it. Raises RequestError, or why there is nothing to hear."""
        wished, since = asked(request)
        if stream.error is not None and stream.silent:
            raise stream.error.again()
        return wished, since

    async def _offer(self, request: web.Request, stream: AnyStream) -> Offer:
        wished, since = self._asked(request, stream)
        channel = await stream.obtain(wished)
        try:
            offer = offered(request.headers, stream, channel, since)
        except UnsatisfiableRangeError as error:
            raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{error.total}"}) from None
        if small(offer):
            self._hub.check_bytes(stream.tenant)
        else:
            self._hub.check_listeners(stream.tenant)
        return offer

    async def _look(self, request: web.Request, stream: AnyStream) -> web.Response:
        """The head that a GET would have, as far as it is known: it sets no encoder to work."""
        wished, since = self._asked(request, stream)
        channel = await stream.look(wished)
        if channel is None:
            return web.Response(headers=headers_of(wished[0].form, None))
        # A Range means nothing to a HEAD.
        offer = offered({"Icy-MetaData": request.headers.get("Icy-MetaData", "")}, stream, channel, since)
        return web.Response(headers=offer.headers(channel.details, interval_of(channel)))

    async def _probe(self, request: web.Request, stream: AnyStream) -> web.Response:
        """The first bytes, which are waited for: it is no listener, and a ticket spends no use on it."""
        wished, since = self._asked(request, stream)
        channel = await stream.obtain(wished)
        if channel.end == 0 and channel.outcome is None:
            await FirstSound(channel).wait(self._probe_seconds)
        return probed(offered({}, stream, channel, since), int(request.headers["Range"][-1]) + 1)

    def _follow(self, request: web.Request, offer: Offer, principal: Principal) -> web.StreamResponse:
        joined: list[Listener] = []

        def leave(parting: str) -> None:
            # Emptied, so that nothing refers to the song any more: the connection and its listener refer to each other.
            while joined:
                self._hub.detach(offer.stream.tenant, joined.pop(), parting)

        since, skip = offer.place()
        chunked = offer.part.length is None and request.version >= (1, 1)
        build = frames.chunked if chunked else frames.plain
        connection: AudioConnection
        if offer.titles:
            connection = IcyConnection(self._now, build, leave, principal, offer.channel, offer.stream.titles)
        elif offer.part.content_range is not None:
            connection = PartConnection(self._now, build, leave, principal, skip, offer.part.length)
        else:
            connection = AudioConnection(self._now, build, leave, principal)
        listener, _ = self._hub.attach(offer.stream, offer.channel, connection, since, OnLag.COMPLETE)
        joined.append(listener)
        if take_over(request, connection) is None:
            leave(connection.parting)
            return TakenOver()
        self._connections.add(connection)
        connection.listeners.append(listener)
        granted = self._grant(request)

        def opening(about: StreamFormat | WavegateError | None) -> bytes:
            if isinstance(about, WavegateError):
                return http_answer(about, granted)
            interval = connection.interval if isinstance(connection, IcyConnection) else 0
            said = {**offer.headers(about, interval), **granted}
            if chunked:
                said["Transfer-Encoding"] = "chunked"
            return head(offer.status, said)

        if offer.waits:
            connection.head = opening
        else:
            connection.write(opening(offer.channel.details))
        listener.join()
        return TakenOver()
