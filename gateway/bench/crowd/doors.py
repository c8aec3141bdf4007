"""The doors by which listeners come in: for each what is asked, built once for all who ask the same.

Invariant: who comes in by one address to one stream is held against one log.
It must not know how many come, nor when.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.bench.crowd import http, websocket
from gateway.bench.crowd.group import Group
from gateway.bench.crowd.http import HttpLine
from gateway.bench.crowd.line import Host
from gateway.bench.crowd.orders import Door
from gateway.bench.crowd.reference import Reference
from gateway.bench.crowd.websocket import WebSocketLine

# Where to begin: `start` or `live`, so many seconds ago, or with whole numbers the chunk that is due.
Since = str | float | int
Make = Callable[[socket.socket], WebSocketLine | HttpLine]


@dataclass(frozen=True, slots=True)
class Entrance:
    """A server as listeners find it. `url` is a gateway's base, or another server's whole address."""

    url: str
    key: str
    extension: str = "mp3"

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def maker(self, host: Host, group: Group, log: Reference, door: Door, stream: str, since: Since) -> Make:
        """Makes lines of listeners who all ask for the same."""
        parts = urlsplit(self.url)
        name, path = parts.netloc, parts.path or "/"
        if door == "websocket":
            attach = {"stream_id": stream, "since": _wished(since, log)}
            said = websocket.wish(name, "/v1/ws", self.key, attach, since)
            return lambda line: WebSocketLine(host, group, log, line, said)
        if door == "peer":
            bare = websocket.wish(name, path, "", None)
            return lambda line: WebSocketLine(host, group, log, line, bare)
        if door == "http":
            asked = http.wish(name, f"/v1/streams/{stream}/audio.{self.extension}", self.key, since)
            return lambda line: HttpLine(host, group, log, line, asked)
        raw = http.wish(name, path, "", "live", checked=False)
        return lambda line: HttpLine(host, group, log, line, raw)


def _wished(since: Since, log: Reference) -> Any:
    if isinstance(since, int):
        return {"epoch": log.epoch, "seq": since}
    return {"seconds_ago": since} if isinstance(since, float) else since
