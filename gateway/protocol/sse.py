"""Server-sent events, sans-I/O: arbitrary slices of bytes in, whole events out (WHATWG HTML, section 9.2).

Invariant: however the bytes are sliced, the same events come out, in time linear in the bytes, and no more than
`max_event_bytes` of an unfinished event is ever held. Unlike a browser's parser this one keeps comments, because the
provider says the HTTP status of each event in one (`:HTTP_STATUS/200`). It must not know what the events mean.
"""

import re
from dataclasses import dataclass

from gateway.errors import UpstreamError

_BOM = b"\xef\xbb\xbf"
_STATUS = re.compile(rb"HTTP_STATUS/(\d{3})")


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One dispatched event.

    `id` is the last one the stream has given, `event` is "message" when the stream names none, `data` its data lines
    joined with a line feed, `status` what a `:HTTP_STATUS/nnn` comment says, `comments` all comments without the colon.
    """

    id: str | None
    event: str
    data: bytes
    status: int | None
    comments: tuple[bytes, ...]


class SseDecoder:
    """Feed it slices, take events. One decoder a response; after an error it must not be fed again."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        self._size = 0
        self._failure: UpstreamError | None = None
        # A bytearray grows in amortised constant time and only the new slice is searched for line ends: a megabyte
        # event that arrives a byte at a time costs a million small steps, never a rescan.
        self._partial = bytearray()
        self._after_cr = False
        self._at_start = True
        self._id: str | None = None
        self._event = ""
        self._data: list[bytes] = []
        self._comments: list[bytes] = []

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that this slice completes. Raises UpstreamError `upstream_protocol` when one is over the limit.

        Good events before it in the same slice are given first; then the error comes with the next call of any kind.
        """
        self.check()
        events: list[SseEvent] = []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if not data:
            return events
        self._after_cr = data.endswith(b"\r")
        # bytes.splitlines knows CR, LF and CRLF and nothing else; str.splitlines would also cut at U+2028.
        for line in data.splitlines(keepends=True):
            content = line.rstrip(b"\r\n")
            self._size += len(content)
            if self._size > self._max:
                self._failure = UpstreamError(
                    "upstream_protocol", f"The provider sent an event of more than {self._max} bytes."
                )
                break
            if len(content) == len(line):
                self._partial += content
                break
            if self._partial:
                self._partial += content
                content = bytes(self._partial)
                self._partial.clear()
            self._line(content, events)
        if not events:
            self.check()
        return events

    def check(self) -> None:
        """Raises the error that the last slice ended in, if any."""
        if self._failure is not None:
            raise self._failure.again()

    def flush(self) -> list[SseEvent]:
        """The last event if its final blank line never came: some servers leave it out. Raises as `feed` does."""
        self.check()
        events: list[SseEvent] = []
        if self._partial:
            self._line(bytes(self._partial), events)
            self._partial.clear()
        self._dispatch(events)
        return events

    def _line(self, line: bytes, events: list[SseEvent]) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(events)
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not field:
            self._comments.append(value)
        elif field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._event = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data:
            data = b"\n".join(self._data)
            events.append(SseEvent(self._id, self._event or "message", data, self._status(), tuple(self._comments)))
        self._size = 0
        self._event = ""
        self._data.clear()
        self._comments.clear()

    def _status(self) -> int | None:
        for comment in self._comments:
            if match := _STATUS.fullmatch(comment.strip()):
                return int(match[1])
        return None


def encode_event(number: int, event: str, status: int, data: bytes) -> bytes:
    """One event as the provider writes it, with its blank line; `data` may have line feeds, but no carriage returns."""
    lines = data.replace(b"\n", b"\ndata:")
    return b"id:%d\nevent:%s\n:HTTP_STATUS/%d\ndata:%s\n\n" % (number, event.encode(), status, lines)
