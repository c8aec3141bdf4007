"""One answer on its connection: events and documents written as the scenario wants them, and the ways to break off.

Invariant: a write waits only so long for a client that takes nothing, and what is written is what `encode_event` makes,
in other line ends and other pieces. It must not know songs, nor why something is written.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from gateway.protocol.sse import encode_event
from gateway.upstream.simulator.scenario import Scenario

STALL_SECONDS = 60.0

_LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
_RESET_AT_CLOSE = struct.pack(
    "ii", 1, 0
)  # linger on, for no time: what is not sent is lost, and the other side is told


class Wire:
    """The writing end; `response` is what the server's handler gives back. `content_type` is the usual one."""

    def __init__(
        self,
        request: web.Request,
        scenario: Scenario,
        content_type: str,
        headers: dict[str, str],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.response = web.StreamResponse(headers=headers)
        self.response.content_type = scenario.type or content_type
        self._request = request
        self._scenario = scenario
        self._sleep = sleep
        self._number = 0

    async def open(self) -> None:
        """Sends status and headers."""
        await self.response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        """Bytes as they are, in drips if the scenario wants that. Raises ConnectionError and TimeoutError."""
        size = self._scenario.drip or len(data)
        for start in range(0, len(data), size):
            if start:
                await self._sleep(self._scenario.pause)
            async with asyncio.timeout(STALL_SECONDS):
                await self.response.write(data[start : start + size])

    async def event(
        self,
        name: str,
        status: int,
        payload: bytes,
        spoil: Callable[[bytes], bytes] | None = None,
        *,
        last: bool = False,
    ) -> None:
        """One event; `spoil` is done to its document as it goes out, and the `last` one may have no end."""
        event = self._encoded(name, status, payload, spoil)
        if last and self._scenario.no_last_blank:
            event = event.rstrip(b"\r\n")
        await self.write(event)

    async def half(self, name: str, status: int, payload: bytes) -> None:
        """The first half of an event."""
        event = self._encoded(name, status, payload, None)
        await self.write(event[: len(event) // 2])

    async def silence(self, seconds: float, heartbeat: float | None) -> None:
        """Nothing for so long, or nothing but a comment every `heartbeat` seconds."""
        while heartbeat is not None and seconds > heartbeat:
            await self._sleep(heartbeat)
            await self.write(b":heartbeat\n\n".replace(b"\n", _LINE_ENDS[self._scenario.lines]))
            seconds -= heartbeat
        await self._sleep(seconds)

    def cut(self, how: str) -> None:
        """Breaks off: `end` says that this was all, `close` hangs up, `reset` also throws away what is on its way."""
        transport = self._request.transport
        if how == "end" or transport is None:
            return
        if how == "reset":
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            transport.abort()
        else:
            transport.close()

    def give_up(self) -> None:
        """The client is gone or takes nothing any more: there is nobody to tell."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def _encoded(self, name: str, status: int, payload: bytes, spoil: Callable[[bytes], bytes] | None = None) -> bytes:
        self._number += 1
        if self._scenario.multiline:
            payload = msgspec.json.format(payload, indent=1)
        if spoil is not None:
            payload = spoil(payload)
        event = encode_event(self._number, name, status, payload)
        return event.replace(b"\n", _LINE_ENDS[self._scenario.lines])
