"""The list of streams: pages, cursors and filters, and every way of writing them wrong.

Invariant under test: following `next` to its end gives every stream that was there at the first page, each once,
whatever is created or forgotten meanwhile. It must not know HTTP.
"""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import MultiDict

from gateway.config.schema import Limits
from gateway.errors import RequestError
from gateway.model import Principal, StreamId, TenantId
from gateway.relay.order import Order
from gateway.relay.stream import Stream
from gateway.server.listing import MOST_ROWS, USUAL_ROWS, StreamPage, listed
from gateway.server.services import Services
from tests.support.relay import BUYER, TENANT, ScriptedSource, song
from tests.support.server import services

BASE = "http://gateway.test"


@dataclass
class Shelf:
    """Streams of the tenant acme, and one of another."""

    room: Services

    async def add(self, count: int = 1) -> list[Stream]:
        return [await self.room.hub.create(Order(BUYER, song())) for _ in range(count)]

    async def forget(self, stream_id: str) -> None:
        """As the hub does with what has ended and is heard no more."""
        stream = self.room.hub._streams.get(StreamId(stream_id))
        if stream is not None:
            stream.cancel()
            await stream.wait()
            del self.room.hub._streams[stream.id]

    async def page(self, text: str = "") -> StreamPage:
        query = MultiDict(part.partition("=")[::2] for part in text.split("&") if part)
        return await listed(self.room.hub, TENANT, query, BASE)


@asynccontextmanager
async def shelf(count: int = 0) -> AsyncIterator[Shelf]:
    free = Limits(concurrent_streams=0, streams_per_minute=0, audio_seconds_per_day=0, audio_seconds_per_month=0)
    async with services(ScriptedSource(asyncio.Event()), limits=free) as room:
        await room.hub.create(Order(Principal(TenantId("other"), "k"), song()))
        there = Shelf(room)
        await there.add(count)
        yield there


def ids(page: StreamPage) -> list[str]:
    return [row.id for row in page.streams]


async def test_a_short_list_is_one_page() -> None:
    """Newest first, of this tenant alone; nothing follows."""
    async with shelf() as there:
        assert await there.page() == StreamPage([], has_more=False, next=None)
        made = await there.add(3)
        page = await there.page()
        assert ids(page) == [stream.id for stream in reversed(made)]
        assert (page.has_more, page.next) == (False, None)
        assert page.streams[0].urls.ws == "ws://gateway.test/v1/ws"


async def test_a_long_list_comes_in_pages_of_fifty() -> None:
    """Or as many as are asked for, up to a bound."""
    async with shelf(USUAL_ROWS + 1) as there:
        first = await there.page()
        assert (len(first.streams), first.has_more) == (USUAL_ROWS, True)
        rest = await there.page(f"after={first.next}")
        assert (len(rest.streams), rest.has_more, rest.next) == (1, False, None)
        assert len((await there.page(f"limit={MOST_ROWS}")).streams) == USUAL_ROWS + 1
        assert len((await there.page("limit=1")).streams) == 1


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.differing_executors])
@given(
    moments=st.lists(st.sampled_from([1000.0, 1000.0000004, 1000.5, 1001.123456789]), max_size=12),
    limit=st.integers(1, 5),
    noise=st.lists(st.sampled_from(["create", "forget", "nothing"]), max_size=12),
)
async def test_pages_neither_repeat_nor_hide(moments: list[float], limit: int, noise: list[str]) -> None:
    """Also where several were created at the same moment, and where others come and go between two pages."""
    async with shelf() as there:
        made = await there.add(len(moments))
        for stream, moment in zip(made, moments, strict=True):
            stream.created_at = moment
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await there.page(f"limit={limit}" + (f"&after={cursor}" if cursor else ""))
            assert page.has_more == (page.next is not None)
            seen += ids(page)
            cursor = page.next
            what = noise.pop() if noise else "nothing"
            if what == "create":
                # Newer than all, as the clock has it; one that is set back may put it on a page that is to come.
                (newest,) = await there.add()
                newest.created_at = 2000.0
            elif what == "forget" and seen:
                await there.forget(seen[-1])
        assert len(seen) == len(set(seen))
        assert set(seen) == {stream.id for stream in made}


async def test_filters_hold_together() -> None:
    """Statuses and models by name, several of each; times as at /v1/usage, the first included and the second not."""
    async with shelf() as there:
        old, new = await there.add(2)
        old.created_at, new.created_at = 86400.0, 86401.5
        old.cancel()
        await old.wait()
        both, first, second = [new.id, old.id], [old.id], [new.id]
        for text, expected in {
            "status=cancelled": first,
            "status=running,queued": second,
            "status=running&status=cancelled": both,
            "status=failed": [],
            "model=fun-music-v1": both,
            "model=cosyvoice-v2": [],
            "model=cosyvoice-v2,fun-music-v1&status=cancelled": first,
            "created_after=86401.5": second,
            "created_after=1970-01-02": both,
            "created_after=1970-01-02T00:00:01Z": second,
            "created_before=86401.5": first,
            "created_before=1970-01-02": [],
            "created_after=86400&created_before=86401": first,
            "created_after=90000&created_before=80000": [],
        }.items():
            assert ids(await there.page(text)) == expected, text


def cursor(text: str) -> str:
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("status=done", "status"),
        ("status=", "status"),
        ("status=running,", "status"),
        ("status=Running", "status"),
        ("model=tts-1", "model"),
        ("model=", "model"),
        ("created_after=yesterday", "created_after"),
        ("created_before=", "created_before"),
        ("created_before=2026-13-01", "created_before"),
        ("after=", "after"),
        ("after=st_1", "after"),
        ("after=%", "after"),
        ("after=ü", "after"),
        ("after=" + "A" * 10_000, "after"),
        ("after=" + cursor("1000.000000 st_xyz"), "after"),
        ("after=" + cursor("1000 st_" + "0" * 32), "after"),
        ("after=" + cursor("\xff"), "after"),
    ],
)
async def test_a_bad_value_is_named(text: str, param: str) -> None:
    """400, whatever stands there; the value is not repeated."""
    async with shelf() as there:
        with pytest.raises(RequestError) as refused:
            await there.page(text)
        assert (refused.value.code, refused.value.param) == ("invalid_request", param)
        assert refused.value.handling.status == 400


async def test_a_cursor_outlives_its_stream() -> None:
    """It is a place in the order: whoever is forgotten is not needed to go on."""
    async with shelf(3) as there:
        page = await there.page("limit=1")
        everything = ids(await there.page())
        await there.forget(everything[0])
        assert ids(await there.page(f"limit=5&after={page.next}")) == everything[1:]
