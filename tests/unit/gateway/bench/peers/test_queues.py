"""The peer that is aiohttp with queues, as a process.

Invariant under test: everybody hears everything, from the moment at which they came.
It must not know when messages are due.
"""

import asyncio

from gateway.bench.peers.queues import Queues
from gateway.bench.peers.table import PEERS
from tests.unit.gateway.bench.peers.listening import promised


async def test_it_does_what_a_peer_does() -> None:
    """Twenty listeners at once, and some who come later."""
    async with PEERS["queue"].start(300, 0.02, None) as running:
        await promised(running.url, 300)
        await promised(running.url, 300, clients=2)


async def test_who_takes_nothing_costs_nobody_anything() -> None:
    """A full queue takes no more, and the others' do."""
    queues = Queues()
    full, empty = asyncio.Queue[bytes](1), asyncio.Queue[bytes](1)
    full.put_nowait(b"old")
    queues._queues = {full, empty}
    queues.send(b"new")
    assert (full.get_nowait(), empty.get_nowait()) == (b"old", b"new")
