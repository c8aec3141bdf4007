"""A gateway that is full, on real sockets: newcomers are refused in their own way, and who listens hears every byte.

Invariant under test: a refusal costs nobody anything who is there already, a place that is free again can be had, and
nothing is left of those who were turned away, said nothing, or never came to the point.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.app import Gateway
from gateway.config.schema import Limits
from gateway.config.server import Server
from gateway.server.admission import MARGIN
from tests.support.gateway import KEY, PATIENCE, Bench, bench, hear, receive, say, talk
from tests.support.server import soon

PROMPT = "[[scale seconds=4 speed=2]] a scale for those who are in"


def server(**fields: Any) -> Server:
    return Server(port=0, internal_port=0, **fields)


def number(gateway: Bench) -> int:
    return int(gateway.url.rpartition(":")[2])


async def told(gateway: Bench, request: bytes) -> tuple[bytes, bytes]:
    """Everything that a connection of its own is told, up to its end: head and body."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", number(gateway))
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    return head, body


def request(method: str, path: str, body: bytes = b"") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: x",
        "Connection: close",
        f"Authorization: Bearer {KEY}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


ORDER = request("POST", "/v1/streams", b'{"input": {"prompt": "a song that finds no place"}}')


async def reasons(gateway: Bench) -> list[str]:
    async with gateway.http.get(f"{gateway.internal}/readyz") as response:
        found: list[str] = (await response.json())["reasons"]
        assert response.status == (503 if found else 200)
        return found


async def refusals(gateway: Bench, reason: str) -> float:
    async with gateway.http.get(f"{gateway.internal}/metrics") as response:
        page = await response.text()
    name = f'wavegate_refusals_total{{reason="{reason}"}} '
    return sum(float(line.removeprefix(name)) for line in page.splitlines() if line.startswith(name))


async def closed(gateway: Bench) -> tuple[int, str]:
    """How a page's WebSocket ends: code and reason, with the sentence before it."""
    async with connect(gateway.ws_url, origin="https://play.example", compression=None) as page:
        message = await receive(page)
        assert message["error"]["code"] == "overloaded"
        assert 2000 <= message["error"]["retry_after_ms"] <= 10_000
        with pytest.raises(ConnectionClosed) as ended:
            await page.recv()
    assert ended.value.rcvd is not None
    return ended.value.rcvd.code, ended.value.rcvd.reason


async def hears_all(socket: ClientConnection) -> None:
    """The rest of the song, to the last byte."""
    heard = await hear(socket)
    completed = heard.named("stream.completed")
    assert completed["bytes"] == len(heard.audio)
    assert completed["sha256"] == hashlib.sha256(heard.audio).hexdigest()


async def refused_everywhere(gateway: Bench, stream: dict[str, Any]) -> None:
    """The three ways: a status for a program, a close code for a page, and an answer over HTTP."""
    with pytest.raises(InvalidStatus) as program:
        await connect(gateway.ws_url, additional_headers={"Authorization": f"Bearer {KEY}"}, compression=None)
    assert program.value.response.status_code == 503
    assert 2 <= int(program.value.response.headers["Retry-After"]) <= 10
    code, reason = await closed(gateway)
    assert code == 1013
    assert reason.startswith("overloaded;retry_after_ms=")
    path = f"/v1/streams/{stream['id']}"
    for said in (ORDER, request("GET", f"{path}/audio.mp3"), request("GET", f"{path}/clip.mp3")):
        head, body = await told(gateway, said)
        assert head.startswith(b"HTTP/1.1 503 "), said
        assert b"\r\nRetry-After: " in head
        assert json.loads(body)["error"]["code"] == "overloaded"


@asynccontextmanager
async def listening(gateway: Bench, stream: dict[str, Any]) -> AsyncIterator[ClientConnection]:
    async with talk(gateway) as socket:
        await say(socket, type="stream.attach", stream_id=stream["id"])
        # Before the song has begun there may be news of how many are waiting for it.
        while (message := await receive(socket))["type"] != "stream.started":
            assert message["type"] == "stream.metadata", message
        yield socket


# -- connections -------------------------------------------------------------------------------------------------------


async def test_with_every_place_taken_newcomers_are_refused_and_listeners_hear_on() -> None:
    """Three places: the client that ordered, and two listeners; one that leaves makes room for one that comes."""
    async with bench(server=server(max_connections=3)) as gateway:
        stream = await gateway.create(PROMPT)
        async with listening(gateway, stream) as first:
            assert await reasons(gateway) == []
            async with listening(gateway, stream):
                assert await reasons(gateway) == ["connections"]
                await refused_everywhere(gateway, stream)
                assert (await gateway.info(stream["id"]))["listeners"] == 2
                assert await refusals(gateway, "connections") == 5.0
            async with asyncio.timeout(PATIENCE):
                while await reasons(gateway):
                    pass
            async with listening(gateway, stream) as third:
                await asyncio.gather(hears_all(first), hears_all(third))


