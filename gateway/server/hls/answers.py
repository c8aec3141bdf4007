"""What an HLS player is answered with: a playlist, perhaps as gzip, or the bytes of a file that never changes.

Invariant: the playlist is for nobody to keep; files are for ever, but for no proxy to keep, for whoever asks has shown
a key or a ticket. It must not know who asks, or what has been made of the song.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from gateway.server.hls.playlist import CONTENT_TYPE
from gateway.server.ranges import Body, UnsatisfiableRangeError, part_of
from transcode.formats import MP4

_PLAYLIST = {
    "Content-Type": CONTENT_TYPE,
    "Cache-Control": "no-store",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}
_FILE = {
    "Content-Type": MP4.content_type,
    "Cache-Control": "private, max-age=31536000, immutable",
    "Accept-Ranges": "bytes",
    # What somebody kept who was let in is not for whoever comes next to the same browser.
    "Vary": "Authorization",
    "X-Content-Type-Options": "nosniff",
}
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


class Sent(web.Response):
    """Calls `sent` with the length of its body once that has been handed to the socket."""

    def __init__(self, sent: Callable[[int], None], body: bytes, **options: Any) -> None:
        super().__init__(body=body, **options)
        self._told = False
        self._sent = sent
        self._length = len(body)

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        if not self._told:
            self._told = True
            self._sent(self._length)


def takes_gzip(headers: Mapping[str, str]) -> bool:
    """Whether whoever sent these understands gzip."""
    return _GZIP.search(headers.get("Accept-Encoding", "")) is not None


def playlist(body: bytes, *, zipped: bool) -> web.Response:
    """A playlist, as it is or as gzip."""
    return web.Response(body=body, headers=_PLAYLIST | {"Content-Encoding": "gzip"} if zipped else _PLAYLIST)


def beginning_of_playlist(opening: bytes) -> web.Response:
    """The first bytes of a playlist that nobody has begun to play."""
    return web.Response(
        status=206, body=opening, headers=_PLAYLIST | {"Content-Range": f"bytes 0-{len(opening) - 1}/*"}
    )


def file(request: web.Request, body: bytes, etag: str, sent: Callable[[int], None]) -> web.Response:
    """These bytes, a range of them, or that whoever asks has them already. Raises 416."""
    headers = _FILE | {"ETag": etag}
    known = request.headers.get("If-None-Match", "")
    if known == "*" or etag in known:
        return web.Response(status=304, headers=headers)
    try:
        part = part_of(request.headers, Body(len(body), whole=True, anchored=True, tag=etag))
    except UnsatisfiableRangeError:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{len(body)}"}) from None
    if part.content_range is None:
        return Sent(sent, body, headers=headers)
    assert part.length is not None, "the file is whole"
    headers["Content-Range"] = part.content_range
    return Sent(sent, body[part.first : part.first + part.length], status=206, headers=headers)
