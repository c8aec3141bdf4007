"""The list of a tenant's streams: GET /v1/streams, newest first, page by page, held against filters.

Invariant: a cursor is a place in the order of creation, so streams that come or go between two pages neither repeat
others nor hide them; whatever a stranger writes behind the question mark is a value or a RequestError that names it.
It must not know who asks, nor how a stream is made.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from heapq import nlargest

import msgspec
from multidict import MultiMapping

from gateway.errors import RequestError
from gateway.model import Status, TenantId
from gateway.protocol.events import StreamInfo
from gateway.protocol.families import MODELS
from gateway.relay.hub import Hub
from gateway.relay.replica import AnyStream
from gateway.server.query import number
from gateway.server.usage import moment
from gateway.server.view import stream_info

USUAL_ROWS = 50
MOST_ROWS = 500

_PLACE = re.compile(r"(\d{1,11}\.\d{6}) (st_[0-9a-f]{32})", re.ASCII)
# A cursor is not longer than this; what is, is not even decoded.
_MOST_CURSOR = 100

Place = tuple[float, str]


class StreamPage(msgspec.Struct):
    """A page; `next` is what to ask for the one behind it with, as `after`, and None where there is none."""

    streams: list[StreamInfo]
    has_more: bool
    next: str | None


async def listed(hub: Hub, tenant: TenantId, query: MultiMapping[str], base: str) -> StreamPage:
    """The page that is asked for; `base` is the gateway's address as the client wrote it. Raises RequestError."""
    limit = rows(query, USUAL_ROWS, MOST_ROWS)
    statuses, models = among(query, "status", tuple(Status)), among(query, "model", tuple(MODELS))
    # Of a date, whole days: from the beginning of the one, up to the beginning of the other.
    since, until = moment(query, "created_after", 0.0), moment(query, "created_before", 0.0)
    after = _place(query)
    found = [
        stream
        for stream in await hub.everywhere(tenant)
        if (not statuses or stream.status.value in statuses)
        and (not models or stream.request.model in models)
        and (since is None or stream.created_at >= since)
        and (until is None or stream.created_at < until)
        and (after is None or place_of(stream) < after)
    ]
    page = nlargest(limit + 1, found, key=place_of)
    more, page = len(page) > limit, page[:limit]
    return StreamPage([stream_info(stream, base) for stream in page], more, _cursor(page[-1]) if more else None)


def rows(query: MultiMapping[str], usual: int, most: int) -> int:
    """How many rows are wanted. Raises RequestError."""
    limit = number(query, "limit", int)
    limit = usual if limit is None else limit
    if not 1 <= limit <= most:
        raise RequestError("invalid_request", f"limit is 1 to {most}.", param="limit")
    return limit


def among(query: MultiMapping[str], name: str, allowed: Sequence[str]) -> set[str]:
    """The values under this name, with commas between them or under the name again. Raises RequestError."""
    values = {value for text in query.getall(name, []) for value in text.split(",")}
    if not values <= set(allowed):
        raise RequestError("invalid_request", f"{name} is among: {', '.join(allowed)}.", param=name)
    return values


def place_of(stream: AnyStream) -> Place:
    """Where a stream stands in the order of creation: as exact as a cursor tells it."""
    return round(stream.created_at, 6), stream.id


def _cursor(stream: AnyStream) -> str:
    created_at, stream_id = place_of(stream)
    return urlsafe_b64encode(f"{created_at:.6f} {stream_id}".encode()).rstrip(b"=").decode()


def _place(query: MultiMapping[str]) -> Place | None:
    cursor = query.get("after")
    if cursor is None:
        return None
    try:
        padded = cursor[:_MOST_CURSOR].encode("ascii") + b"=" * (-len(cursor) % 4)
        found = _PLACE.fullmatch(urlsafe_b64decode(padded).decode())
    except ValueError:
        found = None
    if found is None:
        raise RequestError("invalid_request", "after is the `next` of a page of streams.", param="after")
    return float(found[1]), found[2]
