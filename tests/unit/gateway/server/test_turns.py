"""The share of a turn in which clients are listened to: who is held, who reads on, and that nothing said is lost.

Invariant under test: with no share at all every door works as ever, also under TLS and behind a proxy, and what stopped
a connection's reading for reasons of its own still does. It must not know how long the share is.
"""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from gateway.config.server import Server
from gateway.server import turns as module
from gateway.server.callers import Caller, Callers
from gateway.server.progressive import MOST_SAID
from gateway.server.transport import SocketTransport
from gateway.server.turns import SHARE_SECONDS, Reader, Turns
from metrics.recorder import Recorder
from tests.support.certificates import Authority
from tests.support.gateway import KEY, bench, hear, receive, say, talk
from tests.support.relay import Clock
from tests.support.server import Wire, new_line
from tests.unit.gateway.server.test_progressive import connected as player


class Reads:
    """A connection that notes what it hears, `step` octets of it at a time, and how long that takes."""

    def __init__(self, clock: Clock, step: int = 1000, takes: float = 0.0) -> None:
        self.wire = Wire()
        self.heard = b""
        self._clock = clock
        self._step = step
        self._takes = takes

    def hear(self, data: bytes) -> int:
        self._clock.at += self._takes
        self.heard += data[: self._step]
        return min(len(data), self._step)

    def read_on(self) -> None:
        self.wire.resume_reading()

    def cut(self) -> None:
        self.wire.abort()


async def test_late_in_a_turn_nobody_is_heard_until_the_next() -> None:
    """Not before, and one that is closing is left alone; in the next turn the share begins anew."""
    clock = Clock()
    turns, early, late, closing = Turns(now=clock), Reads(clock), Reads(clock), Reads(clock)
    closing.wire.close()
    turns.said(early, early.wire, b"one ")
    assert not turns.over
    clock.at += SHARE_SECONDS
    turns.said(early, early.wire, b"two")
    assert early.heard == b"one two"
    clock.at += 0.001
    assert turns.over
    turns.said(late, late.wire, b"three")
    turns.said(closing, closing.wire, b"four")
    assert (late.heard, late.wire.reading, closing.wire.reading) == (b"", False, True)
    await asyncio.sleep(0)
    assert (late.heard, late.wire.reading, closing.heard) == (b"three", True, b"four")
    assert not turns.over
    turns.said(late, late.wire, b"!")
    assert late.heard == b"three!"
    await asyncio.sleep(0)


async def test_who_says_little_is_heard_before_who_says_much() -> None:
    """Those who say much in turns, a step each; what is said meanwhile comes behind what was said before."""
    clock = Clock()
    turns, order = Turns(now=clock), list[str]()

    class Named(Reads):
        def __init__(self, name: str, step: int) -> None:
            super().__init__(clock, step, SHARE_SECONDS + 0.001)
            self.name = name

        def hear(self, data: bytes) -> int:
            order.append(self.name)
            return super().hear(data)

    much, more, little = Named("much", 2), Named("more", 2), Named("little", 9)
    turns.said(much, much.wire, b"abcdef")
    turns.said(more, more.wire, b"1234")
    turns.said(little, little.wire, b"hello")
    turns.said(more, more.wire, b"56")
    turns.said(much, much.wire, b"gh")
    for _ in range(9):
        await asyncio.sleep(0)
    assert order == ["much", "more", "little", "much", "more", "much", "more", "much"]
    assert (much.heard, more.heard, little.heard) == (b"abcdefgh", b"123456", b"hello")
    assert all(one.wire.reading for one in (much, more, little))


async def test_who_says_too_much_while_others_wait_is_cut() -> None:
    """At once or bit by bit; and nothing is heard of one that is gone."""
    clock, told = Clock(), list[object]()
    turns = Turns(10, told.append, clock)
    first, much, again, gone = (Reads(clock) for _ in range(4))
    turns.said(first, first.wire, bytes(11))
    clock.at += 1.0
    turns.said(much, much.wire, bytes(11))
    turns.said(again, again.wire, bytes(5))
    turns.said(again, again.wire, bytes(6))
    turns.said(gone, gone.wire, b"farewell")
    assert turns.forget(gone) == b"farewell"
    assert turns.forget(gone) == b""
    assert told == [much, again]
    await asyncio.sleep(0)
    assert [len(one.heard) for one in (first, much, again, gone)] == [11, 0, 0, 0]
    turns = Turns(1, now=clock)
    turns.said(first, first.wire, b"")
    clock.at += 1.0
    turns.said(much, much.wire, b"##")
    assert much.wire.aborted.is_set()
    await asyncio.sleep(0)


