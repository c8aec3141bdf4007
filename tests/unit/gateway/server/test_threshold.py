"""What stands before the HTTP server, on the real port: PROXY headers, TLS, both, and who does not come past them.

Invariant under test: the HTTP server hears exactly what was said behind them, and of nobody who did not come in.
It must not know what the HTTP server does.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from aiohttp import web

from gateway.errors import LimitError
from gateway.server import port as port_module
from gateway.server.admission import MARGIN
from gateway.server.callers import Callers
from gateway.server.forwarding import Forwarding
from gateway.server.port import Port
from gateway.server.prefixes import Prefixes
from metrics.recorder import Recorder
from tests.support.certificates import Authority
from tests.support.relay import Clock
from tests.support.server import Room, dial, exchange, soon

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PROXY = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def cut(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends without a word."""
    try:
        return await asyncio.wait_for(reader.read(), 20) == b""
    except ConnectionError:
        return True


def hello(context: ssl.SSLContext) -> bytes:
    """The first that a client of TLS says."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1").do_handshake()
    return outgoing.read()


@dataclass
class Place:
    """A port behind which everybody is told their address."""

    number: int
    port: Port
    callers: Callers
    room: Room
    clock: Clock
    trusted: ssl.SSLContext
    recorder: Recorder

    async def ask(self, before: bytes = b"", *, tls: bool) -> bytes:
        """Everything that is answered to a request behind these octets."""
        async with dial(self.number) as (reader, writer):
            if not tls:
                writer.write(before + HEAD)
                return await reader.read()
            writer.write(before)
            await writer.start_tls(self.trusted, server_hostname="127.0.0.1")
            writer.write(HEAD)
            return await reader.read()


@asynccontextmanager
async def place(authority: Authority, *, tls: bool = True, proxies: str | None = None) -> AsyncIterator[Place]:
    room, clock, recorder = Room(limit=1), Clock(), Recorder()

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.remote} by {request.scheme}")

    application = web.Application()
    application.add_routes([web.get("/", answer)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    papers = authority.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.certificate, papers.key)
    callers = Callers(10.0, recorder, clock)
    forwarding = Forwarding([proxies] if proxies is not None else [])
    believed = forwarding.believed if proxies is not None else None
    prefixes = room.prefixes(recorder, forwarding.trusts)
    port = Port(callers, room.admission(recorder), prefixes, clock, (lambda: context) if tls else None, believed)
    try:
        number = await port.listen(runner.server, "127.0.0.1", 0)
        yield Place(number, port, callers, room, clock, authority.trusted, recorder)
    finally:
        port.close()
        await runner.cleanup()


async def test_under_tls_the_http_server_answers(authority: Authority) -> None:
    """It knows that it is TLS; whoever has gone is no caller any more."""
    async with place(authority) as there:
        assert (await there.ask(tls=True)).endswith(b"127.0.0.1 by https")
        await soon(lambda: len(there.callers) + there.port.at_threshold == 0)


@pytest.mark.parametrize("tls", [False, True])
async def test_a_trusted_proxy_says_for_whom_it_connects(authority: Authority, tls: bool) -> None:
    """Before TLS, in the same packet as what follows or in pieces; a look at whether we are there has no client."""
    async with place(authority, tls=tls, proxies="127.0.0.1") as there:
        scheme = b"https" if tls else b"http"
        assert (await there.ask(PROXY, tls=tls)).endswith(b"203.0.113.7 by " + scheme)
        assert (await there.ask(b"PROXY UNKNOWN\r\n", tls=tls)).endswith(b"127.0.0.1 by " + scheme)
    async with place(authority, tls=False, proxies="127.0.0.1") as there, dial(there.number) as (reader, writer):
        for octet in PROXY:
            writer.write(bytes([octet]))
            await asyncio.sleep(0)
        writer.write(HEAD)
        assert (await reader.read()).endswith(b"203.0.113.7 by http")


async def test_nobody_else_has_a_say(authority: Authority) -> None:
    """To others such a header is no HTTP; and they need none."""
    async with place(authority, tls=False, proxies="10.0.0.0/8") as there:
        assert (await there.ask(PROXY, tls=False)).startswith(b"HTTP/1.0 400")
        assert (await there.ask(tls=False)).endswith(b"127.0.0.1 by http")


async def test_a_proxy_that_says_nothing_is_not_believed_to_be_a_client(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection is closed, and the log says why."""
    async with place(authority, tls=False, proxies="127.0.0.1") as there:
        async with dial(there.number) as (reader, writer):
            writer.write(HEAD)
            assert await cut(reader)
        assert there.port.at_threshold == 0
        assert len(there.callers) == 0
    assert "proxy.no_header" in caplog.text


