"""What stands around a door, without a network where none is needed: a wire that keeps what is written, a browser's
side of a WebSocket, the services of a session, and a small HTTP server for one door.

Invariant: nothing here sleeps; what is started here is stopped here. It must not know how a door works inside.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from gateway.config.schema import Config, Limits, Tenant
from gateway.config.secret import key_hash
from gateway.config.server import Server
from gateway.model import Principal, SourceEvent
from gateway.quota.policy import Rules
from gateway.quota.prices import Prices
from gateway.quota.uses import MemoryUses
from gateway.quota.volatile import VolatileLedger
from gateway.relay.hub import Hub
from gateway.relay.order import Order
from gateway.relay.ports import Encodings, Ledger, Source
from gateway.relay.stream import Stream
from gateway.server.admission import Admission
from gateway.server.audio import AudioDoor
from gateway.server.auth import Tenants
from gateway.server.connections import Connections
from gateway.server.forwarding import Address
from gateway.server.pace import Rate
from gateway.server.prefixes import Prefixes
from gateway.server.repeats import Repeats
from gateway.server.rest import errors
from gateway.server.seats import Seats
from gateway.server.services import Services
from gateway.server.session import ClientSession
from gateway.server.visitor import Visitor
from gateway.server.websocket import WebSocketConnection
from metrics.recorder import Recorder
from tests.support.encoding import ScriptedEncodings
from tests.support.relay import BUYER, RENDITION, TENANT, Clock, ScriptedSource, account, instruments, song, workshop

KEY = "wg_acme"
OTHER_KEY = "wg_other"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


class Wire(asyncio.Transport):
    """A socket that keeps what is written to it; it closes when it is told to, and nobody is called back."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.batches: list[int] = []
        self.marks: tuple[int | None, int | None] | None = None
        self.reading = True
        self.closing = False
        self.ended = False
        self.aborted = asyncio.Event()
        self.untaken = 0

    def get_write_buffer_size(self) -> int:
        return self.untaken

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "nothing may be written to a socket whose output has ended"
        self.written += data
        self.batches.append(1)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        pieces = list(list_of_data)
        self.write(b"".join(pieces))
        self.batches[-1] = len(pieces)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.marks = (high, low)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closing = self.ended = True

    def abort(self) -> None:
        self.closing = self.ended = True
        self.aborted.set()


@dataclass
class Line:
    """An open WebSocket: the connection under test, the wire it writes to, and the browser at the other end."""

    connection: WebSocketConnection
    wire: Wire
    browser: ClientProtocol
    recorder: Recorder
    clock: Clock
    read: int = 0

    def heard(self) -> list[Frame]:
        """The frames that have come since the last call."""
        data = bytes(self.wire.written[self.read :])
        self.read += len(data)
        self.browser.receive_data(data)
        return [event for event in self.browser.events_received() if isinstance(event, Frame)]

    def messages(self) -> list[dict[str, Any]]:
        """The control messages that have come since the last call; everything else is left out."""
        return [json.loads(bytes(frame.data)) for frame in self.heard() if frame.opcode is Opcode.TEXT]

    def say(self, **message: Any) -> None:
        """One control message."""
        self.browser.send_text(json.dumps(message).encode())
        self.deliver()

    def deliver(self) -> None:
        """Hands over what the browser has to say, its answers to pings and closes among it."""
        self.connection.data_received(b"".join(self.browser.data_to_send()))

    def closes(self) -> dict[str, float]:
        """Closes as they were counted, by code."""
        return {
            sample.labels["code"]: sample.value
            for metric in self.recorder.registry.collect()
            for sample in metric.samples
            if sample.name == "wavegate_websocket_closes_total" and sample.value
        }