async def test_a_protocol_that_breaks_takes_nobody_along() -> None:
    """Its connection is cut, the loop is told, and the others are heard."""
    clock, told = Clock(), list[object]()
    turns, first, other = Turns(now=clock), Reads(clock), Reads(clock)

    class Breaks(Reads):
        def hear(self, data: bytes) -> int:
            raise ValueError(data)

    broken = Breaks(clock)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    turns.said(first, first.wire, b"")
    clock.at += 1.0
    turns.said(broken, broken.wire, b"x")
    turns.said(other, other.wire, b"y")
    for _ in range(3):
        await asyncio.sleep(0)
    assert broken.wire.aborted.is_set()
    assert (other.heard, len(told)) == (b"y", 1)


def _stalled(connection: SocketTransport) -> None:
    connection.pause_writing()


def _talkative(connection: SocketTransport) -> None:
    connection.data_received(bytes(MOST_SAID + 1))


@pytest.mark.parametrize(
    ("made", "reason"),
    [(lambda: (new_line().connection, Wire()), _stalled), (lambda: player()[:2], _talkative)],
    ids=["a WebSocket whose client does not read", "a player that says too much"],
)
async def test_reasons_of_its_own_outlast_a_turn(
    made: Callable[[], tuple[SocketTransport, Wire]], reason: Callable[[SocketTransport], None]
) -> None:
    connection, wire = made()
    connection.connection_made(wire)
    connection.sink.pause_reading()
    connection.read_on()
    assert wire.reading
    reason(connection)
    connection.read_on()
    assert not wire.reading
    wire.close()
    connection.connection_lost(None)
    connection.read_on()


async def test_the_http_servers_own_reasons_outlast_a_turn() -> None:
    """A body that nobody takes is not read any further."""

    async def never(request: aiohttp.web.BaseRequest) -> aiohttp.web.StreamResponse:
        pytest.fail(f"{request.path} is asked")

    wire, callers = Wire(), Callers(10.0, Recorder(), Clock())
    caller = Caller(aiohttp.web.Server(never), callers)
    caller.connection_made(wire)
    caller.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    for hold, go_on in (
        (caller.pause_reading, caller.resume_reading),
        (caller._pause_reading_for_buffer, caller._resume_reading_for_buffer),
    ):
        hold()
        caller.read_on()
        assert not wire.reading
        go_on()
        assert wire.reading
    caller.cut()
    caller.connection_lost(None)
    caller.read_on()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Whatever comes is put off, and of what can be heard in steps a step is heard in a turn: whose that was."""
    seen: list[object] = []
    before = Turns.said

    def said(self: Turns, reader: Reader, transport: asyncio.Transport, data: bytes) -> None:
        if self._began is None:
            self._begin()
        seen.append(reader)
        before(self, reader, transport, data)

    monkeypatch.setattr(module, "SHARE_SECONDS", -1.0)
    monkeypatch.setattr(Turns, "said", said)
    return seen


async def test_without_any_share_everything_is_heard(held: list[object]) -> None:
    """A session of many messages, a large body, and the song over HTTP."""
    async with bench() as gateway:
        song = await gateway.create("[[scale seconds=2 speed=20]] a scale, a word at a time")
        async with talk(gateway) as line:
            for _ in range(60):
                await say(line, type="ping")
                assert (await receive(line))["type"] == "pong"
            await say(line, type="stream.attach", stream_id=song["id"], since="start")
            heard = await hear(line)
        assert hashlib.sha256(heard.audio).hexdigest() == heard.named("stream.completed")["sha256"]
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as http:
            async with http.post(gateway.url + "/v1/streams", json={"input": "x" * 65_537}) as refused:
                assert refused.status == 413
            async with http.get(f"{gateway.url}/v1/streams/{song['id']}/audio.mp3") as answer:
                assert await answer.read() == heard.audio
    assert len(held) > 50


@pytest.mark.parametrize("proxied", [False, True])
async def test_without_any_share_under_tls(held: list[object], tmp_path: Path, proxied: bool) -> None:
    """From the first octet of the handshake, and of the header before it."""
    authority = Authority(tmp_path)
    server = Server(port=0, internal_port=0, **authority.issue().config())
    if proxied:
        server = Server(
            port=0, internal_port=0, trusted_proxies=["127.0.0.1"], proxy_protocol=True, **authority.issue().config()
        )
    async with bench(server=server) as gateway:
        number = int(gateway.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        if proxied:
            for octet in b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n":
                writer.write(bytes([octet]))
                await writer.drain()
        await writer.start_tls(authority.trusted, server_hostname="127.0.0.1")
        request = b"GET /v1/streams HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + KEY.encode()
        for octet in request + b"\r\n\r\n":
            writer.write(bytes([octet]))
            await writer.drain()
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert held
