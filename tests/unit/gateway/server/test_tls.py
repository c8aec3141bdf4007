"""Connections under TLS on real sockets: what is said arrives, in both directions, until both sides have said all.

Invariant under test: to what is above it is a transport like any other, and a client that does not read is noticed as
soon as its socket takes no more. The client's side is OpenSSL by itself, so that a test says when which octet goes.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

import pytest

from gateway.server.tls import TlsConnection
from gateway.server.turns import Turns
from tests.support.certificates import Authority, Papers
from tests.support.server import soon


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def serving(papers: Papers, *, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.certificate, papers.key)
    if version is not None:
        context.maximum_version = version
    return context


class Above(asyncio.Protocol):
    """Notes what comes; stays when the client has said all, if `stays`."""

    def __init__(self) -> None:
        self.heard = b""
        self.life: list[str] = []
        self.stays = False
        self.transport: TlsConnection

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def eof_received(self) -> bool:
        self.life.append("eof")
        return self.stays

    def pause_writing(self) -> None:
        self.life.append("full")

    def resume_writing(self) -> None:
        self.life.append("room")

    def connection_lost(self, exc: Exception | None) -> None:
        self.life.append("lost")


class Client:
    """A client of octets: what TLS makes of words is sent when it is asked for."""

    def __init__(self, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.reader, self.writer = reader, writer

    async def step(self) -> None:
        """Sends what is to be sent, and waits for an answer."""
        self.writer.write(self.outgoing.read())
        data = await self.reader.read(1 << 16)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    async def until(self, done: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while True:
                with suppress(ssl.SSLWantReadError):
                    done()
                    return
                await self.step()

    async def hands(self) -> None:
        await self.until(self.tls.do_handshake)
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.outgoing.read())

    def say(self, data: bytes) -> None:
        self.tls.write(data)
        self.flush()

    async def hear(self, size: int) -> bytes:
        heard = bytearray()

        def more() -> None:
            while len(heard) < size:
                try:
                    piece = self.tls.read(size - len(heard))
                except ssl.SSLZeroReturnError:
                    return
                if not piece:
                    return
                heard.extend(piece)

        await self.until(more)
        return bytes(heard)

    def goodbye(self) -> None:
        with suppress(ssl.SSLError):
            self.tls.unwrap()
        self.flush()


class Place:
    """A server whose every connection is under TLS; `failures` are why handshakes came to nothing."""

    def __init__(self, port: int, trusted: ssl.SSLContext) -> None:
        self.port = port
        self.trusted = trusted
        self.above: list[Above] = []
        self.failures: list[str | None] = []

    @asynccontextmanager
    async def dial(self, *, hands: bool = True) -> AsyncIterator[tuple[Client, Above]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        client = Client(self.trusted, reader, writer)
        try:
            if hands:
                await client.hands()
                await soon(lambda: bool(self.above))
            yield client, self.above[-1] if self.above else Above()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def place(
    authority: Authority, *, version: ssl.TLSVersion | None = None, greeting: bytes = b""
) -> AsyncIterator[Place]:
    context = serving(authority.issue(), version=version)
    there = Place(0, authority.trusted)

    def established(connection: TlsConnection) -> None:
        above = Above()
        above.transport = connection
        there.above.append(above)
        connection.set_protocol(above)
        assert connection.get_protocol() is above
        if greeting:
            connection.write(greeting)

    def failed(connection: TlsConnection, error: ssl.SSLError | None) -> None:
        there.failures.append(error.reason if error is not None else None)
        connection.close()

    loop, turns = asyncio.get_running_loop(), Turns()
    server = await loop.create_server(lambda: TlsConnection(context, established, failed, turns), "127.0.0.1", 0)
    there.port = server.sockets[0].getsockname()[1]
    try:
        yield there
    finally:
        server.close()
        for above in there.above:
            above.transport.abort()
        await soon(lambda: all("lost" in above.life for above in there.above))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_words_arrive_both_ways(authority: Authority, version: ssl.TLSVersion) -> None:
    """More than a record holds, in one piece and in several, of every kind of buffer."""
    async with place(authority, version=version) as there, there.dial() as (client, above):
        client.say(bytes(range(256)) * 300)
        await soon(lambda: len(above.heard) == 76_800)
        assert above.heard == bytes(range(256)) * 300
        above.transport.write(memoryview(b"one "))
        above.transport.writelines([b"two ", bytearray(b"three "), b""])
        above.transport.write(b"")
        above.transport.write(b"x" * 100_000)
        assert await client.hear(14 + 100_000) == b"one two three " + b"x" * 100_000
        assert client.tls.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]


async def test_what_comes_with_the_last_of_the_handshake_is_heard(authority: Authority) -> None:
    """As browsers send it: nothing waits for the next packet; and we may speak first."""
    async with place(authority, greeting=b"hello") as there, there.dial(hands=False) as (client, _):
        await client.until(client.tls.do_handshake)
        client.tls.write(b"GET /")
        client.flush()
        assert await client.hear(5) == b"hello"
        await soon(lambda: there.above[0].heard == b"GET /")


async def test_octets_one_by_one(authority: Authority) -> None:
    """However the network cuts it."""
    async with place(authority) as there, there.dial() as (client, above):
        client.tls.write(b"slowly")
        for octet in client.outgoing.read():
            client.writer.write(bytes([octet]))
            await asyncio.sleep(0)
        await soon(lambda: above.heard == b"slowly")


async def test_what_is_asked_of_a_transport(authority: Authority) -> None:
    """Of TLS it tells itself, of the socket that; water marks are the socket's."""
    async with place(authority) as there, there.dial() as (_, above):
        transport = above.transport
        assert isinstance(transport.get_extra_info("sslcontext"), ssl.SSLContext)
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert transport.get_extra_info("peername")[0] == "127.0.0.1"
        assert transport.get_extra_info("nothing", 7) == 7
        transport.set_write_buffer_limits(0, 0)
        assert transport.get_write_buffer_limits() == (0, 0)
        assert transport.get_write_buffer_size() == 0
        assert transport.can_write_eof()
        assert transport.is_reading()
        assert not transport.is_closing()
        assert transport.socket.get_write_buffer_limits() == (0, 0)