def new_line(*, max_size: int = 65536, clock: Clock | None = None, rate: Rate | None = None) -> Line:
    """A WebSocket right behind its handshake, greeted by nobody yet, whose frames may come at this rate."""
    browser, server = ClientProtocol(parse_uri("ws://gateway.test/v1/ws")), ServerProtocol(max_size=max_size)
    browser.send_request(browser.connect())
    server.receive_data(b"".join(browser.data_to_send()))
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]  # the one event of a handshake is a Request
    browser.receive_data(b"".join(server.data_to_send()))
    browser.events_received()
    recorder, wire, clock = Recorder(), Wire(), clock or Clock()
    connection = WebSocketConnection(server, recorder, clock, rate)
    connection.connection_made(wire)
    return Line(connection, wire, browser, recorder, clock)


def new_stream(**fields: Any) -> Stream:
    """A stream that nobody feeds; `fields` are those of its song."""
    return Stream(RENDITION, Order(BUYER, song(**fields)), account(), instruments(), workshop())


@dataclass
class Room:
    """How much room there is, and how much of it is taken: 0 of each is a gateway without limits."""

    limit: int = 0
    memory: int = 0
    occupied: int = 0
    resident: int = 0
    clock: Clock = field(default_factory=Clock)
    server: Server = field(default_factory=Server)

    def admission(self, recorder: Recorder) -> Admission:
        """Whoever is refused may come back in two seconds."""
        return Admission(
            self.limit,
            self.memory,
            lambda: self.occupied,
            lambda: self.resident,
            recorder,
            self.clock,
            lambda low, high: low,
        )

    def prefixes(self, recorder: Recorder, trusts: Callable[[Address | None], bool] = lambda _: False) -> Prefixes:
        """What one address may have there."""
        return Prefixes(self.server, trusts, recorder, self.clock)


@asynccontextmanager
async def services(
    source: Source,
    *,
    config: Config | None = None,
    ledger: Ledger | None = None,
    limits: Limits | None = None,
    demo: bool = False,
    recorder: Recorder | None = None,
    encodings: Encodings | None = None,
    room: Room | None = None,
) -> AsyncIterator[Services]:
    """A hub with the tenants acme and other, and all that a session needs; what still runs at the end is cancelled."""
    config = config or Config()
    tenants = Tenants(
        [
            Tenant(id="acme", keys=[key_hash(KEY)], limits=limits or Limits()),
            Tenant(id="other", keys=[key_hash(OTHER_KEY)]),
        ],
        demo=demo,
    )
    ledger = ledger or VolatileLedger(tenants.limits, Rules(), Prices())
    recorder = recorder or Recorder()
    async with (
        asyncio.TaskGroup() as tasks,
        Hub(
            source,
            ledger,
            encodings or ScriptedEncodings(),
            config.relay,
            recorder,
            tenants.limits,
            lease_seconds=60.0,
            transcode=config.transcode,
        ) as hub,
    ):
        admission = (room or Room()).admission(recorder)
        seats = Seats(tenants.limits, recorder, lambda low, high: low)
        yield Services(hub, tenants, config, tasks, lambda: "se_1", admission, seats, Repeats(hub, ledger))


