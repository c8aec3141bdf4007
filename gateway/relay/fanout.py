"""Whose turn it is to be written to: large crowds are served a slice at a time, and streams take turns.

Invariant: between two turns of the event loop at most SLICE listeners are served, of however many streams, so that
12,000 listeners of one song delay nobody else's; a stream with little to do is done in its first turn. The first slice
goes out at once, in the call that brought the audio. It must not know what is written, or to whom.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

# At some 8 µs for each write this keeps the loop for 2 ms.
SLICE = 256
# What one crowd gets before it is the next one's turn.
TURN = 64


class Crowd(Protocol):
    """Those who listen to the same audio."""

    @property
    def waits(self) -> bool:
        """Whether somebody has not been served yet."""
        ...

    def serve(self, most: int) -> int:
        """Serves up to so many of those who wait; gives how many they were."""
        ...


class FanOut:
    """The queue of crowds that wait to be served. `call_soon` is the event loop's."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object] | None = None) -> None:
        self._call_soon = call_soon or (lambda callback: asyncio.get_running_loop().call_soon(callback))
        self._queue: deque[Crowd] = deque()
        self._left = SLICE
        self._scheduled = False
        self._idle: asyncio.Future[None] | None = None

    def add(self, crowd: Crowd) -> None:
        """Serves this crowd, which is not in the queue: at once as far as this turn of the loop has room for it."""
        if not self._queue and self._left > 0:
            self._left -= crowd.serve(self._left)
        if crowd.waits:
            self._queue.append(crowd)
        self._schedule()

    async def idle(self) -> None:
        """Until nobody waits."""
        while self._queue:
            self._idle = self._idle or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        self._left = SLICE
        queue = self._queue
        while queue and self._left > 0:
            crowd = queue.popleft()
            self._left -= crowd.serve(min(TURN, self._left))
            if crowd.waits:
                queue.append(crowd)
        if queue:
            self._schedule()
            return
        self._left = SLICE
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None