async def test_a_client_that_does_not_read_is_noticed_at_once(authority: Authority) -> None:
    """The water marks of 0 hold: what the socket did not take of one write is all that waits, and nothing is lost."""
    async with place(authority) as there, there.dial() as (client, above):
        transport = above.transport
        transport.set_write_buffer_limits(0, 0)
        written = 0
        while "full" not in above.life:
            transport.write(bytes(16_384))
            written += 16_384
        assert 0 < transport.get_write_buffer_size() < 2 * 16_384
        assert await client.hear(written) == bytes(written)
        await soon(lambda: above.life == ["full", "room"])
        assert transport.get_write_buffer_size() == 0


async def test_whoever_is_above_reads_when_it_likes(authority: Authority) -> None:
    """What was decrypted, and what was not yet, waits; later words stay behind earlier ones."""
    async with place(authority) as there, there.dial() as (client, above):
        above.transport.pause_reading()
        above.transport.pause_reading()
        assert not above.transport.is_reading()
        client.say(b"first ")
        above.transport.resume_reading()
        assert above.heard == b""
        above.transport.resume_reading()
        await soon(lambda: above.heard == b"first ")

        def hears_one(data: bytes) -> None:
            above.heard += data
            above.transport.pause_reading()

        above.data_received = hears_one  # type: ignore[method-assign]  # it stops in the middle of what has come
        client.tls.write(b"second ")
        client.tls.write(b"third ")
        client.flush()
        await soon(lambda: above.heard == b"first second ")
        client.goodbye()
        client.writer.write_eof()
        above.transport.resume_reading()
        await soon(lambda: above.heard == b"first second third ")
        above.transport.resume_reading()
        await soon(lambda: above.life == ["eof", "lost"])


@pytest.mark.parametrize("goodbye", [True, False])
async def test_who_has_said_all_may_still_hear_the_rest(authority: Authority, goodbye: bool) -> None:
    """With a goodbye of TLS or without: our side stays open as long as whoever is above wants."""
    async with place(authority) as there, there.dial() as (client, above):
        above.stays = True
        client.say(b"all I want")
        if goodbye:
            client.goodbye()
        client.writer.write_eof()
        await soon(lambda: above.life == ["eof"])
        assert above.heard == b"all I want"
        above.transport.write(b"here it is")
        assert await client.reader.read(1) != b""
        above.transport.close()
        above.transport.close()
        await soon(lambda: above.life == ["eof", "lost"])


