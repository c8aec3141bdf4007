"""Single questions to a gateway over HTTP: what is asked, and every way in which there is no answer.

Invariant under test: a key goes to the server that was named and into no error; whatever a server answers, or that it
does not, is a ClientError with the gateway's own words where it spoke. The other side is a small HTTP server.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from gateway.client.client import Client
from gateway.client.errors import ClientError
from gateway.client.rest import Door
from tests.support.server import served
from tests.unit.gateway.client.conftest import info

STREAM = msgspec.to_builtins(info())
TOTALS = {
    "reserved": 1.0,
    "settled": 2.0,
    "refunded": 0.0,
    "listener_seconds": 3.0,
    "egress_bytes": 4,
    "cost": 0.5,
    "generations": 0,
}
REPORT = {"tenant": "acme", "from": 1.0, "to": 2.0, "totals": TOTALS, "generations": [], "next": "more"}


@asynccontextmanager
async def asking(
    answer: Any, status: int = 200, headers: dict[str, str] | None = None, **who: Any
) -> AsyncIterator[tuple[Client, list[Any]]]:
    """A client of a server that answers everything like this, and what the server has seen."""
    seen: list[Any] = []
    text = answer if isinstance(answer, str) else json.dumps(answer)

    async def handle(request: web.Request) -> web.Response:
        body = await request.text()
        seen.append((request.method, request.path_qs, request.headers.get("Authorization"), body))
        return web.Response(status=status, text=text, headers=headers)

    async with (
        served(web.route("*", "/below/v1/{rest:.*}", handle)) as port,
        Client(f"http://127.0.0.1:{port}/below/", **({"key": "secret"} | who)) as client,
    ):
        yield client, seen


async def test_the_streams_there_are() -> None:
    """A list of what is kept, newest first as the gateway says it."""
    async with asking({"streams": [STREAM, STREAM]}) as (client, seen):
        streams = await client.streams()
    assert streams == [info(), info()]
    assert seen == [("GET", "/below/v1/streams", "Bearer secret", "")]


async def test_one_stream_and_its_end() -> None:
    """An id is quoted, whatever is in it; the end is answered with the bill."""
    async with asking(STREAM) as (client, seen):
        assert await client.info("st_1") == info()
        assert await client.cancel("../x?y") == info()
    assert [(method, path) for method, path, _, _ in seen] == [
        ("GET", "/below/v1/streams/st_1"),
        ("DELETE", "/below/v1/streams/..%2Fx%3Fy"),
    ]


async def test_a_guest_asks_with_its_ticket() -> None:
    """A new one for each question, if it comes from a function; never as a key."""
    tickets = iter(["wt_1", "wt_2"])

    async def ticket() -> str:
        return next(tickets)

    async with asking(STREAM, key=None, ticket=ticket) as (client, seen):
        await client.info("st_1")
        await client.info("st_1")
    assert [(path, bearer) for _, path, bearer, _ in seen] == [
        ("/below/v1/streams/st_1?ticket=wt_1", None),
        ("/below/v1/streams/st_1?ticket=wt_2", None),
    ]


async def test_a_ticket_for_a_guest() -> None:
    """Every bound that a ticket may have is said."""
    async with asking({"ticket": "wt_1", "expires_at": 7}, status=201) as (client, seen):
        minted = await client.ticket(
            stream_id="st_1",
            allow=("listen", "create"),
            ttl_seconds=9,
            uses=0,
            origin="https://a.example",
            max_audio_seconds=5,
        )
    assert (minted.ticket, minted.expires_at, repr(minted)) == ("wt_1", 7, "Minted(expires_at=7)")
    ((method, path, _, body),) = seen
    assert (method, path) == ("POST", "/below/v1/tickets")
    assert json.loads(body) == {
        "stream_id": "st_1",
        "allow": ["listen", "create"],
        "ttl_seconds": 9,
        "uses": 0,
        "origin": "https://a.example",
        "max_audio_seconds": 5,
    }


async def test_the_bill() -> None:
    """Of a time, a page; without one as the gateway sees fit."""
    async with asking(REPORT) as (client, seen):
        report = await client.usage("2026-03-01", "2026-04-01", after="st_9")
        await client.usage()
    assert (report.tenant, report.totals.cost, report.next) == ("acme", 0.5, "more")
    assert [path for _, path, _, _ in seen] == [
        "/below/v1/usage?from=2026-03-01&to=2026-04-01&after=st_9",
        "/below/v1/usage",
    ]


async def test_a_refusal_is_the_gateways_own() -> None:
    """Code, sentence, field, time, and the close code that goes with it."""
    body = {"code": "rate_exceeded", "message": "Slow.", "retryable": True, "retry_after_ms": 1500, "param": "x"}
    async with asking({"error": body}, status=429) as (client, _):
        with pytest.raises(ClientError, match="Slow") as refused:
            await client.streams()
    error = refused.value
    assert (error.code, error.retryable, error.retry_after, error.param) == ("rate_exceeded", True, 1.5, "x")
    assert error.close_code == 4101


@pytest.mark.parametrize(("status", "retryable"), [(502, True), (404, False)])
async def test_a_proxys_refusal_is_what_its_status_says(status: int, retryable: bool) -> None:
    """A page of somebody in between, with its own wish when to come back."""
    async with asking("<html>", status=status, headers={"Retry-After": "3"}) as (client, _):
        with pytest.raises(ClientError, match=f"HTTP {status}") as refused:
            await client.streams()
    assert (refused.value.code, refused.value.retryable, refused.value.retry_after) == ("refused", retryable, 3.0)


@pytest.mark.parametrize("text", ["<html>", "{}", "[]", '{"streams": [5]}'])
async def test_what_is_no_gateway_is_called_so(text: str) -> None:
    """Pages and other documents."""
    async with asking(text) as (client, _):
        with pytest.raises(ClientError) as refused:
            await client.streams()
    assert refused.value.code == "bad_protocol"


@pytest.mark.parametrize("server", ["http://127.0.0.1:1", "https://127.0.0.1:1"])
async def test_nobody_there(server: str) -> None:
    """A sentence without the key, which may be tried again."""
    async with Client(server, key="secret") as client:
        with pytest.raises(ClientError) as refused:
            await client.streams()
    assert (refused.value.code, refused.value.retryable, refused.value.close_code) == ("unreachable", True, None)
    assert "secret" not in refused.value.message


def test_a_credential_does_not_show_itself() -> None:
    """In whoever's log a door ends up."""
    assert repr(Door("wss://music.example/v1/ws", "topsecret", "topsecret")) == "Door(url='wss://music.example/v1/ws')"
