"""The gateway beside a peer of the test's own.

Invariant under test: a peer is heard in earnest and its mistakes are found; who is missing is named and no failure.
It must not start the real peers.
"""

import asyncio
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest

from gateway.bench import beside
from gateway.bench.beside import compare, sit_with
from gateway.bench.crowd.wire import accept_of, new_key
from gateway.bench.gathering import Sitting, Size
from gateway.bench.peers.peer import Peer, RunningPeer
from gateway.bench.stage import Stage
from tests.support.crowd import audio
from tests.unit.gateway.bench.test_fanout_rows import sitting

PERIOD = 0.02


class Small(Peer):
    """Sends as the test wants it, from this process: to each listener what `seqs` says, and then on from there."""

    title = "a small peer"

    def __init__(self, door: Literal["websocket", "http"], name: str, seqs: tuple[int, ...] = ()) -> None:
        self.door = door
        self.name = name
        self._seqs = seqs

    def missing(self) -> str | None:
        return "it is away" if self.name == "away" else None

    @asynccontextmanager
    async def start(self, size: int, period: float, cpu: int | None) -> AsyncIterator[RunningPeer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        yield RunningPeer(f"{'ws' if self.door == 'websocket' else 'http'}://127.0.0.1:{port}/live", [os.getpid()])
        server.close()
        await server.wait_closed()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if task.get_name() == "serving":
                await asyncio.wait({task}, timeout=10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("serving")
        try:
            await reader.readuntil(b"\r\n\r\n")
            if self.door == "http":
                writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
            else:
                accept = accept_of(new_key())
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            for seq in (*self._seqs, *range(max(self._seqs, default=-1) + 1, 10_000)):
                writer.write(b"sound" if self.door == "http" else audio(seq, b"x" * 200))
                await writer.drain()
                await asyncio.sleep(PERIOD)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def here() -> Stage:
    """This machine, without a provider."""
    ours = os.sched_getaffinity(0)
    return Stage("http://x", min(ours), frozenset(ours))


@pytest.mark.parametrize(("door", "name"), [("websocket", "c"), ("http", "icecast")])
@pytest.mark.blocking("/proc is read between measurements, when nobody waits")
async def test_a_peer_is_heard(door: Literal["websocket", "http"], name: str) -> None:
    """By a real crowd."""
    found = await sit_with(here(), Small(door, name), 3, 0.2, 0.0)
    assert found.wrong == 0
    assert found.sent > 0
    assert found.cpu > 0
    assert (found.frames > 0) is (door == "websocket")


@pytest.mark.blocking("/proc is read between measurements, when nobody waits")
async def test_a_peer_that_loses_something_is_found_out() -> None:
    """By what it says of itself."""
    found = await sit_with(here(), Small("websocket", "c", (0, 2)), 1, 0.2, 0.1)
    assert (found.wrong, found.words) == (1, "lost: chunk 2, where 1 was due")


async def test_they_are_compared_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each figure of a peer with that of the gateway just before it."""
    course: list[str] = []

    async def sit(here: Stage, size: Size, seconds: float, settle: float) -> Sitting:
        course.append("gateway")
        return sitting(size.listeners, 10.0 * (1 + len(course) // 4), door=size.door)

    async def sit_with(here: Stage, peer: Peer, listeners: int, seconds: float, settle: float) -> Sitting:
        course.append(peer.name)
        return sitting(listeners, 8.0, door=peer.door)

    monkeypatch.setattr(beside, "sit", sit)
    monkeypatch.setattr(beside, "sit_with", sit_with)
    peers = [Small("websocket", "c"), Small("websocket", "away"), Small("http", "icecast")]
    rows = {row.name: row for row in await compare(here(), peers, 5, 1.0, 2, print)}
    assert course == ["gateway", "c", "gateway", "icecast"] * 2
    assert rows["Wavegate by c"].value == (1.25 + 2.5) / 2
    assert (rows["Wavegate by c"].target, rows["Wavegate by icecast"].target) == (1.3, 0.5)
    assert math.isnan(rows["a frame, away"].value)
    assert rows["a frame, away"].spread == "it is away"
    assert rows["lost or wrong"].spread == "40 heard every byte of a song"


async def test_without_any_peer_nothing_is_judged() -> None:
    """Who is missing is named."""
    (row,) = await compare(here(), [Small("websocket", "away")], 5, 1.0, 2, print)
    assert row.verdict == ""