@asynccontextmanager
async def served(*routes: web.RouteDef, max_body: int = 65536) -> AsyncIterator[int]:
    """These routes behind the middleware of the public port, on a free port of this machine: gives the port."""
    application = web.Application(middlewares=[errors], client_max_size=max_body)
    application.add_routes(routes)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def soon(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Lets the loop turn until the condition holds, for what comes over a network: bounded by time, not by turns."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


@asynccontextmanager
async def dial(port: int, seconds: float = 20.0) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection of plain octets, closed at the end; everything that is done with it takes `seconds` at most."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()


async def exchange(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Says `request` on a connection of its own and gives head and body of everything up to the end."""
    async with dial(port) as (reader, writer):
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return head, body


@dataclass
class AudioPlace:
    """A server with the door, the streams behind it, and what looks after its connections."""

    port: int
    room: Services
    connections: Connections

    async def stream(self, form: str = "mp3") -> Stream:
        return await self.room.hub.create(Order(BUYER, song(form=form)))

    def head(
        self,
        stream: Stream,
        query: str = "",
        *,
        version: str = "1.1",
        method: str = "GET",
        more: str = "",
        ext: str | None = None,
    ) -> bytes:
        """A request for this song; the connection closes behind the answer."""
        path = f"/v1/streams/{stream.id}/audio.{ext or stream.native.format.name}{query}"
        return f"{method} {path} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n{more}\r\n".encode()

    async def get(self, stream: Stream, query: str = "", **options: str) -> tuple[bytes, bytes]:
        return await exchange(self.port, self.head(stream, query, **options))

    async def joined(self, stream: Stream, listeners: int) -> None:
        await soon(lambda: stream.listeners == listeners)

    async def left(self, stream: Stream) -> None:
        """Until nobody listens and nobody is connected: who says nothing more is asked as by the gateway's timer."""

        def gone() -> bool:
            self.connections.sweep()
            return (stream.listeners, len(self.connections)) == (0, 0)

        await soon(gone)


@asynccontextmanager
async def audio_place(
    *steps: SourceEvent | Exception | asyncio.Event,
    config: Config | None = None,
    limits: Limits | None = None,
    encodings: Encodings | None = None,
    visitor: Visitor | None = None,
    **options: Any,
) -> AsyncIterator[AudioPlace]:
    """Whoever asks comes with a key, or is this `visitor`; `options` are the door's."""
    async with services(ScriptedSource(*steps), config=config, limits=limits, encodings=encodings) as room:
        connections = Connections(room.config, Recorder(), Clock())
        door = AudioDoor(room.hub, connections, Clock(), **options)

        async def handle(request: web.Request) -> web.StreamResponse:
            stream = await room.hub.find(TENANT, request.match_info["id"])
            return await door.handle(request, visitor or Visitor(Principal(TENANT, "k"), MemoryUses()), stream)

        async with served(web.get("/v1/streams/{id}/audio.{ext}", handle)) as port:
            yield AudioPlace(port, room, connections)
            await connections.close(5.0)


def dechunked(body: bytes) -> tuple[bytes, bool]:
    """The joined chunks of a body, and whether its last chunk is there."""
    audio_bytes = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        if int(size, 16) == 0:
            assert body == b"\r\n", "nothing stands behind the last chunk"
            return audio_bytes, True
        audio_bytes, body = audio_bytes + body[: int(size, 16)], body[int(size, 16) :]
        assert body.startswith(b"\r\n")
        body = body[2:]
    return audio_bytes, False


@dataclass
class Talk:
    """A session on a line, and the services behind it."""

    line: Line
    session: ClientSession
    room: Services

    def answers(self) -> list[dict[str, Any]]:
        """The control messages that have come since the last call."""
        return self.line.messages()

    async def answer(self, kind: str) -> dict[str, Any]:
        """Waits for the next message of this type; what comes before it is left out."""
        found: list[dict[str, Any]] = []
        await soon(lambda: bool(found.extend(self.line.messages()) or [m for m in found if m["type"] == kind]))
        return next(message for message in found if message["type"] == kind)

    def leave(self) -> None:
        """The client's socket is gone."""
        self.line.connection.connection_lost(None)


@asynccontextmanager
async def talk(
    *steps: SourceEvent | Exception | asyncio.Event, known: bool = True, origin: str | None = None, **options: Any
) -> AsyncIterator[Talk]:
    """A session that has begun, of the tenant acme if it is `known`; the songs it orders say `steps`."""
    async with services(ScriptedSource(*steps), **options) as room:
        line = new_line()
        visitor = Visitor(Principal(TENANT, "k"), MemoryUses()) if known else None
        session = ClientSession(line.connection, room, visitor, origin, "http://gateway.test")
        line.connection.conversation = session
        session.begin()
        there = Talk(line, session, room)
        try:
            yield there
        finally:
            there.leave()
