"""Ways to another tenant's songs, words and counts, tried over real sockets by who knows the source and the ids.

Invariant under test: whoever is not let in learns nothing, not even whether there is something, and what has let
somebody in lets in nobody else, no longer, and no further. Each test says the way, and what stops it.
It must not test what `test_tickets.py` and `test_http_doors.py` test already.
"""

import asyncio
import json
import re
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from gateway.server.visitor import Visitor
from tests.support.attackers import FAST, SCALE, bearer, ordered, whole
from tests.support.gateway import KEY, OTHER_KEY, PATIENCE, bench, hear, receive, say, talk
from tests.support.guests import (
    ORIGIN,
    SECOND_ORIGIN,
    TENANTS,
    anybody,
    ask_ticket,
    enter,
    http_code,
    mint,
)
from tests.support.relay import Clock
from tests.support.server import dial, exchange
from tests.support.union import union

BRIEF = "[[scale seconds=1 speed=0]] a scale that two would like to have"
LONG = "[[scale seconds=120 speed=8]] a scale that goes on while things change"
NEVER = "st_" + 32 * "0"
BOTH = ["create", "listen"]
NEW_KEY = "wg_new"


# -- what is there -----------------------------------------------------------------------------------------------------

# What asks for something of a song, as far behind /v1/streams/ID as it stands.
DOORS = [
    (method, path)
    for method, paths in {
        "GET": ("", "/audio.mp3", "/audio.flac", "/clip.mp3", "/hls/index.m3u8", "/hls/init.mp4", "/hls/0.m4s"),
        "HEAD": ("", "/audio.mp3", "/clip.mp3", "/hls/index.m3u8", "/hls/0.m4s"),
        "DELETE": ("",),
    }.items()
    for path in paths
]
# What an answer tells that is its own, whatever was asked.
_OWN = ("date", "x-request-id")


async def told(http: aiohttp.ClientSession, method: str, url: str, headers: dict[str, str]) -> tuple[Any, ...]:
    """All of an answer that could tell one song from another."""
    async with http.request(method, url, headers=headers) as response:
        said = sorted((name, value) for name, value in response.headers.items() if name.lower() not in _OWN)
        return response.status, said, await response.read()


async def test_no_answer_tells_whether_there_is_such_a_song() -> None:
    """Ids from a log, at every door, with its ETag and its bytes asked for: as for one that never was, to the octet."""
    async with bench(tenants=TENANTS, upstream=FAST) as gateway, anybody() as http:
        stream, own = await whole(gateway), await ordered(gateway)
        async with gateway.http.head(stream["urls"]["audio"]) as response:
            tag = response.headers["ETag"]
        strangers = [
            ("", bearer(OTHER_KEY)),
            ("", bearer("wg_nobody")),
            ("", {}),
            (f"?ticket={await mint(gateway, key=OTHER_KEY, uses=0, allow=BOTH)}", {}),
            (f"?ticket={await mint(gateway, stream_id=own['id'], uses=0)}", {}),
            (f"?ticket={await mint(gateway, allow=['create'], uses=0)}", {}),
        ]
        about: list[dict[str, str]] = [
            {},
            {"Range": "bytes=0-1"},
            {"If-None-Match": tag, "Range": "bytes=5-", "If-Range": tag},
        ]
        for query, credentials in strangers:
            for method, path in DOORS:
                for more in about if path else about[:1]:
                    there, never = [
                        await told(http, method, f"{gateway.url}/v1/streams/{one}{path}{query}", credentials | more)
                        for one in (stream["id"], NEVER)
                    ]
                    assert there == never, (method, path, query, more)
                    assert there[0] in (401, 403, 404)
        wishes = [await ask_ticket(gateway, {"stream_id": one}, key=OTHER_KEY) for one in (stream["id"], NEVER)]
        assert wishes[0][:2] == wishes[1][:2]
        assert wishes[0][0] == 404


