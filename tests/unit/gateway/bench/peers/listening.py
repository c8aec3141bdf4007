"""Listeners for the tests of peers: plain clients, which check what a peer has promised.

Invariant: every wait is bounded, and a message of the wrong size or kind is a failure here.
It must not know how a peer is made.
"""

import asyncio

import websockets

from gateway.protocol.frames import HEADER, unpack

SECONDS = 20.0


async def messages(url: str, count: int) -> list[bytes]:
    """So many binary messages, from now on."""
    async with asyncio.timeout(SECONDS), websockets.connect(url, compression=None, max_size=None) as line:
        got = [await line.recv() for _ in range(count)]
    assert all(isinstance(message, bytes) for message in got)
    return [bytes(message) for message in got]


async def promised(url: str, size: int, clients: int = 20, count: int = 5) -> None:
    """Several clients at once hear what a WebSocket peer has promised: all the same, in order, nothing left out."""
    heard = await asyncio.gather(*(messages(url, count) for _ in range(clients)))
    bodies = set()
    for one in heard:
        assert [len(message) for message in one] == [size] * count
        seqs = [unpack(message)[0].seq for message in one]
        assert seqs == list(range(seqs[0], seqs[0] + count))
        bodies |= {message[HEADER.size :] for message in one}
    assert len(bodies) == 1
    assert len({(unpack(message)[0].seq, message) for one in heard for message in one}) == len(
        {unpack(message)[0].seq for one in heard for message in one}
    )
