"""What the Python peers have in common.

Invariant under test: messages come in order from the first on, and the door is closed in the end.
It must not know any way to fan out.
"""

import asyncio

from gateway.bench.peers.message import Messages
from gateway.bench.peers.pace import Pace
from gateway.bench.peers.serving import serve
from gateway.protocol.frames import unpack


class Box:
    """Keeps what it is to send."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.enough = asyncio.Event()
        self.closed = False

    async def open(self) -> int:
        return 4711

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        if len(self.sent) == 3:
            self.enough.set()

    async def close(self) -> None:
        self.closed = True


async def test_messages_until_the_end() -> None:
    """The port is said first."""
    box, said = Box(), list[str]()
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(serve(box, Messages(30, 0.001), lambda: Pace(0.001, loop.time), said.append))
    await asyncio.wait_for(box.enough.wait(), 10)
    task.cancel()
    await task
    assert said == ["ready 4711"]
    assert [unpack(message)[0].seq for message in box.sent[:3]] == [0, 1, 2]
    assert box.closed
