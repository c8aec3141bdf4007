"""The peer that is websockets with its broadcast, as a process.

Invariant under test: everybody hears everything, from the moment at which they came.
It must not know when messages are due.
"""

from gateway.bench.peers.table import PEERS
from tests.unit.gateway.bench.peers.listening import promised


async def test_it_does_what_a_peer_does() -> None:
    """Twenty listeners at once, and some who come later."""
    async with PEERS["broadcast"].start(300, 0.02, None) as running:
        await promised(running.url, 300)
        await promised(running.url, 300, clients=2)
