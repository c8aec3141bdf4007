"""The WebSocket door on real sockets: the handshake octet by octet, and refusals a client can read.

Invariant under test: with an Origin a refusal is accept + `error` + close, without one it is the HTTP status.
It must not know what a session does.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from gateway.config.schema import Config, Limits
from gateway.config.server import Server
from gateway.server import upgrade
from gateway.server.connections import Connections
from gateway.server.services import Services
from gateway.server.upgrade import WebSocketDoor, parting
from metrics.recorder import Recorder
from tests.support.relay import TENANT, Clock, ScriptedSource
from tests.support.server import KEY, OTHER_KEY, Room, dial, exchange, served, services, soon

HANDSHAKE = {
    "Host": "gateway.test",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
KNOWN = {"Authorization": f"Bearer {KEY}"}


def request(more: dict[str, str] | None = None, *, path: str = "/v1/ws", without: str = "") -> bytes:
    """An opening handshake as octets."""
    headers = {name: value for name, value in (HANDSHAKE | (more or {})).items() if name != without}
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def text(**message: Any) -> bytes:
    """A client's text frame as octets."""
    return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)


@dataclass
class Place:
    """A server with the door, and what looks after its connections."""

    port: int
    connections: Connections
    services: Services

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    async def refused(self, octets: bytes) -> tuple[int, str]:
        """Status and code of the answer to a handshake that is refused over HTTP."""
        async with dial(self.port) as (reader, writer):
            writer.write(octets)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.splitlines() if line.startswith(b"Content-Length: "))
            body = await reader.readexactly(int(length.split()[1]))
        return int(head.split()[1]), json.loads(body)["error"]["code"]


@asynccontextmanager
async def place(config: Config | None = None, **options: Any) -> AsyncIterator[Place]:
    async with services(ScriptedSource(), config=config, **options) as room:
        connections = Connections(room.config, Recorder(), Clock())
        door = WebSocketDoor(room, connections, Recorder(), Clock())
        async with served(web.get("/v1/ws", door.handle)) as port, asyncio.timeout(10):
            yield Place(port, connections, room)
            await connections.close(5.0)


async def test_the_handshake_is_answered_and_the_client_greeted() -> None:
    """101 with the right answer to the key and no extension; then the greeting."""
    async with place() as there, dial(there.port) as (reader, writer):
        writer.write(request(KNOWN | {"Sec-WebSocket-Extensions": "permessage-deflate"}))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert b"Sec-WebSocket-Extensions" not in head
        assert b"Sec-WebSocket-Protocol" not in head
        assert (await reader.readexactly(2))[0] == 0x81
        assert b"session.created" in await reader.read(200)
        assert len(there.connections) == 1


async def test_what_was_said_behind_the_handshake_is_heard() -> None:
    """A client that does not wait for the answer loses none of its messages, and gets theirs in order."""
    async with place() as there, dial(there.port) as (reader, writer):
        writer.write(request() + text(type="session.authenticate", key=KEY) + text(type="ping", t="early"))
        await reader.readuntil(b"\r\n\r\n")
        heard = b""
        while b"early" not in heard:
            heard += await reader.read(1000)
        assert heard.index(b"session.created") < heard.index(b"pong")


@pytest.mark.parametrize("body", [{"Content-Length": "4"}, {"Transfer-Encoding": "chunked"}])
async def test_a_handshake_with_a_body_is_refused(body: dict[str, str]) -> None:
    """What is a body to a proxy would be frames to us; that it has none may be said."""
    async with place() as there:
        assert await there.refused(request(KNOWN | body) + b"0\r\n\r\n") == (400, "bad_protocol")
        async with dial(there.port) as (reader, writer):
            writer.write(request(KNOWN | {"Content-Length": "0"}))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")