async def test_hundreds_who_come_at_once_are_all_told() -> None:
    """Past the margin the port itself answers; nothing is left of anybody, and the listener has heard it all."""
    async with bench(server=server(max_connections=2)) as gateway, AsyncExitStack() as stack:
        running = gateway.gateway
        stream = await gateway.create(PROMPT)
        socket = await stack.enter_async_context(listening(gateway, stream))
        silent = [await asyncio.open_connection("127.0.0.1", number(gateway)) for _ in range(MARGIN)]
        await soon(lambda: len(running.callers) == 1 + MARGIN)
        answers = await asyncio.gather(*[told(gateway, ORDER) for _ in range(300)])
        assert {head.partition(b"\r\n")[0] for head, _ in answers} == {b"HTTP/1.1 503 Service Unavailable"}
        assert {json.loads(body)["error"]["code"] for _, body in answers} == {"overloaded"}
        assert len({json.loads(body)["error"]["retry_after_ms"] for _, body in answers}) > 100
        assert await refusals(gateway, "connections") == 300.0
        await soon(lambda: running.port.farewells == 0)
        assert len(running.callers) == 1 + MARGIN
        for _, writer in silent:
            writer.close()
        await soon(lambda: len(running.callers) == 1)
        await hears_all(socket)
        await stack.aclose()
        await soon(lambda: len(running.connections) == 0)
        assert gateway.simulator.requests == 1


async def test_a_tenant_has_its_own_number_of_places() -> None:
    """429 at the handshake, 4100 after the first message; other tenants are not touched."""
    async with bench(limits=Limits(connections=1)) as gateway:
        async with talk(gateway), connect(gateway.ws_url, compression=None) as late:
            with pytest.raises(InvalidStatus) as refused:
                await connect(gateway.ws_url, additional_headers={"Authorization": f"Bearer {KEY}"}, compression=None)
            assert refused.value.response.status_code == 429
            assert "Retry-After" in refused.value.response.headers
            await say(late, type="session.authenticate", key=KEY)
            assert (await receive(late))["error"]["code"] == "concurrency_exceeded"
            with pytest.raises(ConnectionClosed) as ended:
                await late.recv()
            assert ended.value.rcvd is not None
            assert ended.value.rcvd.code == 4100
            async with talk(gateway, key="wg_other"):
                pass
        await soon(lambda: len(gateway.gateway.connections) == 0)
        async with talk(gateway):
            pass


# -- time --------------------------------------------------------------------------------------------------------------


async def test_silence_and_slow_heads_are_cut_in_time() -> None:
    """Neither an empty connection nor one whose head never ends stays; both are counted, and a listener is not."""
    async with bench(server=server(handshake_timeout=0.2)) as gateway:
        stream = await gateway.create(PROMPT)
        async with listening(gateway, stream) as socket, asyncio.timeout(PATIENCE):
            silent, quiet = await asyncio.open_connection("127.0.0.1", number(gateway))
            slow, writer = await asyncio.open_connection("127.0.0.1", number(gateway))
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
            assert await silent.read() == b""
            assert await slow.read() == b""
            assert await refusals(gateway, "late") == 2.0
            await hears_all(socket)
            quiet.close()
            writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """408, and nothing was bought."""
    async with bench(server=server(handshake_timeout=0.2)) as gateway, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", number(gateway))
        writer.write(ORDER[:-5])
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 408 ")
        assert b"request_timeout" in await reader.readuntil(b"}}")
        writer.close()
        await soon(lambda: len(gateway.gateway.callers) == 0)
        assert gateway.simulator.requests == 0


# -- memory ------------------------------------------------------------------------------------------------------------


async def test_over_the_mark_nothing_begins_and_everything_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders and newcomers are refused, also an order on a socket that is there; it may join, and hears to the end."""
    held = [0]
    monkeypatch.setattr("tests.support.gateway.Gateway", partial(Gateway, resident=lambda: held[0]))
    async with bench(server=server(max_memory_bytes=1000)) as gateway, talk(gateway) as joins:
        stream = await gateway.create(PROMPT)
        async with listening(gateway, stream) as socket:
            held[0] = 1001
            async with asyncio.timeout(PATIENCE):
                while await reasons(gateway) != ["memory"]:
                    pass
            await refused_everywhere(gateway, stream)
            async with gateway.http.post(
                f"{gateway.url}/v1/streams", json={"input": {"prompt": "a b c d e"}}
            ) as answer:
                assert answer.status == 503
            await say(joins, type="stream.create", input={"prompt": "a song of five words"})
            assert (await receive(joins))["error"]["code"] == "overloaded"
            await say(joins, type="stream.attach", stream_id=stream["id"])
            await asyncio.gather(hears_all(socket), hears_all(joins))
            assert gateway.simulator.requests == 1
        held[0] = 900
        async with asyncio.timeout(PATIENCE):
            while await reasons(gateway):
                pass
        await say(joins, type="stream.create", input={"prompt": "[[scale seconds=1 speed=0]] a scale with room"})
        assert (await receive(joins))["type"] == "stream.created"
        await hears_all(joins)
