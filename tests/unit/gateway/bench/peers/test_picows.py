"""picows: with a stand-in for the library, and with itself where it is installed.

Invariant under test: whoever is connected gets each message once.
It must not know when messages are due.
"""

import asyncio
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.bench.peers.picows import Picows
from gateway.bench.peers.table import PEERS
from tests.unit.gateway.bench.peers.listening import promised


class Transport:
    """A connection of the library's."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.disconnected = False

    def send(self, kind: str, message: bytes) -> None:
        self.sent.append((kind, message))

    def disconnect(self) -> None:
        self.disconnected = True


async def test_each_connection_gets_each_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """From its beginning until its end; who says goodbye is let go."""
    listeners: list[Any] = []

    async def create(factory: Callable[[object], Any], host: str, port: int, backlog: int) -> asyncio.Server:
        listeners.extend(factory(None) for _ in range(2))
        return await asyncio.start_server(lambda _, writer: writer.close(), host, port, backlog=backlog)

    kinds = SimpleNamespace(BINARY="binary", CLOSE="close", TEXT="text")
    library = SimpleNamespace(WSListener=object, WSMsgType=kinds, ws_create_server=create)
    monkeypatch.setitem(sys.modules, "picows", library)  # type: ignore[arg-type]  # it stands in for the module
    peer, one, other = Picows(), Transport(), Transport()
    assert await peer.open() > 0
    listeners[0].on_ws_connected(one)
    listeners[1].on_ws_connected(other)
    peer.send(b"first")
    listeners[0].on_ws_frame(one, SimpleNamespace(msg_type="text"))
    assert not one.disconnected
    listeners[0].on_ws_frame(one, SimpleNamespace(msg_type="close"))
    assert one.disconnected
    listeners[0].on_ws_disconnected(one)
    peer.send(b"second")
    assert one.sent == [("binary", b"first")]
    assert other.sent == [("binary", b"first"), ("binary", b"second")]
    await peer.close()


async def test_it_does_what_a_peer_does() -> None:
    """Where it is installed."""
    peer = PEERS["picows"]
    if reason := peer.missing():
        pytest.skip(reason)
    async with peer.start(300, 0.02, None) as running:
        await promised(running.url, 300)