async def test_where_nobody_stays_the_end_is_the_end(authority: Authority) -> None:
    """The goodbye is answered with one, and the socket is closed."""
    async with place(authority) as there, there.dial() as (client, above):
        client.goodbye()
        await soon(lambda: above.life == ["eof", "lost"])
        assert await client.hear(1) == b""
        assert await client.reader.read() == b""
        above.transport.write(b"too late")
        assert above.transport.is_closing()
        assert not above.transport.is_reading()


async def test_our_goodbye_does_not_end_the_hearing(authority: Authority) -> None:
    """Nothing follows, the client knows that it has all, and what it says is still taken."""
    async with place(authority) as there, there.dial() as (client, above):
        client.say(b"before ")
        await soon(lambda: above.heard == b"before ")
        above.transport.write(b"the end")
        above.transport.write_eof()
        above.transport.write_eof()
        above.transport.write(b"not said any more")
        assert await client.hear(100) == b"the end"
        client.tls.write(b"after")
        client.flush()
        await soon(lambda: above.heard == b"before after")
        client.goodbye()
        client.writer.write_eof()
        await soon(lambda: above.life == ["eof", "lost"])


async def test_a_client_that_is_still_talking_does_not_disturb_our_goodbye(authority: Authority) -> None:
    """OpenSSL calls words behind a goodbye a fault; here they are none."""
    async with place(authority) as there, there.dial() as (client, above):
        above.transport.pause_reading()
        client.say(bytes(50_000))
        await soon(lambda: True)
        above.transport.write_eof()
        above.transport.resume_reading()
        await soon(lambda: len(above.heard) == 50_000)
        assert await client.hear(1) == b""


async def test_what_is_no_tls_in_the_middle_is_cut(authority: Authority) -> None:
    """Octets that cannot be decrypted end the connection, and whoever is above hears that."""
    async with place(authority) as there, there.dial() as (client, above):
        client.writer.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        await soon(lambda: above.life == ["lost"])
        assert above.transport.is_closing()


async def test_a_client_that_is_reset_is_lost(authority: Authority) -> None:
    """Without a word."""
    async with place(authority) as there, there.dial() as (client, above):
        raw = cast("socket.socket", client.writer.get_extra_info("socket"))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        await soon(lambda: above.life[-1:] == ["lost"])


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP_REQUEST"),
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "LENGTH_TOO_SHORT"),
        (bytes(40), "WRONG_VERSION_NUMBER"),
    ],
)
async def test_what_is_no_handshake_comes_to_nothing(authority: Authority, said: bytes, reason: str) -> None:
    """The reason is told; who speaks TLS gets an alert."""
    async with place(authority) as there, there.dial(hands=False) as (client, _):
        client.writer.write(said)
        answer = await asyncio.wait_for(client.reader.read(), 20)
        assert there.failures[0] == reason
        assert there.above == []
        # The alert of OpenSSL, where it takes the other side for one that would understand it.
        assert answer[:1] == (b"\x15" if reason == "LENGTH_TOO_SHORT" else b"")


async def test_who_goes_in_the_middle_of_a_handshake_is_gone(authority: Authority) -> None:
    """With all said, or reset."""
    async with place(authority) as there:
        async with there.dial(hands=False) as (client, _):
            client.writer.write(b"\x16\x03")
            client.writer.write_eof()
            assert await asyncio.wait_for(client.reader.read(), 20) == b""
        await soon(lambda: there.failures == [None])
        async with there.dial(hands=False) as (client, _):
            client.writer.write(b"\x16\x03")
        await soon(lambda: there.failures == [None, None])


async def test_water_marks_before_the_handshake_are_nobodys(authority: Authority) -> None:
    """A socket that takes no more before there is anybody to tell is not told to anybody."""

    def unexpected(*_: object) -> None:
        raise AssertionError

    connection = TlsConnection(serving(authority.issue()), unexpected, unexpected, Turns())
    connection.pause_writing()
    connection.resume_writing()
