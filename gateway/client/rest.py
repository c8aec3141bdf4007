"""The gateway's REST calls that go with listening: what streams there are, ending one, tickets, and the bill.

Plain HTTP of the standard library, in a thread where a loop must not wait: a handful of calls is worth no HTTP client.
Invariant: every wait and every answer is bounded; a key goes to the server that was named and nowhere else, and into no
error. It must not know songs or connections.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from gateway.client.ending import Ending
from gateway.client.errors import ClientError
from gateway.protocol.events import ErrorBody, StreamInfo, UsageReport
from gateway.protocol.messages import TicketBody

TIMEOUT_SECONDS = 10.0
# A page of the ledger has at most 1000 rows of less than a kilobyte.
MOST_BYTES = 8_000_000

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Door:
    """Where REST answers whom: `url` is that of the WebSocket door, with ws:// or wss:// and /v1/ws at its end."""

    url: str
    key: str | None = field(repr=False)
    ticket: str | None = field(default=None, repr=False)

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """The answer's body, for a status below 400. Waits. Raises ClientError."""
        url = urlsplit(self.url)
        kind = HTTPSConnection if url.scheme == "wss" else HTTPConnection
        connection = kind(url.hostname or "", url.port, timeout=TIMEOUT_SECONDS)
        headers = {"Accept": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        elif self.ticket is not None:
            path += ("&" if "?" in path else "?") + urlencode({"ticket": self.ticket})
        if body is not None:
            headers["Content-Type"] = "application/json"
        content = None if body is None else msgspec.json.encode(body)
        try:
            connection.request(method, url.path.removesuffix("/ws") + path, content, headers)
            response = connection.getresponse()
            answer = response.read(MOST_BYTES)
        except (OSError, HTTPException) as error:
            raise ClientError("unreachable", f"The server cannot be reached: {error}.", retryable=True) from None
        finally:
            connection.close()
        if response.status >= 400:
            raise _refusal(self.url, response.status, answer, response.headers.get("Retry-After"))
        return answer

    async def get(self, path: str, kind: type[_Answer]) -> _Answer:
        """What is at this path. Raises ClientError."""
        return await asyncio.to_thread(self._decoded, "GET", path, None, kind)

    async def streams(self) -> list[StreamInfo]:
        """GET /v1/streams."""
        return (await self.get("/streams", _Streams)).streams

    async def stream(self, stream_id: str) -> StreamInfo:
        """GET /v1/streams/ID."""
        return await self.get(f"/streams/{quote(stream_id, safe='')}", StreamInfo)

    async def cancel(self, stream_id: str) -> StreamInfo:
        """DELETE /v1/streams/ID: waits for the bill."""
        path = f"/streams/{quote(stream_id, safe='')}"
        return await asyncio.to_thread(self._decoded, "DELETE", path, None, StreamInfo)

    async def usage(self, **query: str | None) -> UsageReport:
        """GET /v1/usage, with what is given of `from`, `to`, `limit` and `after`."""
        given = urlencode({name: value for name, value in query.items() if value is not None})
        return await self.get(f"/usage?{given}" if given else "/usage", UsageReport)

    def mint(self, wanted: TicketBody) -> "Minted":
        """POST /v1/tickets. Waits. Raises ClientError."""
        return self._decoded("POST", "/tickets", wanted, Minted)

    def _decoded(self, method: str, path: str, body: Any, kind: type[_Answer]) -> _Answer:
        try:
            return msgspec.json.decode(self.ask(method, path, body), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ClientError("bad_protocol", "This server is no Wavegate: its answer is not understood.") from None


class Minted(msgspec.Struct, frozen=True):
    """A ticket for a guest, and until when it is good, in Unix seconds."""

    ticket: str
    expires_at: int

    def __repr__(self) -> str:
        return f"Minted(expires_at={self.expires_at})"  # what opens a door does not belong into a log


class _Streams(msgspec.Struct):
    streams: list[StreamInfo]


class _Refusal(msgspec.Struct):
    error: ErrorBody


_decoder: Callable[[bytes], _Refusal] = msgspec.json.Decoder(_Refusal).decode


def _refusal(url: str, status: int, body: bytes, retry_after: str | None) -> ClientError:
    """The gateway's own error object; of a proxy in between, what its status says."""
    try:
        return Ending.of_body(_decoder(body).error).error()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Ending.of_refusal(url, status, body, retry_after).error()
