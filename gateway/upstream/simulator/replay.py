"""A recorded session given again: the provider's own bytes, when they came, to whoever calls.

Invariant: bytes, order and status are the recording's; time is scaled by the speed, and at speed 0 there is none.
A recording does not tell how its connection ended, so the answer always ends as if whole.
It must not know what the bytes mean.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

from aiohttp import web

from gateway.upstream.recording import Recording, read_flight
from gateway.upstream.simulator import wire


class Replay:
    """One recording, for any number of calls."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a recording, which blocks. Raises RecordingError."""
        return cls(read_flight(path))

    async def give(
        self,
        request: web.Request,
        *,
        speed: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
    ) -> web.StreamResponse:
        """The whole answer, from its headers to its end."""
        start = clock()

        async def until(moment: float) -> None:
            if speed:
                await sleep(max(0.0, start + moment / speed - clock()))

        answer = self._recording.answer
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await until(answer.at)
        try:
            await response.prepare(request)
            for piece in self._recording.pieces:
                await until(piece.at)
                async with asyncio.timeout(wire.STALL_SECONDS):
                    await response.write(piece.data)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
            return response
        await until(self._recording.ended_at)
        return response