async def test_no_message_tells_whether_there_is_such_a_song() -> None:
    """The same on a WebSocket, where an epoch and a number of the song are said, too; the own song goes on."""
    async with bench(tenants=TENANTS, upstream=FAST) as gateway:
        stream = await gateway.create(LONG)
        async with talk(gateway) as owner, talk(gateway, key=OTHER_KEY) as socket:
            await say(owner, type="stream.attach", stream_id=stream["id"])
            started = await receive(owner)
            place = {"epoch": started["epoch"], "seq": 0}
            for message in (
                {"type": "stream.attach"},
                {"type": "stream.attach", "since": place, "format": ["flac", "mp3"], "framing": "json"},
                {"type": "stream.detach"},
                {"type": "stream.cancel"},
            ):
                answers = []
                for one in (stream["id"], NEVER):
                    await say(socket, stream_id=one, **message)
                    answers.append(await receive(socket))
                assert answers[0] == answers[1]
                assert answers[0]["error"]["code"] == "stream_not_found"
        assert (await gateway.info(stream["id"]))["status"] == "running"
        await gateway.http.delete(f"{gateway.url}/v1/streams/{stream['id']}")


async def test_a_place_in_anothers_song_is_no_place_in_ones_own() -> None:
    """A resume with its epoch, a range with its ETag: the own song, from its start, and said to be so."""
    async with (
        bench(tenants=TENANTS, upstream=FAST) as gateway,
        talk(gateway) as owner,
        talk(gateway, key=OTHER_KEY) as socket,
    ):
        stream, own = await ordered(gateway), await ordered(gateway, OTHER_KEY)
        await say(owner, type="stream.attach", stream_id=stream["id"])
        epoch = (await hear(owner)).named("stream.started")["epoch"]
        await say(socket, type="stream.attach", stream_id=own["id"], since={"epoch": epoch, "seq": 3})
        heard = await hear(socket)
        assert heard.named("stream.started")["recovered"] is False
        assert heard.seqs[0] == 0
        async with gateway.http.head(stream["urls"]["audio"]) as response:
            tag = response.headers["ETag"]
        for asked in ({"Range": "bytes=100-199", "If-Range": tag}, {"If-None-Match": tag}):
            async with gateway.http.get(own["urls"]["audio"], headers=bearer(OTHER_KEY) | asked) as response:
                assert (response.status, await response.read()) == (200, heard.audio)


async def test_lists_go_on_in_nobody_elses() -> None:
    """A cursor of another tenant's list or table: a place in the own one, whatever it was made of."""
    async with bench(tenants=TENANTS, upstream=FAST) as gateway:
        for _ in range(2):
            await ordered(gateway)
        own = await ordered(gateway, OTHER_KEY)
        for path, rows, name in (("/v1/streams", "streams", "id"), ("/v1/usage", "generations", "stream_id")):
            async with gateway.http.get(f"{gateway.url}{path}?limit=1") as response:
                document = await response.json()
                cursor = document.get("next") or document.get("after")
            assert cursor
            for query in ("", f"?after={cursor}&limit=1", "?tenant=acme"):
                async with gateway.http.get(f"{gateway.url}{path}{query}", headers=bearer(OTHER_KEY)) as response:
                    found = [row[name] for row in (await response.json())[rows]]
                assert found in ([own["id"]], []), (path, query)
        async with gateway.http.get(f"{gateway.url}/v1/usage", headers=bearer(OTHER_KEY)) as response:
            document = await response.json()
            assert (document["tenant"], len(document["generations"])) == ("other", 1)


# -- what was ordered --------------------------------------------------------------------------------------------------


async def test_orders_of_two_tenants_never_meet() -> None:
    """The same song to be shared, the same Idempotency-Key: each buys, and is told of, its own; a guest too."""
    async with bench(tenants=TENANTS, upstream=FAST) as gateway, anybody() as http:
        order = {"input": {"prompt": BRIEF}, "share": True}
        guest = await mint(gateway, allow=["create"], uses=0)
        ids = []
        for more, who in (
            ({}, KEY),
            ({}, OTHER_KEY),
            ({"Idempotency-Key": "k1"}, KEY),
            ({"Idempotency-Key": "k1"}, OTHER_KEY),
            ({"Idempotency-Key": "k1"}, guest),
            ({"Idempotency-Key": "k2"}, KEY),
        ):
            body = order if not more else {"input": order["input"]}
            async with http.post(f"{gateway.url}/v1/streams", json=body, headers=bearer(who) | more) as response:
                assert response.status == 201, await response.text()
                ids.append((await response.json())["id"])
        assert len(set(ids)) == 6
        # What is another song under the other's key is no conflict: that would tell that there was one.
        other = {"input": {"prompt": f"{BRIEF}, another one"}}
        headers = bearer(OTHER_KEY) | {"Idempotency-Key": "k2"}
        assert await http_code(http, f"{gateway.url}/v1/streams", "POST", json=other, headers=headers) == (201, "")


