"""What an operator sees of every stream: GET /debug/streams on the internal port, as JSON or as a table for a terminal.

Invariant: no key, no prompt and no words of a song are in it, and nothing a provider said reaches a terminal unless it
is plain text; it costs what the streams cost, not their listeners, of whom a bounded number is looked at for their lag.
It must not change anything it shows.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest
from itertools import islice
from typing import Any

import msgspec
from aiohttp import web

from gateway.errors import RequestError
from gateway.model import Status
from gateway.protocol.events import encode
from gateway.relay.channel import Channel
from gateway.relay.hub import Hub
from gateway.relay.listener import Listener
from gateway.relay.neighbours import owned
from gateway.relay.replica import AnyStream
from gateway.relay.stream import Stream
from gateway.server.listing import among, place_of, rows

USUAL_ROWS = 100
MOST_ROWS = 1000
# Listeners whose position is read for one answer: 2 ms of the loop.
LOOKED_AT = 10_000

_UNPRINTABLE = re.compile(r"[^ -~]")
_HEADINGS = ("STATUS", "AGE", "TENANT", "MODEL", "LISTENERS", "LAG", "RECEIVED", "FORMATS", "UPSTREAM", "STREAM")


class DebugDoor:
    """The handler. `now` is wall time."""

    def __init__(self, hub: Hub, now: Callable[[], float] = time.time) -> None:
        self._hub = hub
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/debug/streams", self.streams, allow_head=False)]

    async def streams(self, request: web.Request) -> web.Response:
        """The newest of those that are asked for. Raises RequestError that names the parameter."""
        query = request.query
        limit = rows(query, USUAL_ROWS, MOST_ROWS)
        statuses, tenants = among(query, "status", tuple(Status)), set(query.getall("tenant", []))
        table = as_table(query.get("format"), ",".join(request.headers.getall("Accept", [])))
        asked = [
            stream
            for stream in self._hub.streams
            if (not tenants or stream.tenant in tenants) and (not statuses or stream.status.value in statuses)
        ]
        look = Look(LOOKED_AT)
        shown = [self._row(stream, look) for stream in nlargest(limit, asked, key=place_of)]
        document = {
            "streams": shown,
            "total": len(asked),
            "running": sum(not stream.status.final for stream in asked),
            "listeners": sum(stream.here for stream in asked),
            "listeners_looked_at": look.taken,
        }
        headers = {"Cache-Control": "no-store", "Vary": "Accept"}
        if table:
            return web.Response(text=as_text(document), content_type="text/plain", charset="utf-8", headers=headers)
        # Indented: it is read by people as often as by programs.
        body = msgspec.json.format(encode(document), indent=2) + b"\n"
        return web.Response(body=body, content_type="application/json", headers=headers)

    def _row(self, stream: AnyStream, look: "Look") -> dict[str, Any]:
        doors: dict[str, int] = {}
        for channel in stream.renditions:
            for door, count in channel.doors.items():
                doors[door] = doors.get(door, 0) + count
        lags = [lag for channel in stream.renditions if (lag := look.lag(channel)) is not None]
        place, bill = stream.place if stream.status is Status.QUEUED else None, stream.bill
        return {
            "id": stream.id,
            "tenant": stream.tenant,
            "status": stream.status.value,
            "model": stream.request.model,
            "mode": stream.request.mode.value,
            "created_at": round(stream.created_at, 3),
            "age_seconds": round(self._now() - stream.created_at, 3),
            "owned": owned(stream),
            "listeners": stream.here,
            "listeners_by_transport": doors,
            "slowest_lag_seconds": round(max(lags), 3) if lags else None,
            "upstream": {
                "position": place.position if place is not None else None,
                "eta_seconds": place.eta_seconds if place is not None else None,
                "tries": stream.tries,
                "request_id": stream.request_id,
                "simulated": stream.simulated,
            },
            "seconds": {
                "granted": round(stream.granted_seconds, 3),
                "received": round(stream.received_seconds, 3),
                "billed": round(bill.seconds, 3) if stream.status.final else None,
                "settled": bill.settled,
            },
            "silent": stream.silence.kind if isinstance(stream, Stream) else None,
            "retained_bytes": stream.retained_bytes,
            "error": stream.error.code if stream.error is not None else None,
            "renditions": [_rendition(channel) for channel in stream.renditions],
        }


class Look:
    """At listeners, of whom no more than `most` are looked at in all."""

    def __init__(self, most: int) -> None:
        self._left = most
        self.taken = 0

    def lag(self, channel: Channel) -> float | None:
        """How far the slowest of those that are looked at is behind, in seconds; None where there is nobody."""
        positions = [
            one.next for one in islice(channel.listeners, self._left) if isinstance(one, Listener) and one.begun
        ]
        looked = min(len(channel.listeners), self._left)
        self._left -= looked
        self.taken += looked
        if not positions:
            return None
        return channel.seconds(channel.end_pts - channel.pts(max(min(positions), channel.first)))


def _rendition(channel: Channel) -> dict[str, Any]:
    details, outcome = channel.details, channel.outcome
    return {
        "format": channel.format.name,
        "codec": channel.format.codec,
        "sample_rate": details.sample_rate if details is not None else None,
        "channels": details.channels if details is not None else None,
        "bitrate": details.bitrate if details is not None else None,
        "seconds": round(channel.seconds(channel.end_pts), 3),
        "chunks": channel.end - channel.first,
        "first": channel.first,
        "end": channel.end,
        "retained_bytes": channel.retained_bytes,
        "egress_bytes": channel.egress,
        "listeners": len(channel.listeners),
        "ended": outcome is not None,
        "error": outcome.error.code if outcome is not None and outcome.error is not None else None,
    }


def as_table(form: str | None, accept: str) -> bool:
    """Whether it is to be a table: `format` says so, or else what is accepted first. Raises RequestError."""
    if form not in (None, "json", "text"):
        raise RequestError("invalid_request", "format is `json` or `text`.", param="format")
    kinds = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    first = next((kind for kind in kinds if kind in ("text/plain", "application/json", "*/*")), "")
    return form == "text" or (form is None and first == "text/plain")


def as_text(document: dict[str, Any]) -> str:
    """For a terminal: what is looked for first stands left, the long names right."""
    lines = [_HEADINGS, *(_cells(row) for row in document["streams"])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    text = ["  ".join([cell.ljust(width) for cell, width in zip(line, widths, strict=True)]).rstrip() for line in lines]
    shown, total = len(document["streams"]), document["total"]
    of_all = f"{total} streams" if shown == total else f"the newest {shown} of {total} streams"
    text += ["", f"{of_all}, {document['running']} running, {document['listeners']} listeners"]
    return "\n".join(text) + "\n"


def _cells(row: dict[str, Any]) -> Sequence[str]:
    seconds, lag = row["seconds"], row["slowest_lag_seconds"]
    paid = f"{seconds['received']:.1f}/{seconds['granted']:.0f} s"
    if seconds["billed"] is not None:
        paid = f"{seconds['received']:.1f} s" + ("" if seconds["settled"] else " unsettled")
    cells = (
        row["status"],
        _age(row["age_seconds"]),
        row["tenant"],
        row["model"],
        ", ".join(f"{count} {door}" for door, count in sorted(row["listeners_by_transport"].items())) or "0",
        "-" if lag is None else f"{lag:.1f} s",
        paid,
        ", ".join(_format(rendition) for rendition in row["renditions"]),
        " ".join(_upstream(row)) or "-",
        row["id"],
    )
    return [_UNPRINTABLE.sub("?", cell) for cell in cells]


def _format(rendition: dict[str, Any]) -> str:
    heard = f"*{rendition['listeners']}" if rendition["listeners"] else ""
    return f"{rendition['format']}{heard} {_size(rendition['retained_bytes'])}"


def _upstream(row: dict[str, Any]) -> Iterator[str]:
    upstream = row["upstream"]
    if not row["owned"]:
        yield "another node's"
    if upstream["position"] is not None:
        yield f"waits as {upstream['position']}"
    if upstream["tries"] > 1:
        yield f"try {upstream['tries']}"
    if row["silent"] is not None:
        yield row["silent"]
    if row["error"] is not None:
        yield row["error"]


def _age(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    return (
        f"{whole // 60}:{whole % 60:02d}"
        if whole < 3600
        else f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    )


def _size(octets: int) -> str:
    return f"{octets / 1024:.0f}K" if octets < 1024 * 1024 else f"{octets / 1024 / 1024:.1f}M"
