"""aiohttp's parser of requests, held to a size for each head: without that, 128 headers of any length are one head.

Invariant: what is kept of a head that never ends is bounded, by the limit and one slice; a body is not counted, which
others bound. A head that is refused is told apart by what of it was too much. It must not know connections.
"""

from typing import Any

from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE

from gateway.server.malformed import AddressTooLong, HeadTooLarge

MOST_HEADERS = 128
# What is parsed before somebody looks how much it was.
SLICE_BYTES = 8192
# What aiohttp says of more.
_TOO_MANY = "Too many headers"


class BoundedParser:
    """Stands in for `parser`, whose longest address is `address` bytes. All else is the parser's own."""

    __slots__ = ("_address", "_body", "_broken", "_head", "_parser", "_said", "_waiting")

    def __init__(self, parser: Any, address: int, head: int) -> None:
        self._parser = parser
        self._address = address
        self._head = head
        # Octets since the last head that was whole; the last request's body, while it may be coming.
        self._said = 0
        self._body: Any = None
        self._broken = False
        # Requests that are not answered yet.
        self._waiting = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def message_consumed(self) -> None:
        """One request has been answered, so that another may be read."""
        self._waiting = max(0, self._waiting - 1)
        self._parser.message_consumed()

    def feed_data(self, data: bytes) -> tuple[list[Any], bool, bytes]:
        """What is whole now. Raises BadHttpMessage, of which AddressTooLong and HeadTooLarge are two kinds."""
        if self._broken:
            # It is answered, and goes: whatever follows is dropped.
            return [], False, b""
        messages: list[Any] = []
        at = 0
        while True:
            # With its queue full the parser keeps what comes, at most one read of the socket, and looks at it later.
            full = self._waiting >= MAX_MSG_QUEUE_SIZE
            piece = data[at:] if full else data[at : at + SLICE_BYTES]
            at += len(piece)
            try:
                found, upgraded, tail = self._fed(piece, counted=not full)
            except BadHttpMessage:
                self._broken = True
                raise
            messages += found
            if upgraded or at >= len(data):
                return messages, upgraded, tail + data[at:]

    def _fed(self, piece: bytes, *, counted: bool) -> tuple[Any, bool, bytes]:
        counted = counted and (self._body is None or self._body.is_eof())
        try:
            found, upgraded, tail = self._parser.feed_data(piece)
        except LineTooLong as error:
            kind = AddressTooLong if error.args[1] == self._address else HeadTooLarge
            raise kind(str(error)) from None
        except BadHttpMessage as error:
            if _TOO_MANY in error.message:
                raise HeadTooLarge(error.message) from None
            raise
        if found:
            if any(_size(message) > self._head for message, _ in found):
                raise HeadTooLarge("The head is too large.")
            self._said, self._body = 0, found[-1][1]
            self._waiting += len(found)
        elif counted:
            self._said += len(piece)
            if self._said > self._head:
                raise HeadTooLarge("The head is too large.")
        return found, upgraded, tail


def _size(message: RawRequestMessage) -> int:
    """The octets of a head, as it is usually written."""
    line = len(message.method) + len(message.path) + len("  HTTP/1.1\r\n\r\n")
    return line + sum([len(name) + len(value) + len(": \r\n") for name, value in message.raw_headers])
