"""Guests of a running gateway: tickets as a tenant mints them, every way in with one, and how a guest is refused.

Invariant: every wait is bounded and nothing is slept for: what has expired was minted in the past, by an office that
has the gateway's secret. It must not test anything itself, nor know what a ticket's bytes mean.
"""

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from gateway.config.server import Server
from gateway.model import TenantId
from gateway.server.signing import SigningKeys
from gateway.server.tickets import TicketOffice, Wanted
from tests.support.gateway import KEY, OTHER_KEY, PATIENCE, Bench, receive, say

ORIGIN = "https://play.acme.example"
SECOND_ORIGIN = "https://shop.acme.example"
EVIL_ORIGIN = "https://evil.example"
TENANTS = [
    Tenant(id="acme", keys=[key_hash(KEY)], allowed_origins=[ORIGIN, SECOND_ORIGIN]),
    Tenant(id="other", keys=[key_hash(OTHER_KEY)]),
]
WAYS = ("subprotocol", "encoded", "query", "message")
_SECRET = b"a-secret-to-sign-tickets-with-in-tests"


def signing(folder: Path) -> Server:
    """The settings of a gateway that signs with the secret of `minted_long_ago`."""
    file = folder / "ticket-secret"
    file.write_bytes(_SECRET)
    return Server(port=0, internal_port=0, ticket_secret_file=str(file))


def minted_long_ago(seconds: float = 3600.0, **wanted: Any) -> str:
    """A ticket of acme's that was minted so long ago; 0 is one of now, which was never asked to be possible."""
    office = TicketOffice(SigningKeys([_SECRET]), now=lambda: time.time() - seconds)
    return office.mint(TenantId("acme"), Wanted(**wanted)).token.reveal()


async def ask_ticket(
    gateway: Bench, wanted: Any = None, *, key: str = KEY, query: str = ""
) -> tuple[int, dict[str, Any], Any]:
    """Status, document and headers of the answer to a wish for a ticket; `wanted` as bytes is sent as it is."""
    body = wanted if isinstance(wanted, bytes) else json.dumps(wanted or {}).encode()
    headers = {} if query else {"Authorization": f"Bearer {key}"}
    async with (
        anybody() as http,
        http.post(f"{gateway.url}/v1/tickets{query}", data=body, headers=headers) as response,
    ):
        return response.status, await response.json(), response.headers


async def mint(gateway: Bench, *, key: str = KEY, **wanted: Any) -> str:
    """A ticket that a tenant gave out."""
    status, document, _ = await ask_ticket(gateway, wanted, key=key)
    assert status == 201, document
    ticket: str = document["ticket"]
    return ticket


@asynccontextmanager
async def anybody() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client without a key."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as http:
        yield http


async def http_code(http: aiohttp.ClientSession, url: str, method: str = "GET", **options: Any) -> tuple[int, str]:
    """Status and error code of one request; of what is no refusal, the code is empty and the body is read."""
    async with http.request(method, url, **options) as response:
        body = await response.read()
        if response.status < 400 or method == "HEAD":
            return response.status, ""
        return response.status, json.loads(body)["error"]["code"]


@asynccontextmanager
async def enter(gateway: Bench, ticket: str, way: str, origin: str | None = None) -> AsyncIterator[ClientConnection]:
    """A WebSocket that this ticket has been given to, by one of `WAYS`; nothing has been read from it yet.

    The way "key" takes a key in place of a ticket, in the header.
    """
    url, offered = gateway.ws_url, ["wavegate.v1"]
    if way == "subprotocol":
        offered.append(f"wavegate.ticket.{ticket}")
    elif way == "encoded":
        offered.append("wavegate.ticket." + urlsafe_b64encode(ticket.encode()).rstrip(b"=").decode())
    elif way == "query":
        url += f"?ticket={ticket}"
    options: dict[str, Any] = {"subprotocols": offered, "compression": None, "close_timeout": 0.3, "origin": origin}
    if way == "key":
        options["additional_headers"] = {"Authorization": f"Bearer {ticket}"}
    async with connect(url, **options) as socket:
        if way == "message":
            await say(socket, type="session.authenticate", ticket=ticket)
        yield socket


async def fate(gateway: Bench, ticket: str, way: str, origin: str | None = None) -> tuple[int, str]:
    """What becomes of whoever comes this way: (0, "") if greeted, an HTTP status or a close code with its reason."""
    try:
        async with enter(gateway, ticket, way, origin) as socket:
            first = await receive(socket)
            if first["type"] == "session.created":
                return 0, ""
            assert first["type"] == "error", first
            async with asyncio.timeout(PATIENCE):
                with suppress(ConnectionClosed):
                    raise AssertionError(await socket.recv())
            assert socket.close_reason == first["error"]["code"]
            return socket.close_code or 0, first["error"]["code"]
    except InvalidStatus as refused:
        return refused.response.status_code, json.loads(refused.response.body or b"")["error"]["code"]
