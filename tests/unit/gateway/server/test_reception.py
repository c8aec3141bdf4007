"""The reception: who is let in at the HTTP doors, with what, and from which page.

Invariant under test: nobody comes past it unknown, no page holds a long-lived key outside the demo, and a page of
another origin needs the tenant's leave. It must not know what a door does.
"""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from gateway.errors import WavegateError
from gateway.model import Accepted, TenantId
from gateway.relay.order import Order
from gateway.server.auth import Tenants
from gateway.server.reception import TENANT, Reception
from gateway.server.tickets import Wanted
from tests.support.relay import BUYER, ScriptedSource, song
from tests.support.server import KEY, OTHER_KEY, services

ORIGIN, EVIL = "https://play.acme.example", "https://evil.example"
HOME = "gateway.example:8080"


def asking(path: str = "/v1/streams", stream_id: str = "", **headers: str) -> web.Request:
    return make_mocked_request(
        "GET", path, headers={"Host": HOME} | headers, match_info={"id": stream_id} if stream_id else {}
    )


def tenants_of(*, demo: bool = False) -> Tenants:
    return Tenants(
        [
            Tenant(id="acme", keys=[key_hash(KEY)], allowed_origins=[ORIGIN]),
            Tenant(id="other", keys=[key_hash(OTHER_KEY)]),
        ],
        demo=demo,
    )


def ticket(tenants: Tenants, **wanted: Any) -> str:
    return tenants.office.mint(TenantId("acme"), Wanted(**wanted)).token.reveal()


async def fate(tenants: Tenants, request: web.Request) -> str:
    """The code of the refusal, or who was let in."""
    async with services(ScriptedSource(Accepted("r"))) as room:
        try:
            return Reception(room.hub, tenants).visitor(request).principal.tenant
        except WavegateError as error:
            return error.code


@pytest.mark.parametrize(
    ("origin", "demo", "with_key", "with_ticket"),
    [
        (None, False, "acme", "acme"),
        # A demo is this machine's: who calls it by another name was led there.
        (None, True, "origin_forbidden", "origin_forbidden"),
        (ORIGIN, False, "key_in_browser", "acme"),
        (EVIL, False, "origin_forbidden", "origin_forbidden"),
        ("null", False, "origin_forbidden", "origin_forbidden"),
        (f"http://{HOME}", False, "key_in_browser", "acme"),
        (f"https://{HOME}", False, "key_in_browser", "acme"),
        (f"ftp://{HOME}", False, "origin_forbidden", "origin_forbidden"),
        ("https://gateway.example", False, "origin_forbidden", "origin_forbidden"),
        ("http://localhost:3000", False, "origin_forbidden", "origin_forbidden"),
        ("http://localhost:3000", True, "origin_forbidden", "origin_forbidden"),
        (EVIL, True, "origin_forbidden", "origin_forbidden"),
        (f"http://{HOME}", True, "origin_forbidden", "origin_forbidden"),
    ],
)
async def test_pages_come_with_tickets_and_from_listed_origins(
    origin: str | None, demo: bool, with_key: str, with_ticket: str
) -> None:
    """The gateway's own pages come with tickets as well."""
    tenants = tenants_of(demo=demo)
    page = {} if origin is None else {"Origin": origin}
    assert await fate(tenants, asking(Authorization=f"Bearer {KEY}", **page)) == with_key
    token = ticket(tenants)
    assert await fate(tenants, asking(f"/v1/streams?ticket={token}", **page)) == with_ticket


@pytest.mark.parametrize("home", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LocalHost"])
async def test_a_demo_is_for_this_machine(home: str) -> None:
    """Its own pages, and others of its machine, come with its key; no others do."""
    tenants = tenants_of(demo=True)
    for origin, code in (
        (None, "acme"),
        (f"http://{home}", "acme"),
        ("http://localhost:3000", "acme"),
        (EVIL, "origin_forbidden"),
    ):
        page = {"Host": home} if origin is None else {"Host": home, "Origin": origin}
        assert await fate(tenants, asking(Authorization=f"Bearer {KEY}", **page)) == code


async def test_a_ticket_of_one_page_is_for_that_page() -> None:
    """By its Origin, or by its Referer where an element sends none."""
    tenants = tenants_of()
    path = f"/v1/streams?ticket={ticket(tenants, origin=ORIGIN)}"
    assert await fate(tenants, asking(path, Origin=ORIGIN)) == "acme"
    assert await fate(tenants, asking(path, Referer=f"{ORIGIN}/song")) == "acme"
    assert await fate(tenants, asking(path, Referer=f"{EVIL}/song")) == "origin_forbidden"
    assert await fate(tenants, asking(path, Origin=f"http://{HOME}")) == "origin_forbidden"
    assert await fate(tenants, asking(path)) == "origin_forbidden"


async def test_who_is_refused_for_its_page_is_known_all_the_same() -> None:
    """So that it is known who may read the refusal; who brought nothing good is not."""
    async with services(ScriptedSource(Accepted("r"))) as room:
        reception = Reception(room.hub, tenants_of())
        for headers, known in (
            ({"Authorization": f"Bearer {KEY}", "Origin": ORIGIN}, "acme"),
            ({"Authorization": f"Bearer {KEY}", "Origin": EVIL}, "acme"),
            ({"Authorization": "Bearer nobody", "Origin": ORIGIN}, None),
            ({"Origin": ORIGIN}, None),
        ):
            request = asking(**headers)
            with pytest.raises(WavegateError):
                reception.visitor(request)
            assert request.get(TENANT) == known


async def test_owners_and_listeners() -> None:
    """A ticket opens its own stream and no book; a stream is there for its own tenant alone."""
    async with services(ScriptedSource(Accepted("r"))) as room:
        tenants = tenants_of()
        reception = Reception(room.hub, tenants)
        stream = await room.hub.create(Order(BUYER, song()))
        mine, other = ticket(tenants, stream_id=stream.id), ticket(tenants, stream_id="st_0")
        creator = ticket(tenants, allow=["create"])
        key = {"Authorization": f"Bearer {KEY}"}
        assert reception.owner(asking(**key)).tenant == "acme"
        assert (await reception.listener(asking("/v1/x", stream.id, **key)))[0].ticket is None
        guest, heard = await reception.listener(asking(f"/v1/x?ticket={mine}", stream.id))
        assert guest.principal.guest
        assert heard is stream
        for code, request in (
            ("forbidden", asking(f"/v1/x?ticket={creator}", stream.id)),
            ("stream_not_found", asking(f"/v1/x?ticket={other}", stream.id)),
            ("stream_not_found", asking("/v1/x", "st_0", **key)),
            ("stream_not_found", asking("/v1/x", stream.id, Authorization=f"Bearer {OTHER_KEY}")),
            ("missing_credentials", asking("/v1/x", stream.id)),
        ):
            with pytest.raises(WavegateError) as caught:
                await reception.listener(request)
            assert caught.value.code == code
        with pytest.raises(WavegateError) as caught:
            reception.owner(asking(f"/v1/x?ticket={mine}"))
        assert caught.value.code == "forbidden"
