"""Cross-origin requests: who may ask, and who may read the answer.

Invariant under test: no answer names an origin that the tenant behind it does not list, and none names `*`.
It must not know what is answered.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from gateway.errors import RequestError
from gateway.model import TenantId
from gateway.server.auth import Tenants
from gateway.server.cors import Cors
from gateway.server.reception import TENANT
from gateway.server.rest import errors

ORIGIN, OTHER, EVIL = "https://play.acme.example", "https://other.example", "https://evil.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


async def _answer(request: web.Request) -> web.Response:
    """Recognises who is named in the query; raises if it is told to."""
    if "tenant" in request.query:
        request[TENANT] = TenantId(request.query["tenant"])
    if "fail" in request.query:
        raise RequestError("stream_not_found", "There is no such stream.")
    return web.Response(text="song", headers={"Vary": "Accept"} if "vary" in request.query else {})


@asynccontextmanager
async def door(*, demo: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    tenants = Tenants(
        [
            Tenant(id="acme", keys=[key_hash("a")], allowed_origins=[ORIGIN]),
            Tenant(id="other", keys=[key_hash("b")], allowed_origins=[OTHER]),
        ],
        demo=demo,
    )
    application = web.Application(middlewares=[Cors(tenants).middleware, errors])
    application.add_routes([web.get("/v1/songs", _answer), web.post("/v1/songs", _answer), web.get("/page", _answer)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(20)) as http:
            yield http
    finally:
        await runner.cleanup()


async def ask(http: aiohttp.ClientSession, method: str, path: str, **headers: str) -> tuple[int, Any]:
    async with http.request(
        method, path, headers={name.replace("_", "-"): text for name, text in headers.items()}
    ) as response:
        await response.read()
        return response.status, response.headers


@pytest.mark.parametrize(
    ("origin", "demo", "welcome"),
    [
        (ORIGIN, False, True),
        (OTHER, False, True),
        (EVIL, False, False),
        (ORIGIN.upper(), False, False),
        (f"{ORIGIN}.evil.example", False, False),
        (f"{ORIGIN}:8443", False, False),
        ("null", False, False),
        ("", False, False),
        ("*", False, False),
        ("http://localhost:3000", False, False),
        ("http://localhost:3000", True, True),
        ("http://127.0.0.1:9", True, True),
        ("http://[::1]:9", True, True),
        ("http://[", True, False),
        ("http://localhost.evil.example", True, False),
        ("null", True, False),
    ],
)
async def test_before_a_page_asks(origin: str, demo: bool, welcome: bool) -> None:
    """A page of a listed origin learns what it may send, for a while; every other is refused."""
    async with door(demo=demo) as http:
        status, headers = await ask(http, "OPTIONS", "/v1/songs", Origin=origin, **PREFLIGHT)
        assert status == (204 if welcome else 403)
        assert headers.get("Access-Control-Allow-Origin") == (origin if welcome else None)
        assert headers["Vary"] == "Origin"
        if welcome:
            assert headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS, POST"
            allowed = {name.strip().lower() for name in headers["Access-Control-Allow-Headers"].split(",")}
            assert {"authorization", "content-type", "idempotency-key", "range", "icy-metadata"} <= allowed
            assert int(headers["Access-Control-Max-Age"]) > 0
            assert "Access-Control-Allow-Credentials" not in headers


async def test_options_of_no_page_tells_the_methods() -> None:
    """Everywhere where something is; elsewhere there is nothing."""
    async with door() as http:
        for headers in ({}, {"Origin": ORIGIN}, PREFLIGHT):
            status, told = await ask(http, "OPTIONS", "/v1/songs", **headers)
            assert (status, told["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        assert (await ask(http, "OPTIONS", "/page"))[1]["Allow"] == "GET, HEAD, OPTIONS"
        assert (await ask(http, "OPTIONS", "/page", Origin=ORIGIN, **PREFLIGHT))[0] == 403
        assert (await ask(http, "OPTIONS", "/v1/nothing", Origin=ORIGIN, **PREFLIGHT))[0] == 404
        status, told = await ask(http, "PUT", "/v1/songs", Origin=ORIGIN)
        assert (status, told["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")
        assert told["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("query", ["", "&fail=1"])
async def test_an_answer_is_for_the_pages_of_its_tenant(query: str) -> None:
    """Refusals too; where nobody was recognised, for those of any tenant."""
    async with door() as http:
        for tenant, origin, readable in (
            ("tenant=acme", ORIGIN, True),
            ("tenant=acme", OTHER, False),
            ("tenant=other", ORIGIN, False),
            ("tenant=gone", ORIGIN, False),
            ("", ORIGIN, True),
            ("", EVIL, False),
        ):
            status, headers = await ask(http, "GET", f"/v1/songs?{tenant}{query}", Origin=origin)
            assert status == (404 if query else 200)
            assert headers.get("Access-Control-Allow-Origin") == (origin if readable else None)
            exposed = headers.get("Access-Control-Expose-Headers", "")
            assert ("Retry-After" in exposed and "Content-Range" in exposed and "icy-metaint" in exposed) is readable
            assert headers["Vary"] == "Origin"


async def test_without_an_origin_and_outside_of_the_api_nothing_is_granted() -> None:
    """But that an answer depends on the origin is said to every cache, beside what else it depends on."""
    async with door() as http:
        _, headers = await ask(http, "GET", "/v1/songs?tenant=acme&vary=1")
        assert headers["Vary"] == "Accept, Origin"
        assert "Access-Control-Allow-Origin" not in headers
        _, headers = await ask(http, "GET", "/page?tenant=acme", Origin=ORIGIN)
        assert "Access-Control-Allow-Origin" not in headers
        assert "Vary" not in headers
