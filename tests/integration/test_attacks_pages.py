"""Ways of a page that somebody visits to what is kept here for others: names that lead here, caches, origins, forms.

Invariant under test: a page has what it brings itself, and reads what is for its origin; a browser brings nothing
along for it, and keeps nothing for the next. It must not test what a page of ours does with words.
"""

import json

from gateway.app import Gateway
from gateway.config.schema import Config, Transcode
from gateway.config.server import Server
from tests.support.attackers import FAST, SCALE, bearer, ordered, whole
from tests.support.gateway import KEY, bench
from tests.support.guests import EVIL_ORIGIN, ORIGIN, TENANTS, anybody, ask_ticket, http_code, mint

BOTH = ["create", "listen"]


async def test_a_name_that_leads_to_this_machine_is_not_this_machine() -> None:
    """DNS rebinding: for a browser, a page of evil.example is the demo's own, whose key everybody knows; and it reads
    the internal port, which asks for none. Both answer by the names of the machine alone.
    """
    config = Config(server=Server(port=0, internal_port=0), transcode=Transcode(workers=0))
    async with Gateway(config, None, demo=True) as demo, anybody() as http:
        public, internal = demo.addresses.public, demo.addresses.internal
        names = {"localhost": True, "127.0.0.1": True, "evil.example": False, "127.0.0.1.evil.example": False}
        for name, fits in names.items():
            for base, path, code in (
                (public, "/v1/streams", "origin_forbidden"),
                (internal, "/debug/streams", "forbidden"),
                (internal, "/metrics", "forbidden"),
            ):
                headers = bearer("demo") | {"Host": f"{name}:{base.rpartition(':')[2]}"}
                assert await http_code(http, base + path, headers=headers) == ((200, "") if fits else (403, code))
            host = f"{name}:{public.rpartition(':')[2]}"
            page = bearer("demo") | {"Host": host, "Origin": f"http://{host}"}
            async with http.ws_connect(f"{public}/v1/ws", headers=page, protocols=["wavegate.v1"]) as socket:
                first = await socket.receive_json()
            assert first["type"] == ("session.created" if fits else "error"), (name, first)


async def test_no_cache_and_no_other_page_keeps_what_was_answered() -> None:
    """Of any door: nothing to be kept, but for files of HLS, which are for who asked alone; for its own page alone; and
    no cookie, so that no page brings along what it does not have.
    """
    async with bench(tenants=TENANTS, upstream=FAST) as gateway, anybody() as http:
        stream = await whole(gateway)
        base, ticket = f"{gateway.url}/v1/streams/{stream['id']}", await mint(gateway, allow=BOTH, uses=0)
        paths = ["", "/audio.mp3", "/clip.mp3?duration=1", "/hls/index.m3u8", "/hls/init.mp4", "/hls/0.m4s", "/nothing"]
        urls = [f"{base}{path}" for path in paths] + [
            f"{gateway.url}/v1/{one}" for one in ("streams", "usage", "models")
        ]
        for url in urls:
            for credential, origin, granted in (
                (bearer(ticket), ORIGIN, {ORIGIN}),
                (bearer(ticket), EVIL_ORIGIN, {None}),
                (bearer(ticket), "null", {None}),
                (bearer(KEY), ORIGIN, {ORIGIN}),
                (bearer(KEY), None, {None}),
                ({}, EVIL_ORIGIN, {None}),
            ):
                headers = credential if origin is None else credential | {"Origin": origin}
                async with http.get(url, headers=headers) as response:
                    said, body = response.headers, await response.read()
                assert (origin in (EVIL_ORIGIN, "null")) <= (response.status >= 400), (url, origin)
                assert b"scale" not in body or response.status == 200
                kept, vary = said["Cache-Control"], said["Vary"]
                assert "no-store" in kept or ("private" in kept and "Authorization" in vary), (url, kept, vary)
                assert "Origin" in vary
                assert said.get("Access-Control-Allow-Origin") in granted
                assert not {"Set-Cookie", "Access-Control-Allow-Credentials", "Server"} & set(said), (url, said)
                assert said["X-Content-Type-Options"] == "nosniff", url


async def test_a_page_cannot_order_or_give_out_tickets_by_a_form() -> None:
    """What a form of any page may send without being asked (CSRF) is no order; a ticket makes no other ticket."""
    async with bench(tenants=TENANTS, upstream=FAST) as gateway, anybody() as http:
        stream, ticket = await ordered(gateway), await mint(gateway, allow=BOTH, uses=0)
        body = json.dumps({"input": {"prompt": SCALE}}).encode()
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            for path in ("streams", "audio/speech"):
                url, headers = f"{gateway.url}/v1/{path}?ticket={ticket}", {"Content-Type": kind}
                found = await http_code(http, url, "POST", data=body, headers=headers)
                assert found == (415, "unsupported_media_type")
        assert (await ask_ticket(gateway, {}, query=f"?ticket={ticket}"))[0] == 403
        deletes = {"X-HTTP-Method-Override": "DELETE"} | bearer(KEY)
        url = f"{gateway.url}/v1/streams/{stream['id']}"
        assert (await http_code(http, f"{url}?_method=DELETE", "POST", headers=deletes))[0] == 405
        assert gateway.simulator.requests == 1