async def test_who_is_given_no_other_protocol_is_parted_from() -> None:
    """An answer that says that it is the last, and an end; others may ask again."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await parting(request, answer)

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.method)

    again = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with served(web.get("/", handle)) as port, dial(port) as (reader, writer):
        for _ in range(2):
            writer.write(again)
            assert b"Connection: close" not in await reader.readuntil(b"\r\n\r\nGET")
        writer.write(again.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"))
        assert b"Connection: close" in await reader.readuntil(b"\r\n\r\nGET")
        assert await reader.read() == b""


async def test_only_our_subprotocol_is_echoed() -> None:
    """The credential beside it is not repeated, whether it comes in the same header or in one of its own."""
    secret = "wavegate.key." + urlsafe_b64encode(KEY.encode()).rstrip(b"=").decode()
    one = request({"Sec-WebSocket-Protocol": f"{secret}, wavegate.v1"})
    two = request({"Sec-WebSocket-Protocol": "wavegate.v1", "sec-websocket-protocol": secret})
    async with place() as there:
        for octets in (one, two):
            async with dial(there.port) as (reader, writer):
                writer.write(octets)
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"Sec-WebSocket-Protocol: wavegate.v1\r\n" in head
                assert secret.encode() not in head
                assert b"session.created" in await reader.read(300)


@pytest.mark.parametrize("without", ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"])
async def test_half_a_handshake_is_refused(without: str) -> None:
    """A request without one of the headers of the handshake is told what this address is for."""
    async with place() as there:
        assert await there.refused(request(KNOWN, without=without)) == (400, "bad_protocol")
        assert len(there.connections) == 0


@pytest.mark.parametrize(
    ("headers", "path", "status", "code"),
    [
        (KNOWN | {"Sec-WebSocket-Version": "8"}, "/v1/ws", 400, "bad_protocol"),
        (KNOWN | {"Sec-WebSocket-Key": "short"}, "/v1/ws", 400, "bad_protocol"),
        (KNOWN | {"Sec-WebSocket-Key": "\xff"}, "/v1/ws", 400, "bad_protocol"),
        (KNOWN | {"Sec-WebSocket-Protocol": "wavegate.v2"}, "/v1/ws", 400, "bad_protocol"),
        ({"Sec-WebSocket-Protocol": "chat, superchat"}, "/v1/ws", 400, "bad_protocol"),
        ({"Authorization": "Bearer nobody"}, "/v1/ws", 401, "bad_credentials"),
        ({"Authorization": "Basic eA=="}, "/v1/ws", 401, "bad_credentials"),
        ({"Authorization": "Bearer \xff"}, "/v1/ws", 401, "bad_credentials"),
        ({"Sec-WebSocket-Protocol": "wavegate.v1, wavegate.ticket.eA"}, "/v1/ws", 401, "bad_credentials"),
        ({}, "/v1/ws?ticket=x", 401, "bad_credentials"),
    ],
)
async def test_without_an_origin_a_refusal_is_a_status(
    headers: dict[str, str], path: str, status: int, code: str
) -> None:
    """A program sees the status and the error document, and no connection is taken."""
    async with place() as there:
        assert await there.refused(request(headers, path=path)) == (status, code)
        assert len(there.connections) == 0


@pytest.mark.parametrize("header", ["X-Song", "User-Agent", "Cookie"])
async def test_octets_that_are_no_text_in_other_headers_harm_nobody(header: str) -> None:
    """A header that is none of ours may hold any octets that HTTP allows."""
    async with place() as there, dial(there.port) as (reader, writer):
        writer.write(request(KNOWN | {header: "\xff\xe9"}))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize(
    ("options", "code", "slug"),
    [
        ({"additional_headers": {"Authorization": "Bearer nobody"}}, 4001, "bad_credentials"),
        ({"subprotocols": ["wavegate.v9"]}, 4010, "bad_protocol"),
        ({"additional_headers": KNOWN}, 4003, "origin_forbidden"),
    ],
)
async def test_with_an_origin_a_refusal_is_told_on_the_socket(options: dict[str, Any], code: int, slug: str) -> None:
    """Script sees the sentence and the close code, and nothing that it says is carried out."""
    async with place() as there:
        async with connect(there.url, origin="https://page.example", compression=None, **options) as socket:
            message = json.loads(await socket.recv())
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert message["error"]["code"] == slug
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, slug)


async def test_a_gateway_that_stops_takes_no_connection() -> None:
    """A program gets 503 and a time to wait, a page the close code that says reconnect elsewhere."""
    async with place() as there:
        there.connections.draining = True
        assert await there.refused(request(KNOWN)) == (503, "going_away")
        async with connect(there.url, origin="https://page.example", compression=None) as socket:
            assert json.loads(await socket.recv())["error"]["retry_after_ms"] == 1000
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "going_away;retry_after_ms=1000")


@pytest.mark.parametrize("full", [{"limit": 1, "occupied": 2}, {"memory": 10, "resident": 11}])
async def test_a_gateway_that_is_full_takes_no_connection(full: dict[str, int]) -> None:
    """A program gets 503 and a time to wait, a page 1013; without looking at who it is."""
    room = Room(**full)
    async with place(room=room) as there:
        for headers in (KNOWN, {"Authorization": "Bearer nobody"}):
            assert await there.refused(request(headers)) == (503, "overloaded")
        head, _ = await exchange(there.port, request(KNOWN | {"Connection": "Upgrade, close"}))
        assert b"\r\nRetry-After: 2\r\n" in head
        async with connect(there.url, origin="https://page.example", compression=None) as socket:
            assert json.loads(await socket.recv())["error"]["code"] == "overloaded"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "overloaded;retry_after_ms=2000")
        room.occupied = room.resident = 0
        room.clock.at += 1.0
        async with connect(there.url, additional_headers=KNOWN, compression=None) as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"


async def test_a_tenant_without_a_place_is_refused_and_others_are_not() -> None:
    """429 for a program; the place is free again when the one who had it has gone."""
    async with place(limits=Limits(connections=1)) as there:
        async with connect(there.url, additional_headers=KNOWN, compression=None) as first:
            assert json.loads(await first.recv())["limits"]["connections"] == 1
            assert await there.refused(request(KNOWN)) == (429, "concurrency_exceeded")
            other = {"Authorization": f"Bearer {OTHER_KEY}"}
            async with connect(there.url, additional_headers=other, compression=None) as second:
                assert json.loads(await second.recv())["tenant"] == "other"
        await soon(lambda: there.services.seats.taken(TENANT) == 0)
        async with connect(there.url, additional_headers=KNOWN, compression=None) as again:
            assert json.loads(await again.recv())["type"] == "session.created"


async def test_a_client_that_is_gone_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that closed during the handshake is neither greeted nor looked after."""
    monkeypatch.setattr(upgrade, "take_over", lambda request, connection: None)
    async with place() as there:
        assert await exchange(there.port, request(KNOWN)) == (b"", b"")
        assert len(there.connections) == 0


async def test_the_limit_on_messages_is_the_configured_one() -> None:
    """The first octet too many closes with 1009."""
    async with place(Config(server=Server(max_message_bytes=64))) as there:
        async with connect(there.url, additional_headers=KNOWN, compression=None) as socket:
            await socket.recv()
            await socket.send(json.dumps({"type": "ping", "t": "x" * 38}))
            assert json.loads(await socket.recv())["type"] == "pong"
            await socket.send("x" * 65)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
