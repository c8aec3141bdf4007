"""The bare loop in C: whole messages for those who read, in order, and an end for those who do not.

Invariant under test: it keeps the same promise as the other peers, also when a write does not fit into a socket.
It must not know how the loop does it.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.bench.benches import BenchError
from gateway.bench.peers import bare
from gateway.bench.peers.message import Messages
from gateway.bench.peers.table import PEERS
from gateway.protocol.frames import unpack
from tests.unit.gateway.bench.peers.listening import SECONDS, messages, promised

UPGRADE = (
    b"GET /live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(autouse=True)
def _compiler(need: Callable[[str], str]) -> None:
    need(bare.COMPILER)


async def newest(url: str) -> int:
    """The number of the message that is sent now."""
    [message] = await messages(url, 1)
    return unpack(message)[0].seq


async def test_it_does_what_a_peer_does() -> None:
    """Twenty listeners at once, and some who come later."""
    async with PEERS["c"].start(300, 0.02, None) as running:
        await promised(running.url, 300)
        await promised(running.url, 300, clients=2)


@pytest.mark.parametrize("size", [24, 125, 126, 65_535, 65_536])
async def test_each_length_is_written_as_it_must_be(size: int) -> None:
    """And the messages are those of the other peers, byte by byte."""
    async with PEERS["c"].start(size, 0.02, None) as running:
        for message in await messages(running.url, 2):
            assert message == Messages(size, 0.02).message(unpack(message)[0].seq)


async def test_a_write_that_does_not_fit_goes_on() -> None:
    """Messages are far larger than a socket takes at once."""
    async with PEERS["c"].start(3 << 20, 0.05, None) as running:
        await promised(running.url, 3 << 20, clients=3, count=3)


async def test_who_reads_nothing_is_let_go() -> None:
    """After a ring's length; the handshake comes in pieces, and is the one of the protocol's own example."""
    async with PEERS["c"].start(1 << 20, 0.01, None) as running, asyncio.timeout(SECONDS):
        address = urlsplit(running.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
        with closing(writer):
            writer.write(UPGRADE[:30])
            await writer.drain()
            writer.write(UPGRADE[30:])
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
            # Others tell how far it is, by one message each: who reads more may be let go himself on a busy machine.
            begin = await newest(running.url)
            while await newest(running.url) < begin + 120:
                pass
            with suppress(ConnectionResetError):  # it was let go with bytes on their way
                while await reader.read(1 << 20):
                    pass


async def test_who_asks_for_something_else_is_turned_away() -> None:
    """Without a word."""
    async with PEERS["c"].start(30, 0.02, None) as running, asyncio.timeout(SECONDS):
        address = urlsplit(running.url)
        for request in (b"GET / HTTP/1.1\r\n\r\n", b"x" * 3000):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            with closing(writer):
                writer.write(request)
                with suppress(ConnectionResetError):  # what it had not read yet goes with it
                    assert await reader.read() == b""


def test_it_compiles_without_a_warning(tmp_path: Path) -> None:
    """With every warning that the flags ask for."""
    command = [bare.COMPILER, *bare._FLAGS, "-Werror", str(bare.SOURCE), "-o", str(tmp_path / "bare")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = subprocess.run([tmp_path / "bare", "23", "1"], capture_output=True, text=True, timeout=10, check=False)
    assert (told.returncode, told.stderr) == (2, "usage: bare SIZE PERIOD_MICROSECONDS\n")


async def test_what_cannot_be_compiled_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the compiler's words."""
    source = tmp_path / "bad.c"
    source.write_text("nonsense")
    monkeypatch.setattr(bare, "SOURCE", source)
    with pytest.raises(BenchError, match=r"bad\.c could not be compiled: .*error"):
        async with PEERS["c"].start(30, 0.02, None):
            pass


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler, or Linux."""
    assert PEERS["c"].missing() is None
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert PEERS["c"].missing() == "no C compiler (cc)"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert PEERS["c"].missing() == "epoll is Linux's own"
