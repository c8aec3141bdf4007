"""The usage door: spans, pages and tables of a ledger whose clock the test sets.

Invariant under test: every row of the span once and no other's; a bad parameter is named; a table that breaks off does
not look whole, and no cell of it is a formula. It must not know how rows are kept.
"""

import asyncio
import csv
import io
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.accounting import Page, Reservation, Settlement
from gateway.config.schema import Limits
from gateway.errors import RequestError, ServiceError
from gateway.model import Principal, Status, StreamId, TenantId
from gateway.quota.policy import Rules
from gateway.quota.prices import Price, Prices
from gateway.quota.volatile import VolatileLedger
from gateway.server.usage import UsageDoor, span_of, wants_csv
from tests.support.relay import TENANT, Clock
from tests.support.server import served, soon

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
MARCH = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
DAY = 86400.0
COLUMNS = [
    "stream_id", "status", "model", "audio_seconds", "cost", "provider_request_id", "created_at", "finished_at",
    "reserved", "settled", "refunded", "characters", "listener_seconds", "egress_bytes", "key_id",
]  # fmt: skip
CSV = {"Accept": "text/csv"}


class Books(VolatileLedger):
    """Can be away from the second page on; `before` is what happens before it."""

    away = False
    before: Callable[[], None] | None = None

    async def generations(self, tenant: TenantId, since: float, until: float, after: str, limit: int = 500) -> Page:
        if self.before is not None:
            self.before()
        await asyncio.sleep(0)
        if self.away:
            raise ServiceError("ledger_unavailable", "The ledger is away.")
        return await super().generations(tenant, since, until, after, limit)


class Office:
    """A door with its ledger; three rows a page."""

    def __init__(self) -> None:
        self.clock = Clock(NOW)
        prices = Prices({"fun-music-v1": Price(0.5, 0.0)})
        self.books = Books(lambda _: Limits(0, 0, 0, 0), Rules(), prices, now=self.clock)
        self.door = UsageDoor(self.books, self.clock, page_rows=3)
        self.http: aiohttp.ClientSession
        self.request: web.Request

    async def song(self, name: str, tenant: str = TENANT, *, ended: bool = True, request_id: str = "r") -> None:
        """A generation that was made now."""
        stream_id = StreamId(name)
        await self.books.reserve(Reservation(stream_id, Principal(TenantId(tenant), "k"), "fun-music-v1"))
        await self.books.begin(stream_id, request_id)
        if ended:
            await self.books.settle(stream_id, Settlement(Status.COMPLETED, 29.5, 30.0))
        else:
            await self.books.renew(stream_id, 5.0)

    async def get(self, status: int = 200, **query: str) -> dict[str, Any]:
        async with self.http.get("/v1/usage", params=query) as response:
            assert response.status == status
            document: dict[str, Any] = await response.json()
            return document

    async def table(self, **query: str) -> list[list[str]]:
        async with self.http.get("/v1/usage", params=query, headers=CSV) as response:
            assert response.content_type == "text/csv"
            return list(csv.reader(io.StringIO(await response.text())))


@asynccontextmanager
async def office() -> AsyncIterator[Office]:
    place = Office()

    async def handle(request: web.Request) -> web.StreamResponse:
        place.request = request
        return await place.door.handle(request, TENANT)

    async with (
        served(web.get("/v1/usage", handle)) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(20)) as place.http,
    ):
        yield place


# -- spans ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ({}, MARCH, NOW),
        ({"from": "2026-03-02"}, MARCH + DAY, NOW),
        ({"to": "2026-03-02"}, MARCH, MARCH + 2 * DAY),
        ({"from": "2026-03-01", "to": "2026-03-01"}, MARCH, MARCH + DAY),
        ({"from": "0", "to": f"{MARCH + 0.25:.2f}"}, 0.0, MARCH + 0.25),
        ({"from": "2026-03-01T01:00:00Z"}, MARCH + 3600, NOW),
        ({"from": "2026-03-01T01:00"}, MARCH + 3600, NOW),
        ({"from": "2026-03-01 01:00:00.5"}, MARCH + 3600.5, NOW),
        ({"from": "2026-03-01T01:00:00+01:00"}, MARCH, NOW),
        ({"from": "2026-03-01T01:00:00 01:00"}, MARCH, NOW),
        ({"from": "2026-03-01T01:00:00-0100"}, MARCH + 7200, NOW),
        ({"to": "9999-12-31"}, MARCH, datetime(9999, 12, 31, tzinfo=UTC).timestamp() + DAY),
    ],
)
def test_a_span_is_seconds_dates_or_times(query: dict[str, str], since: float, until: float) -> None:
    """UTC unless it says otherwise; a date at its end is of that day; from this month's first to now by itself."""
    assert span_of(query, NOW) == (since, until)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": ""}, "from"),
        ({"to": "2026-02-30"}, "to"),
        ({"to": "2026-03-01T25:00"}, "to"),
        ({"to": "1e9"}, "to"),
        ({"to": "-1"}, "to"),
        ({"to": "nan"}, "to"),
        ({"from": "9" * 12}, "from"),
        ({"from": "２０２６-03-01"}, "from"),
        ({"from": "2026-03-09", "to": "2026-03-07"}, "from"),
        ({"to": "2026-02-01"}, "to"),
    ],
)
def test_what_is_no_span_is_named(query: dict[str, str], param: str) -> None:
    """Before the ledger is asked."""
    with pytest.raises(RequestError) as error:
        span_of(query, NOW)
    assert (error.value.code, error.value.param) == ("invalid_request", param)