# -- who was let in ----------------------------------------------------------------------------------------------------


async def test_a_used_ticket_has_no_more_than_two_bytes_of_a_file() -> None:
    """A look costs no use: so nothing that begins as one becomes the whole, by an `If-Range` or a second `Range`."""
    async with bench(tenants=TENANTS, upstream=FAST) as gateway, anybody() as http:
        stream = await whole(gateway)
        ticket = await mint(gateway, stream_id=stream["id"], uses=1)
        mp3 = stream["urls"]["audio"]
        assert await http_code(http, f"{mp3}?ticket={ticket}") == (200, "")
        hls = mp3.rpartition("/")[0] + "/hls"
        looks: list[list[tuple[str, str]]] = [
            [("Range", "bytes=0-1"), ("If-Range", '"x"')],
            [("Range", "bytes=0-1"), ("If-Range", "Thu, 26 Nov 2026 00:00:00 GMT")],
            [("Range", "bytes=0-1"), ("Range", "bytes=0-")],
            [("Range", "bytes=0-"), ("Range", "bytes=0-1")],
            [("Range", "bytes=0-1"), ("If-None-Match", '"x"')],
            [("Range", "bytes=0-1"), ("X-HTTP-Method-Override", "GET"), ("Icy-MetaData", "1")],
            [("Range", "bytes=0-1,2-")],
        ]
        for url in (mp3, mp3.replace("mp3", "flac"), *(f"{hls}/{one}" for one in ("index.m3u8", "init.mp4", "1.m4s"))):
            for headers in looks:
                async with http.get(f"{url}?ticket={ticket}", headers=headers) as response:
                    body = await response.read()
                assert (response.status, len(body)) == (206, 2) or response.status == 401, (url, headers)
        assert (await gateway.info(stream["id"]))["listeners"] == 1, "the player that its owner began"


async def test_nobody_is_taken_for_who_asked_before_on_the_same_connection() -> None:
    """A proxy sends the requests of many on one: each is let in by what it brings itself."""
    async with bench(tenants=TENANTS, upstream=FAST) as gateway:
        stream = await whole(gateway)
        port = int(gateway.url.rpartition(":")[2])
        path = f"/v1/streams/{stream['id']}"
        async with dial(port, PATIENCE) as (reader, writer):
            for key, status in ((KEY, 200), (None, 401), (KEY, 200), (OTHER_KEY, 404), ("wg_acm", 401)):
                credential = "" if key is None else f"Authorization: Bearer {key}\r\n"
                for one in (path, f"{path}/hls/0.m4s", f"{path}/clip.mp3?duration=1"):
                    writer.write(f"GET {one} HTTP/1.1\r\nHost: x\r\n{credential}\r\n".encode())
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length"))
                    await reader.readexactly(int(length.partition(":")[2]))
                    assert head.startswith(f"HTTP/1.1 {status} "), (key, one, head)


