"""What an operator sees of streams: rows of JSON, a table for a terminal, and what is in neither.

Invariant under test: no key, no prompt and no lyrics are shown; a crowd costs no more than a bounded look at it.
It must not know sockets beyond the one it is asked on.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, Principal, Queued, SourceEvent, TenantId, TriedAgain
from gateway.relay.listener import BATCH_BYTES, Listener, OnLag
from gateway.relay.order import Order
from gateway.relay.since import FromStart, SecondsAgo
from gateway.relay.stream import Stream
from gateway.server.debug import LOOKED_AT, DebugDoor, Look
from gateway.server.services import Services
from tests.support.relay import BUYER, Pipe, ScriptedSource, grow, listen, mp3_frames, new_channel, open_channel, song
from tests.support.server import served, services, soon

AUDIO = b"".join(mp3_frames(100))  # 2.6 seconds
WORDS = "words that nobody else may read"


class Desk:
    def __init__(self, room: Services, http: aiohttp.ClientSession) -> None:
        self.room = room
        self.http = http

    async def stream(self, tenant: str = "acme") -> Stream:
        buyer = Principal(TenantId(tenant), "key_id_of_somebody")
        return await self.room.hub.create(Order(buyer, song(lyrics=WORDS, prompt=WORDS)))

    async def rows(self, query: str = "") -> dict[str, Any]:
        async with self.http.get(f"/debug/streams{query}") as response:
            document: dict[str, Any] = await response.json()
            return document

    async def table(self, query: str = "?format=text", accept: str = "*/*") -> list[str]:
        async with self.http.get(f"/debug/streams{query}", headers={"Accept": accept}) as response:
            assert response.content_type == "text/plain"
            return (await response.text()).splitlines()


@asynccontextmanager
async def desk(*steps: SourceEvent | Exception | asyncio.Event, now: float = 0.0) -> AsyncIterator[Desk]:
    async with services(ScriptedSource(*steps)) as room:
        door = DebugDoor(room.hub, lambda: room.hub.list(BUYER.tenant)[0].created_at + now)
        async with (
            served(*door.routes()) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(20)) as http,
        ):
            yield Desk(room, http)


async def test_a_row_tells_all_that_there_is_to_know() -> None:
    """Who hears it by which door, what is kept in which format, where it stands at the provider, what it costs."""
    hold = asyncio.Event()
    async with desk(Accepted("r\x1b[31m"), AudioDelta(AUDIO), hold, now=75.5) as there:
        stream = await there.stream()
        await soon(lambda: stream.received_seconds > 2)
        pipes = [Pipe(), Pipe(room=1), Pipe()]
        for pipe, since in zip(pipes, (FromStart(), FromStart(), SecondsAgo(0.0)), strict=True):
            there.room.hub.attach(stream, stream.native, pipe, since, OnLag.COMPLETE)[0].join()
        document = await there.rows()
        (row,) = document.pop("streams")
        assert document == {"total": 1, "running": 1, "listeners": 3, "listeners_looked_at": 3}
        (rendition,) = row.pop("renditions")
        assert row.pop("seconds") == {
            "granted": 240.0,
            "received": round(stream.received_seconds, 3),
            "billed": None,
            "settled": False,
        }
        assert row.pop("upstream") == {
            "position": None,
            "eta_seconds": None,
            "tries": 1,
            "request_id": "r\x1b[31m",
            "simulated": False,
        }
        lag = row.pop("slowest_lag_seconds")
        taken = stream.native.read(0, BATCH_BYTES)
        rest = stream.native.end_pts - sum(chunk.duration for chunk in taken)
        assert lag == round(stream.native.seconds(rest), 3) > 0.5
        assert row == {
            "id": stream.id,
            "tenant": "acme",
            "status": "running",
            "model": "fun-music-v1",
            "mode": "stream",
            "created_at": round(stream.created_at, 3),
            "age_seconds": 75.5,
            "owned": True,
            "listeners": 3,
            "listeners_by_transport": {"pipe": 3},
            "silent": None,
            "retained_bytes": stream.retained_bytes,
            "error": None,
        }
        assert rendition == {
            "format": "mp3",
            "codec": "mp3",
            "sample_rate": 44100,
            "channels": 2,
            "bitrate": 128000,
            "seconds": round(stream.native.seconds(stream.native.end_pts), 3),
            "chunks": stream.native.end,
            "first": 0,
            "end": stream.native.end,
            "retained_bytes": stream.retained_bytes,
            "egress_bytes": stream.native.egress,
            "listeners": 3,
            "ended": False,
            "error": None,
        }
        heading, line, _, total = await there.table()
        assert heading.split()[:3] == ["STATUS", "AGE", "TENANT"]
        size = f"mp3*3 {stream.retained_bytes / 1024:.0f}K"
        cells = ["running", "1:15", "acme", "fun-music-v1", "3 pipe", f"{lag:.1f} s", "2.6/240 s", size, "-", stream.id]
        widths = [*_widths(heading), 0]
        assert line == "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        assert total == "1 streams, 1 running, 3 listeners"


def _widths(heading: str) -> list[int]:
    """Of each column but the last, in characters, without the two that follow."""
    places = [found.start() for found in re.finditer(r"\S+", heading)]
    return [after - place - 2 for place, after in pairwise(places)]


async def test_a_stream_that_waits_and_is_tried_again() -> None:
    """Its place in the queue and the number of its try; without a sound there are no numbers of a format."""
    hold = asyncio.Event()
    async with desk(TriedAgain(3), Queued(2, 4.5), hold) as there:
        stream = await there.stream()
        await soon(lambda: stream.place is not None)
        (row,) = (await there.rows())["streams"]
        assert (row["status"], row["slowest_lag_seconds"]) == ("queued", None)
        assert row["upstream"] == {
            "position": 2,
            "eta_seconds": 4.5,
            "tries": 3,
            "request_id": None,
            "simulated": None,
        }
        assert row["renditions"][0]["sample_rate"] is None
        (_, line, *_) = await there.table()
        assert "waits as 2 try 3" in line
        assert "0.0/240 s" in line


async def test_a_stream_that_should_sound_and_does_not() -> None:
    """How it is silent."""
    async with desk(AudioDelta(AUDIO), asyncio.Event()) as there:
        stream = await there.stream()
        await soon(lambda: stream.native.end > 0)
        stream.silence.kind = "still"
        (row,) = (await there.rows())["streams"]
        assert row["silent"] == "still"
        (_, line, *_) = await there.table()
        assert " still " in line


@pytest.mark.parametrize("failed", [True, False])
async def test_a_stream_that_has_ended(failed: bool) -> None:
    """What it cost, whether the bill is settled, and the code of its error."""
    end = UpstreamError("upstream_failed", f"It failed: {WORDS}.") if failed else Finished(3.0)
    async with desk(Queued(1, None), AudioDelta(AUDIO), end) as there:
        stream = await there.stream()
        await stream.wait()
        (row,) = (await there.rows())["streams"]
        assert row["upstream"]["position"] is None
        assert row["error"] == row["renditions"][0]["error"] == ("upstream_failed" if failed else None)
        assert row["renditions"][0]["ended"]
        assert row["seconds"]["settled"]
        assert row["seconds"]["billed"] == (pytest.approx(2.61, abs=0.01) if failed else 3.0)
        stream.bill = type(stream.bill)(3.0, settled=False)
        (_, line, *_) = await there.table()
        assert "2.6 s unsettled" in line
        assert ("upstream_failed" in line) is failed


async def test_what_is_said_and_paid_for_is_nobodys_business() -> None:
    """Neither words nor keys in any form, and nothing that a terminal would obey."""
    async with desk(Accepted("r\x1b[31m"), AudioDelta(AUDIO), UpstreamError("upstream_failed", WORDS)) as there:
        await (await there.stream()).wait()
        for query in ("", "?format=text"):
            async with there.http.get(f"/debug/streams{query}") as response:
                text = await response.text()
            assert "nobody else" not in text
            assert "key_id_of_somebody" not in text
            assert "\x1b" not in text


async def test_filters_and_the_newest_first() -> None:
    """By tenant and status, several of each, and no more than are asked for; what is left out is counted."""
    async with desk(Accepted("r"), asyncio.Event()) as there:
        one, two = await there.stream(), await there.stream()
        other = await there.stream("other")
        one.cancel()
        await one.wait()
        for query, expected in {
            "": [other, two, one],
            "?tenant=acme": [two, one],
            "?tenant=acme&tenant=other&status=running,queued": [other, two],
            "?status=cancelled": [one],
            "?tenant=nobody": [],
            "?limit=1": [other],
        }.items():
            document = await there.rows(query)
            assert [row["id"] for row in document["streams"]] == [stream.id for stream in expected], query
        assert (await there.rows("?limit=1"))["total"] == 3
        assert (await there.table("?format=text&limit=1"))[-1] == "the newest 1 of 3 streams, 2 running, 0 listeners"


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("status=busy", "status"), ("format=html", "format")],
)
async def test_a_bad_value_is_named(query: str, param: str) -> None:
    """400, as at every door."""
    async with desk() as there, there.http.get(f"/debug/streams?{query}") as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("accept", "query", "kind"),
    [
        ("*/*", "", "application/json"),
        ("text/plain", "", "text/plain"),
        ("text/html, text/plain;q=0.9, */*", "", "text/plain"),
        ("application/json, text/plain", "", "application/json"),
        ("text/plain", "?format=json", "application/json"),
        ("application/json", "?format=text", "text/plain"),
        ("image/png", "", "application/json"),
    ],
)
async def test_the_form_is_the_one_that_is_asked_for(accept: str, query: str, kind: str) -> None:
    """JSON, which is indented for people, unless a table is asked for; an empty table has its headings."""
    async with desk() as there, there.http.get(f"/debug/streams{query}", headers={"Accept": accept}) as response:
        text = await response.text()
        assert (response.content_type, response.headers["Vary"]) == (kind, "Accept")
        assert ("\n  " in text) is (kind == "application/json")
        assert text.endswith("\n")


@pytest.mark.parametrize(("seconds", "shown"), [(5.0, "5 s"), (65.0, "1:05"), (3661.0, "1:01:01"), (-1.0, "0 s")])
async def test_ages_are_read_at_a_glance(seconds: float, shown: str) -> None:
    """A clock that was set back makes nothing younger than now."""
    async with desk(asyncio.Event(), now=seconds) as there:
        await there.stream()
        (_, line, *_) = await there.table()
        assert line.split("  ")[1].strip() == shown


def test_a_look_at_a_crowd_is_bounded() -> None:
    """In all, whatever channels they hear; who waits for what is not made yet lags behind nothing."""
    channel, look = open_channel(), Look(3)
    grow(channel, 5, size=BATCH_BYTES)
    slow = listen(channel, Pipe(room=1))
    listeners = [listen(channel, Pipe()) for _ in range(3)]
    assert look.lag(channel) == pytest.approx(0.4)
    assert look.taken == 3
    assert look.lag(channel) is None
    slow.leave()
    assert Look(LOOKED_AT).lag(channel) == 0.0
    for listener in listeners:
        listener.leave()
    waiting = Listener(channel, Pipe(), 0, OnLag.COMPLETE, 5.0, wanted=60.0)
    waiting.join()
    assert Look(LOOKED_AT).lag(channel) is None
    assert Look(LOOKED_AT).lag(new_channel()) is None