@pytest.mark.parametrize(
    ("accept", "table"),
    [
        ("", False),
        ("*/*", False),
        ("text/csv", True),
        ("TEXT/CSV; header=present", True),
        ("text/csv, */*;q=0.1", True),
        ("application/json, text/csv", False),
        ("application/json;q=0.5, text/csv;q=0.6", True),
        ("text/csv;q=0", False),
        ("text/csv;q=lots", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
    ],
)
def test_json_unless_csv_is_wanted_more(accept: str, table: bool) -> None:
    """As clients say it."""
    assert wants_csv(accept) is table


# -- JSON ----------------------------------------------------------------------------------------------------------


async def test_a_report_has_totals_and_a_row_a_generation() -> None:
    """Running ones, too; nobody else's, and none from outside of the span."""
    async with office() as place:
        place.clock.at = MARCH - 1.0
        await place.song("st_old")
        place.clock.at = MARCH
        await place.song("st_1")
        await place.song("st_theirs", "other")
        await place.song("st_2", ended=False)
        place.clock.at = NOW
        report = await place.get()
        assert (report["tenant"], report["from"], report["to"], report["next"]) == (TENANT, MARCH, NOW, None)
        assert report["totals"] == {
            "reserved": 60.0, "settled": 30.0, "refunded": 0.0, "listener_seconds": 0.0, "egress_bytes": 0,
            "cost": 15.0, "generations": 2,
        }  # fmt: skip
        first, second = report["generations"]
        assert list(first) == COLUMNS
        assert (first["stream_id"], first["status"], first["audio_seconds"], first["cost"]) == (
            "st_1", "completed", 30.0, 15.0,
        )  # fmt: skip
        assert (first["created_at"], first["finished_at"], first["key_id"]) == (MARCH, MARCH, "k")
        assert first["reserved"] == first["settled"] + first["refunded"]
        assert (second["status"], second["audio_seconds"], second["settled"], second["finished_at"]) == (
            "running", 5.0, 0.0, None,
        )  # fmt: skip


async def test_pages_follow_each_other_without_a_gap() -> None:
    """Each row once, in the order of creation; every page has the totals of the whole span."""
    async with office() as place:
        for number in range(8):
            await place.song(f"st_{number}")
        place.clock.at += 1.0
        found: list[str] = []
        query: dict[str, str] = {}
        while True:
            report = await place.get(**query)
            assert report["totals"]["generations"] == 8
            found += [row["stream_id"] for row in report["generations"]]
            if report["next"] is None:
                break
            query = {"from": str(report["from"]), "to": str(report["to"]), "after": report["next"]}
        assert found == [f"st_{number}" for number in range(8)]
        assert len((await place.get(limit="1000"))["generations"]) == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "0"), ("limit", "1001"), ("limit", "x"), ("after", "nothing"), ("from", "x"), ("to", "x")],
)
async def test_a_bad_parameter_is_named(name: str, value: str) -> None:
    """400 with the name."""
    async with office() as place:
        error = (await place.get(400, **{name: value}))["error"]
        assert (error["code"], error["param"]) == ("invalid_request", name)


# -- CSV -----------------------------------------------------------------------------------------------------------


async def test_a_table_has_every_row_of_the_span() -> None:
    """Over several pages, with a head and a name; times as spreadsheets read them."""
    async with office() as place:
        for number in range(7):
            await place.song(f"st_{number}", ended=number > 0)
        place.clock.at += 1.0
        head, *rows = await place.table(limit="1")
        assert head == COLUMNS
        assert [row[0] for row in rows] == [f"st_{number}" for number in range(7)]
        assert dict(zip(head, rows[0], strict=True))["finished_at"] == ""
        last = dict(zip(head, rows[-1], strict=True))
        assert (last["created_at"], last["settled"], last["cost"]) == ("2026-03-10T12:00:00.000Z", "30.0", "15.0")
        async with place.http.get("/v1/usage", params={"to": "2026-03-10"}, headers=CSV) as response:
            name = "usage-acme-2026-03-01-2026-03-10.csv"
            assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
            assert response.headers["Vary"] == "Accept"
        assert await place.table(to="2026-03-01") == [COLUMNS], "a table without rows has its head"


@pytest.mark.parametrize("cell", ['=HYPERLINK("http://x")', "+1", "-1", "@x", "\tx", "\rx"])
async def test_no_cell_is_a_formula(cell: str) -> None:
    """What a provider called its request is text to a spreadsheet."""
    async with office() as place:
        await place.song("st_1", request_id=cell)
        place.clock.at += 1.0
        async with place.http.get("/v1/usage", headers=CSV) as response:
            rows = list(csv.reader(io.StringIO((await response.read()).decode(), newline="")))
        assert rows[1][COLUMNS.index("provider_request_id")] == f"'{cell}"


async def test_a_table_that_breaks_off_does_not_look_whole() -> None:
    """The ledger goes away behind the first page: the client can tell."""
    async with office() as place:
        for number in range(7):
            await place.song(f"st_{number}")
        place.clock.at += 1.0
        place.books.away = True
        with pytest.raises(aiohttp.ClientError):
            await place.table()


async def test_whoever_leaves_in_the_middle_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    """The rest is not written, and nothing is wrong."""
    async with office() as place:
        for number in range(7):
            await place.song(f"st_{number}")
        place.clock.at += 1.0

        def leave() -> None:
            assert place.request.transport is not None
            place.request.transport.abort()

        place.books.before = leave
        with caplog.at_level(logging.DEBUG, "wavegate.usage"), pytest.raises(aiohttp.ClientError):
            await place.table()
        await soon(lambda: any(record.getMessage() == "usage.left" for record in caplog.records))
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]