async def test_no_answer_runs_into_the_next() -> None:
    """Every kind of answer has the length that it says: what is too much would begin the answer of somebody else."""
    async with bench(tenants=TENANTS, upstream=FAST) as gateway:
        stream = await whole(gateway)
        path, who = f"/v1/streams/{stream['id']}", f"Host: x\r\nAuthorization: Bearer {KEY}\r\n"
        odd = [
            ("GET", path, "X-Request-Id: a b\r\n", 200),
            ("GET", f"{path}/hls/0.m4s", "If-None-Match: *\r\n", 304),
            ("GET", f"{path}/hls/0.m4s", "Range: bytes=1-2\r\n", 206),
            ("GET", f"{path}/hls/0.m4s", "Range: bytes=9999999-\r\n", 416),
            ("GET", f"{path}/audio.mp3", "Range: bytes=9999999-\r\n", 416),
            ("GET", f"{path}/audio.mp3", "Range: bytes=0-1\r\n", 206),
            ("GET", f"{path}/audio.midi", "", 422),
            ("GET", "/nothing/at/all", "", 404),
            ("OPTIONS", "/v1/streams", "", 204),
            ("PATCH", path, "Content-Length: 0\r\n", 405),
            ("POST", "/v1/streams", "Content-Length: 2\r\nContent-Type: application/json\r\n\r\n{", 400),
            ("HEAD", path, "", 200),
            ("HEAD", f"{path}/audio.mp3", "", 200),
            ("HEAD", f"{path}/hls/0.m4s", "", 200),
            ("GET", "/", "", 200),
        ]
        port = int(gateway.url.rpartition(":")[2])
        # This one ends its connection: there is no next.
        head, body = await exchange(port, f"GET {path} HTTP/1.1\r\n{who}Expect: more\r\n\r\n".encode())
        assert f"Content-Length: {len(body)}\r\n".encode() in head
        async with dial(port, PATIENCE) as (reader, writer):
            for method, target, more, status in odd:
                writer.write(f"{method} {target} HTTP/1.1\r\n{who}{more}\r\n".encode().replace(b"{\r\n", b"{}"))
                said = (await reader.readuntil(b"\r\n\r\n")).decode()
                assert said.startswith(f"HTTP/1.1 {status} "), (method, target, said)
                length = re.search(r"content-length: (\d+)", said, re.IGNORECASE)
                if method != "HEAD" and length is not None:
                    await reader.readexactly(int(length[1]))
            writer.write(f"GET {path} HTTP/1.1\r\n{who}Connection: close\r\n\r\n".encode())
            last, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert last.startswith(b"HTTP/1.1 200 "), last
            assert json.loads(body)["id"] == stream["id"]


