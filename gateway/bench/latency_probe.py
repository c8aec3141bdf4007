"""A listener in the bench's own loop, which notes the moment at which each chunk arrives.

Invariant: the clock is read before anything else is done with what came; one socket listens to all streams.
It must not know when what it hears was sent.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from gateway.bench.benches import BenchError
from gateway.bench.crowd.wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, client_frame, frame, head, new_key
from gateway.protocol.frames import Header, unpack

_SECONDS = 20.0
_MOST_TOLD = 4096  # messages that nobody has asked for
_ERRORS = ("error", "stream.failed", "closed")

Heard = Callable[[str, Header, float], None]


class Probe(asyncio.Protocol):
    """`heard` is called with the stream's id, a chunk's header, and when it came."""

    def __init__(self, clock: Callable[[], float], heard: Heard) -> None:
        self.heard = heard
        self._clock = clock
        self._told: asyncio.Queue[tuple[float, dict[str, Any]]] = asyncio.Queue()
        self._streams: dict[int, str] = {}
        self._buffer = bytearray()
        self._greeted = False
        self._transport: asyncio.Transport | None = None

    def say(self, kind: str, **fields: Any) -> None:
        """Sends a message."""
        self._send(client_frame(TEXT, msgspec.json.encode({"type": kind, **fields})))

    async def told(self, kind: str) -> tuple[float, dict[str, Any]]:
        """The next message of this kind, and when it came; others before it are passed over. Raises BenchError."""
        try:
            async with asyncio.timeout(_SECONDS):
                while True:
                    at, message = await self._told.get()
                    if message["type"] == kind:
                        return at, message
                    if message["type"] in _ERRORS:
                        raise BenchError(f"the gateway said {message['type']}, not {kind}: {message.get('error')}")
        except TimeoutError:
            raise BenchError(f"the gateway has not said {kind} within {_SECONDS:g} s.") from None

    def close(self) -> None:
        """Leaves."""
        if self._transport is not None:
            self._transport.close()

    # -- called by the loop --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without being derived from it

    def data_received(self, data: bytes) -> None:
        now = self._clock()
        self._buffer += data
        at = 0
        if not self._greeted:
            answer = head(self._buffer, len(self._buffer))
            if answer is None:
                return
            self._greeted, at = True, answer.stop
            self._note(now, {"type": "greeted", "status": answer.status})
        while found := frame(self._buffer, at, len(self._buffer)):
            self._frame(found, now)
            at = found.stop
        del self._buffer[:at]

    def connection_lost(self, error: Exception | None) -> None:
        self._note(self._clock(), {"type": "closed", "error": error and str(error)})

    def _frame(self, found: Frame, now: float) -> None:
        payload = bytes(self._buffer[found.start : found.stop])
        if found.opcode == BINARY:
            header, _ = unpack(payload)
            self.heard(self._streams[header.rendition], header, now)
        elif found.opcode == TEXT:
            message = msgspec.json.decode(payload)
            if message["type"] == "stream.started":
                self._streams[message["rendition"]] = message["stream_id"]
            self._note(now, message)
        elif found.opcode == PING:
            self._send(client_frame(PONG, payload))
        elif found.opcode == CLOSE:
            self._note(now, {"type": "closed", "error": payload[2:].decode(errors="replace")})

    def _note(self, now: float, message: dict[str, Any]) -> None:
        if self._told.qsize() < _MOST_TOLD:
            self._told.put_nowait((now, message))

    def _send(self, data: bytes) -> None:
        assert self._transport is not None, "it is connected"
        self._transport.write(data)


@asynccontextmanager
async def probe(url: str, key: str, clock: Callable[[], float], heard: Heard) -> AsyncIterator[Probe]:
    """A listener at a gateway's WebSocket door, attached to nothing yet. Raises BenchError."""
    address = urlsplit(url)
    listener = Probe(clock, heard)
    loop = asyncio.get_running_loop()
    try:
        await loop.create_connection(lambda: listener, address.hostname or "", address.port or 80)
    except OSError as error:
        raise BenchError(f"the gateway at {url} cannot be reached: {error.strerror}.") from None
    request = (
        f"GET /v1/ws HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {new_key()}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: wavegate.v1\r\n"
        f"Authorization: Bearer {key}\r\n\r\n"
    )
    try:
        listener._send(request.encode())
        _, answer = await listener.told("greeted")
        if answer["status"] != 101:
            raise BenchError(f"the gateway refused a listener with {answer['status']}.")
        yield listener
    finally:
        listener.close()
