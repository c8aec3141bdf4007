"""The usage door: GET /v1/usage, what a tenant has bought in a span of time, as a page of JSON or all of it as CSV.

Invariant: only the tenant's own rows are ever asked for; a table is written page by page, so that a year of songs takes
the memory of one page; one that cannot be finished breaks off, and never looks whole. No cell is a formula.
It must not know how the ledger keeps its rows.
"""

import csv
import io
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from aiohttp import web
from msgspec.structs import astuple, fields

from gateway.accounting import Generation
from gateway.errors import RequestError, WavegateError
from gateway.log import event
from gateway.model import TenantId
from gateway.protocol.events import UsageGeneration, UsageReport, UsageTotals, encode
from gateway.quota.ledger import Ledger
from gateway.server.query import number

logger = logging.getLogger("wavegate.usage")

PAGE_ROWS = 500
MOST_ROWS = 1000
DAY_SECONDS = 86400.0

_SECONDS = re.compile(r"\d{1,11}(\.\d{1,9})?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# A `+` that was not escaped arrives as a space.
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(Z|[+ -]\d{2}:?\d{2})?", re.ASCII)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TIMES = ("created_at", "finished_at")
_COLUMNS = tuple(field.name for field in fields(UsageGeneration))


class UsageDoor:
    """The handler of /v1/usage. `now` is wall time."""

    def __init__(self, ledger: Ledger, now: Callable[[], float] = time.time, page_rows: int = PAGE_ROWS) -> None:
        self._ledger = ledger
        self._now = now
        self._page_rows = page_rows

    async def handle(self, request: web.Request, tenant: TenantId) -> web.StreamResponse:
        """Raises RequestError that names the parameter, ServiceError."""
        since, until = span_of(request.query, self._now())
        headers = {"Cache-Control": "no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff"}
        if wants_csv(",".join(request.headers.getall("Accept", []))):
            return await self._table(request, tenant, since, until, headers)
        limit = number(request.query, "limit", int)
        limit = self._page_rows if limit is None else limit
        if not 1 <= limit <= MOST_ROWS:
            raise RequestError("invalid_request", f"limit is 1 to {MOST_ROWS}.", param="limit")
        usage = await self._ledger.usage(tenant, since, until, limit=limit)
        page = usage.page
        if (after := request.query.get("after")) is not None:
            page = await self._ledger.generations(tenant, since, until, after, limit)
        totals = UsageTotals(**{name: getattr(usage.totals, name) for name in UsageTotals.__struct_fields__})
        rows = [row_of(generation) for generation in page.generations]
        document = UsageReport(tenant, since, until, totals, rows, page.after)
        return web.Response(body=encode(document), content_type="application/json", headers=headers)

    async def _table(
        self, request: web.Request, tenant: TenantId, since: float, until: float, headers: dict[str, str]
    ) -> web.StreamResponse:
        page = (await self._ledger.usage(tenant, since, until, limit=self._page_rows)).page
        name = f"usage-{tenant}-{_day(since)}-{_day(max(since, until - 1.0))}.csv"
        headers |= {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": f'attachment; filename="{name}"'}
        response = web.StreamResponse(headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            await response.write(_lines([_COLUMNS]))
            while True:
                await response.write(_lines([_cells(generation) for generation in page.generations]))
                if page.after is None:
                    break
                page = await self._ledger.generations(tenant, since, until, page.after, self._page_rows)
        except ConnectionError:
            event(logger, "usage.left", tenant=tenant)
        except WavegateError as error:
            event(logger, "usage.broke_off", tenant=tenant, code=error.code)
            # Without its last chunk nobody takes it for whole.
            if request.transport is not None:
                request.transport.abort()
        return response


def span_of(query: Mapping[str, str], now: float) -> tuple[float, float]:
    """From when on and until when, as Unix seconds. Raises RequestError."""
    month = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    since = moment(query, "from", 0.0)
    since = month.timestamp() if since is None else since
    until = moment(query, "to", DAY_SECONDS)
    until = now if until is None else until
    if since > until:
        name = "from" if "from" in query else "to"
        raise RequestError(
            "invalid_request", "`from` must not be later than `to`; it is this month's first.", param=name
        )
    return since, until


def moment(query: Mapping[str, str], name: str, day: float) -> float | None:
    """The moment that is named; of a date, so many seconds after its beginning."""
    text = query.get(name)
    if text is None:
        return None
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(f"{text}T00:00:00+00:00").timestamp() + day
        if found := _TIME.fullmatch(text):
            zone = (found[3] or "Z").replace(" ", "+")
            return datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}").timestamp()
    except ValueError:
        pass
    sentence = f"{name} is a date such as 2026-03-31, a time such as 2026-03-31T12:00:00Z, or Unix seconds."
    raise RequestError("invalid_request", sentence, param=name)


def wants_csv(accept: str) -> bool:
    """Whether whoever accepts this would rather have CSV than JSON; in doubt it is JSON."""
    best = (0.0, 0, False)
    for place, part in enumerate(accept.split(",")):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if kind not in ("text/csv", "application/json", "application/*", "*/*"):
            continue
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        quality = float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight, re.ASCII) else 0.0
        if quality > 0:
            best = max(best, (quality, -place, kind == "text/csv"))
    return best[2]


def row_of(generation: Generation) -> UsageGeneration:
    """A row as its owner sees it: what is charged, and until that is known what was received so far."""
    return UsageGeneration(
        stream_id=generation.stream_id,
        status=generation.status.value,
        model=generation.model,
        audio_seconds=generation.received if generation.finished_at is None else generation.settled,
        cost=generation.cost,
        provider_request_id=generation.provider_request_id,
        created_at=generation.created_at,
        finished_at=generation.finished_at,
        reserved=generation.reserved,
        settled=generation.settled,
        refunded=generation.refunded,
        characters=generation.characters,
        listener_seconds=generation.listener_seconds,
        egress_bytes=generation.egress_bytes,
        key_id=generation.key_id,
    )


def _cells(generation: Generation) -> list[object]:
    cells: list[object] = []
    for name, value in zip(_COLUMNS, astuple(row_of(generation)), strict=True):
        if name in _TIMES and value is not None:
            cells.append(datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        else:
            cells.append(value)
    return cells


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([[_defused(cell) for cell in row] for row in rows])
    return text.getvalue().encode()


def _defused(cell: object) -> object:
    """A spreadsheet would take such a cell for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