async def test_a_session_begins_nothing_after_the_time_of_its_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept open, it would be leave to hear all that a tenant makes in a day; what it hears, it may hear again."""
    clock = Clock(0.0)
    monkeypatch.setattr("gateway.server.auth.Visitor", partial(Visitor, now=clock))
    async with bench(tenants=TENANTS, upstream=FAST) as gateway:
        first, second = await ordered(gateway), await ordered(gateway)
        async with enter(gateway, await mint(gateway, uses=1), "query") as socket:
            await say(socket, type="stream.attach", stream_id=first["id"])
            assert (await hear(socket)).named("stream.completed")
            clock.at = 1e12
            await say(socket, type="stream.attach", stream_id=second["id"])
            assert (await hear(socket, until=("error",))).named("error")["error"]["code"] == "credentials_expired"
            await say(socket, type="stream.attach", stream_id=first["id"], format="wav")
            assert (await hear(socket)).named("stream.completed")


def tenants(*keys: str, origins: tuple[str, ...] = (ORIGIN, SECOND_ORIGIN)) -> list[Tenant]:
    acme = Tenant(id="acme", keys=[key_hash(key) for key in keys], allowed_origins=list(origins))
    return [acme, TENANTS[1]]


async def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    """How it was closed by the gateway."""
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code, socket.close_reason


async def test_the_tickets_of_a_stolen_key_end_with_it() -> None:
    """Whoever had it made some for a day, and holds an order back: none opens, who came with one is gone."""
    async with bench(upstream=FAST, tenants=tenants(KEY, NEW_KEY)) as gateway, anybody() as http:
        stream = await gateway.create(LONG)
        stolen = await mint(gateway, allow=BOTH, uses=0, ttl_seconds=86_400)
        good = await mint(gateway, key=NEW_KEY, uses=0, allow=BOTH)
        mp3, hls = stream["urls"]["audio"], stream["urls"]["hls"]
        body = json.dumps({"input": {"prompt": SCALE}}).encode()
        port = int(gateway.url.rpartition(":")[2])
        async with (
            enter(gateway, stolen, "query") as thief,
            enter(gateway, good, "query") as guest,
            http.get(f"{mp3}?ticket={stolen}") as old,
            http.get(f"{mp3}?ticket={good}") as new,
            dial(port, PATIENCE) as (reader, writer),
        ):
            assert [(await receive(one))["type"] for one in (thief, guest)] == ["session.created"] * 2
            for ticket in (stolen, good):
                assert (await http_code(http, f"{hls}?ticket={ticket}"))[0] == 200
            head = f"POST /v1/streams?ticket={stolen} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body[:5])
            await http_code(http, f"{gateway.url}/v1/models?ticket={good}")  # one round trip: it has been read
            gateway.gateway.reload(msgspec.structs.replace(gateway.gateway._config, tenants=tenants(NEW_KEY)))
            writer.write(body[5:])
            assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
            assert await closed(thief) == (4001, "bad_credentials")
            with pytest.raises(aiohttp.ClientPayloadError):
                await old.read()
            await new.content.readexactly(20_000)
            await say(guest, type="ping", t=1)
            assert (await receive(guest))["type"] == "pong"
        for url in (mp3, hls, hls.replace("index.m3u8", "0.m4s"), f"{gateway.url}/v1/models"):
            assert await http_code(http, f"{url}?ticket={stolen}") == (401, "bad_credentials")
        assert await http_code(http, f"{hls}?ticket={good}") == (200, "")
        with pytest.raises(InvalidStatus):
            async with enter(gateway, stolen, "query"):
                pass
        assert gateway.simulator.requests == 1
        await gateway.http.delete(f"{gateway.url}/v1/streams/{stream['id']}", headers=bearer(NEW_KEY))


async def test_a_page_that_is_taken_off_the_list_is_sent_away() -> None:
    """At the reload, though it would say nothing more: its session could hear and order for a day."""
    async with bench(upstream=FAST, tenants=tenants(KEY)) as gateway:
        ticket = await mint(gateway, allow=BOTH, uses=0)
        async with (
            enter(gateway, ticket, "query", ORIGIN) as stays,
            enter(gateway, ticket, "query", SECOND_ORIGIN) as goes,
            enter(gateway, ticket, "query", gateway.url) as own,
        ):
            for one in (stays, goes, own):
                assert (await receive(one))["type"] == "session.created"
            changed = msgspec.structs.replace(gateway.gateway._config, tenants=tenants(KEY, origins=(ORIGIN,)))
            gateway.gateway.reload(changed)
            assert await closed(goes) == (4003, "origin_forbidden")
            for one in (stays, own):
                await say(one, type="ping", t=1)
                assert (await receive(one))["type"] == "pong"


# -- nodes -------------------------------------------------------------------------------------------------------------


@pytest.mark.nightly
async def test_no_node_tells_of_a_song_of_another_node(need: Any) -> None:
    """Asked where it is and where it is not, heard there already and not: as for one that never was, to the octet."""
    async with union(need("redis-server")) as nodes, anybody() as http:
        there, here = nodes.nodes
        stream = await whole(there)
        odd = ("st_%F0%9F%92%A9", "st_0%00", "*", "{}", "x" * 4000, "..", "owner:st_1")
        for heard in (False, True):
            if heard:
                assert await http_code(here.http, f"{here.url}/v1/streams/{stream['id']}/audio.mp3") == (200, "")
            for node in (there, here):
                ticket = await mint(node, key=OTHER_KEY, uses=0)
                for query, credentials in (("", bearer(OTHER_KEY)), (f"?ticket={ticket}", {})):
                    for method, path in DOORS:
                        base = f"{node.url}/v1/streams"
                        answers = [
                            await told(http, method, f"{base}/{one}{path}{query}", credentials)
                            for one in (stream["id"], NEVER)
                        ]
                        assert answers[0] == answers[1], (method, path)
                    for one in odd:
                        assert (await http_code(http, f"{node.url}/v1/streams/{one}{query}", headers=credentials))[
                            0
                        ] == 404
