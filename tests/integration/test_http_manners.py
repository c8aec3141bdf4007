"""Clients of the progressive door with manners of their own, on a whole gateway: they end their side, they stay silent
and go, their key is withdrawn, they come from pages.

Invariant under test: whoever still reads gets its song; whoever does not, or may not, is found out within seconds.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from gateway.config.schema import Relay, Tenant
from gateway.config.secret import key_hash
from tests.support.gateway import KEY, OTHER_KEY, PATIENCE, Bench, bench
from tests.support.guests import EVIL_ORIGIN, ORIGIN, TENANTS, anybody, mint
from tests.support.server import dechunked, dial

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

SONG = "[[scale seconds=20 speed=10]] a scale for clients of all kinds"
SILENT = "[[scale seconds=5 speed=20 wait=1.3]] a scale that begins late"


def request(url: str, *, version: str = "1.1", more: str = "", key: str = KEY) -> bytes:
    path = urlsplit(url).path
    return f"GET {path} HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}\r\n".encode()


async def listeners(gateway: Bench, stream_id: str, wanted: int, seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while (await gateway.info(stream_id))["listeners"] != wanted:
            pass


@pytest.mark.parametrize("prompt", [SONG, SILENT])
async def test_who_has_said_all_hears_all(prompt: str) -> None:
    """Half-closed right behind the request, at any version, with titles too, and whole songs as well."""
    async with bench() as gateway:
        stream = await gateway.create(prompt)
        url, port = stream["urls"]["audio"], urlsplit(gateway.url).port or 0

        async def heard(version: str, more: str = "") -> tuple[bytes, bytes]:
            async with dial(port, PATIENCE) as (reader, writer):
                writer.write(request(url, version=version, more=more))
                writer.write_eof()
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                return head, dechunked(body)[0] if b"chunked" in head else body

        ways = (("1.1", ""), ("1.0", ""), ("1.1", "Range: bytes=0-\r\n"))
        live = await asyncio.gather(*[heard(*way) for way in ways], heard("1.1", "Icy-MetaData: 1\r\n"))
        whole = [await heard(*way) for way in ways]
        song = whole[0][1]
        assert b"Content-Length: %d" % len(song) in whole[0][0]
        assert [body for _, body in live[:-1]] == [song] * len(ways) == [body for _, body in whole]
        assert len(live[-1][1]) > len(song)


async def test_who_leaves_in_silence_is_found_out_within_seconds() -> None:
    """Before there is any sound: it is no listener any more, also where nothing can be written to look for it."""
    async with bench(relay=Relay(stall_timeout=1.0)) as gateway, AsyncExitStack() as stack:
        stream = await gateway.create("[[scale seconds=5 wait=20]] a scale that keeps everybody waiting")
        port = urlsplit(gateway.url).port or 0
        for version, more in (("1.1", ""), ("1.0", ""), ("1.1", "Icy-MetaData: 1\r\n")):
            _, writer = await stack.enter_async_context(dial(port, PATIENCE))
            writer.write(request(stream["urls"]["audio"], version=version, more=more))
        await listeners(gateway, stream["id"], 3)
        await stack.aclose()
        await listeners(gateway, stream["id"], 0, 8.0)
        await gateway.http.delete(f"{gateway.url}/v1/streams/{stream['id']}")


async def test_a_withdrawn_key_takes_its_listeners_along() -> None:
    """At a reload, over HTTP as over WebSocket; guests of the tenant's other keys hear on."""
    config_tenants = [Tenant(id="acme", keys=[key_hash(KEY), key_hash("wg_new")]), TENANTS[1]]
    async with bench(tenants=config_tenants) as gateway, anybody() as http:
        stream = await gateway.create("[[scale seconds=30 speed=1]] a scale that outlives a key")
        url = stream["urls"]["audio"]
        ticket = await mint(gateway, key="wg_new", uses=0)
        async with (
            http.get(url, headers={"Authorization": f"Bearer {KEY}"}) as old,
            http.get(url, headers={"Authorization": f"Bearer {KEY}", "Icy-MetaData": "1"}) as radio,
            http.get(url, headers={"Authorization": "Bearer wg_new"}) as new,
            http.get(f"{url}?ticket={ticket}") as guest,
        ):
            await asyncio.gather(*[one.content.readexactly(1000) for one in (old, radio, new, guest)])
            kept = [Tenant(id="acme", keys=[key_hash("wg_new")]), TENANTS[1]]
            gateway.gateway.reload(msgspec.structs.replace(gateway.gateway._config, tenants=kept))
            for cut in (old, radio):
                with pytest.raises(aiohttp.ClientPayloadError):
                    await cut.read()
            await asyncio.gather(*[one.content.readexactly(20_000) for one in (new, guest)])
            async with http.get(url, headers={"Authorization": f"Bearer {KEY}"}) as again:
                assert again.status == 401
            async with http.delete(
                f"{gateway.url}/v1/streams/{stream['id']}", headers={"Authorization": "Bearer wg_new"}
            ):
                pass


# -- pages -------------------------------------------------------------------------------------------------------------


async def test_a_page_of_another_origin_orders_listens_and_reads_refusals() -> None:
    """With tickets, from a listed origin: each answer may be read there, the one that is written by hand too."""
    async with bench(tenants=TENANTS) as gateway, anybody() as http:
        ticket = await mint(gateway, allow=["create", "listen"], uses=0)
        key, page = {"Authorization": f"Bearer {KEY}"}, {"Origin": ORIGIN}
        streams = f"{gateway.url}/v1/streams"

        async def ask(method: str, url: str, **options: Any) -> tuple[int, str | None, str | None]:
            async with http.request(method, url, **options) as response:
                await response.read()
                told = response.headers
                assert "Origin" in told["Vary"]
                return response.status, told.get("Access-Control-Allow-Origin"), told.get("Transfer-Encoding")

        wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        assert await ask("OPTIONS", streams, headers=page | wish) == (204, ORIGIN, None)
        body = {"input": {"prompt": SONG}}
        async with http.post(f"{streams}?ticket={ticket}", json=body, headers=page) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (201, ORIGIN)
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
            audio = (await response.json())["urls"]["audio"]
        url = f"{audio}?ticket={ticket}"
        assert await ask("GET", url, headers=page) == (200, ORIGIN, "chunked")
        assert await ask("GET", url, headers=page) == (200, ORIGIN, None)
        assert await ask("GET", url, headers=page | {"Range": "bytes=5-9"}) == (206, ORIGIN, None)
        assert await ask("GET", url, headers=page | {"Range": "bytes=99999999-"}) == (416, ORIGIN, None)
        assert await ask("GET", f"{url}&since=never", headers=page) == (400, ORIGIN, None)
        assert await ask("GET", f"{audio}?ticket=wt_no", headers=page) == (401, ORIGIN, None)
        assert await ask("GET", audio, headers=page | key) == (403, ORIGIN, None)
        assert await ask("GET", url, headers={"Origin": EVIL_ORIGIN}) == (403, None, None)
        assert await ask("GET", audio, headers={"Origin": EVIL_ORIGIN} | key) == (403, None, None)
        assert await ask("GET", audio, headers={"Origin": "null"} | key) == (403, None, None)
        assert await ask("POST", f"{streams}?ticket={ticket}", headers={"Origin": gateway.url}) == (415, None, None)
        assert await ask("GET", audio, headers=key) == (200, None, None)
        assert await ask("GET", audio, headers={"Authorization": f"Bearer {OTHER_KEY}"} | page) == (403, None, None)