async def test_plain_http_at_a_port_of_tls_is_told_so(authority: Authority) -> None:
    """In plain words, the error body of every refusal; other nonsense gets an alert or nothing."""
    async with place(authority) as there:
        head, body = await exchange(there.number, HEAD)
        assert head.startswith(b"HTTP/1.1 400 Bad Request")
        assert json.loads(body)["error"]["code"] == "bad_protocol"
        assert (await exchange(there.number, bytes(50)))[1] == b""
        await soon(lambda: there.port.farewells + there.port.at_threshold == 0)
        assert len(there.callers) == 0


async def test_who_does_not_come_in_in_time_is_cut(authority: Authority) -> None:
    """Silent, in the middle of a handshake, in the middle of a header: counted like those who make no request."""
    # Who is cut in the middle of its words may find that it was reset.
    async with place(authority, proxies="127.0.0.1") as there, AsyncExitStack() as stack:
        stack.enter_context(suppress(ConnectionError))
        silent, middle, header = [await stack.enter_async_context(dial(there.number)) for _ in range(3)]
        middle[1].write(PROXY + b"\x16\x03\x01")
        header[1].write(PROXY[:9])
        await soon(lambda: there.port.at_threshold == 3)
        there.clock.at += 9.9
        there.port.sweep()
        assert there.port.at_threshold == 3
        there.clock.at += 0.1
        there.port.sweep()
        assert there.port.at_threshold == 0
        for reader, _ in (silent, middle, header):
            assert await cut(reader)
    assert there.recorder.registry.get_sample_value("wavegate_refusals_total", {"reason": "late"}) == 3


@pytest.mark.parametrize("proxies", [None, "127.0.0.1"])
async def test_who_comes_too_often_is_cut_before_a_handshake(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, proxies: str | None
) -> None:
    """In its own name or in a proxy's words; another address is let in meanwhile, and a plain refusal costs nothing."""
    asked: list[str | None] = []

    def arrive(self: Prefixes, address: str | None) -> None:
        asked.append(address)
        if len(asked) > 1 and address != "203.0.113.8":
            raise LimitError("rate_exceeded", "Too many connections come from this address.")

    monkeypatch.setattr(Prefixes, "arrive", arrive)
    before = PROXY if proxies else b""
    async with place(authority, proxies=proxies) as there:
        assert b" by https" in await there.ask(before, tls=True)
        async with dial(there.number) as (reader, writer):
            writer.write(before + hello(there.trusted))
            assert await cut(reader), "without a word of TLS"
        if proxies:
            assert b" by https" in await there.ask(before.replace(b"0.113.7", b"0.113.8"), tls=True)
        await soon(lambda: there.port.at_threshold == 0)


async def test_where_there_is_no_room_they_hear_it_under_tls(authority: Authority) -> None:
    """A whole answer, and the goodbye of TLS behind it; no HTTP server has seen them."""
    async with place(authority) as there:
        there.room.occupied = 1 + MARGIN
        answer = await there.ask(tls=True)
        assert answer.startswith(b"HTTP/1.1 503")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "overloaded"
        await soon(lambda: there.port.farewells == 0)


async def test_a_full_gateway_shakes_hands_with_so_many_and_no_more(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handshakes that only end in a refusal are bounded; while there is room they are not."""
    monkeypatch.setattr(port_module, "MOST_AT_THRESHOLD", 2)
    async with place(authority) as there, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(dial(there.number))
        await soon(lambda: there.port.at_threshold == 3)
        there.room.occupied = 1 + MARGIN
        async with dial(there.number) as (reader, _):
            assert await cut(reader)
        assert there.port.at_threshold == 3


async def test_at_the_close_nobody_stays_at_the_threshold(authority: Authority) -> None:
    """Whoever was not in yet is cut, and so is a client that goes by itself no trouble."""
    async with place(authority) as there:
        assert there.port.open
        async with dial(there.number):
            await soon(lambda: there.port.at_threshold == 1)
        await soon(lambda: there.port.at_threshold == 0)
        async with dial(there.number) as (reader, _):
            await soon(lambda: there.port.at_threshold == 1)
            there.port.close()
            assert await cut(reader)
            with pytest.raises(ConnectionRefusedError):
                await exchange(there.number, HEAD)
