"""What it takes to start a peer.

Invariant under test: every wait ends, with words that name the peer; a folder goes with its context.
It must not know any peer.
"""

import asyncio
import sys

import pytest

from gateway.bench.benches import BenchError
from gateway.bench.peers.launch import folder, free_port, opened, pinned, ready


async def test_a_port_is_told() -> None:
    """By the program itself."""
    async with pinned(None, sys.executable, "-c", "print('ready 4711')") as running:
        assert await ready(running, "parrot") == 4711


async def test_a_program_that_ends_is_told() -> None:
    """With the peer's name."""
    async with pinned(None, sys.executable, "-c", "") as running:
        with pytest.raises(BenchError, match=r"the peer parrot did not start: .* ended too soon"):
            await ready(running, "parrot")


async def test_a_door_is_waited_for() -> None:
    """It opens while somebody waits; one that never does is told."""
    port = free_port()
    with pytest.raises(BenchError, match=r"the peer parrot did not start: it has not listened within 0\.05 s"):
        await opened(port, "parrot", 0.05)
    waiting = asyncio.create_task(opened(port, "parrot"))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    async with server:
        await waiting


async def test_a_folder_goes() -> None:
    """With all that is in it; everybody may read it."""
    async with folder() as place:
        (place / "file").touch()
        assert place.stat().st_mode & 0o777 == 0o755
    assert not place.exists()
