"""Tickets at the doors of a whole gateway: who may mint which, what each opens, how often, and how it is refused.

Invariant under test: a ticket opens what it allows exactly as often as it says, whichever doors are tried at once; a
refusal of the ticket costs no use; a page can read why, a program gets an HTTP status.
"""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.gateway import KEY, OTHER_KEY, Bench, bench, hear, receive, say
from tests.support.guests import (
    EVIL_ORIGIN,
    ORIGIN,
    SECOND_ORIGIN,
    TENANTS,
    WAYS,
    anybody,
    ask_ticket,
    enter,
    fate,
    http_code,
    mint,
    minted_long_ago,
    signing,
)

SCALE = "[[scale seconds=2 speed=20]] a scale for those with tickets"
LONG = "[[scale seconds=60 speed=4]] a scale that goes on for long"


async def whole(gateway: Bench) -> tuple[dict[str, Any], bytes]:
    """A finished song and its bytes."""
    stream = await gateway.create(SCALE)
    async with gateway.http.get(stream["urls"]["audio"]) as response:
        return stream, await response.read()


# -- minting -----------------------------------------------------------------------------------------------------------


async def test_a_ticket_is_minted_with_any_of_its_fields() -> None:
    """With none of them too; the answer tells when it ends, and no cache keeps it."""
    async with bench(tenants=TENANTS) as gateway:
        stream, _ = await whole(gateway)
        for wanted, seconds in (
            (b"", 60),
            ({}, 60),
            ({"stream_id": stream["id"], "allow": ["listen"], "ttl_seconds": 5, "uses": 3, "origin": ORIGIN}, 5),
            ({"stream_id": None, "origin": None, "max_audio_seconds": None, "uses": 0, "ttl_seconds": 86_400}, 86_400),
            ({"allow": ["create", "listen"], "max_audio_seconds": 600, "ttl_seconds": 1}, 1),
        ):
            before = time.time()
            status, document, headers = await ask_ticket(gateway, wanted)
            assert status == 201, document
            assert set(document) == {"ticket", "expires_at"}
            assert document["ticket"].startswith("wt_")
            assert before + seconds <= document["expires_at"] <= time.time() + seconds + 1
            assert headers["Cache-Control"] == "no-store"


LISTEN = ["listen"]
CREATE = ["create"]
BAD_FIELDS: list[tuple[Any, str | None]] = [
    ({"stream_id": 5}, "stream_id"),
    ({"stream_id": ""}, "stream_id"),
    ({"stream_id": "s" * 65}, "stream_id"),
    ({"stream_id": "THERE", "allow": CREATE}, "allow"),
    ({"allow": "listen"}, "allow"),
    ({"allow": []}, "allow"),
    ({"allow": ["listen", "dance"]}, "allow"),
    ({"allow": [1]}, "allow[0]"),
    ({"ttl_seconds": 0}, "ttl_seconds"),
    ({"ttl_seconds": 86_401}, "ttl_seconds"),
    ({"ttl_seconds": 1.5}, "ttl_seconds"),
    ({"ttl_seconds": "60"}, "ttl_seconds"),
    ({"uses": -1}, "uses"),
    ({"uses": 1001}, "uses"),
    ({"uses": None}, "uses"),
    ({"origin": "play.acme.example"}, "origin"),
    ({"origin": ORIGIN + "/"}, "origin"),
    ({"origin": "https://" + "a" * 300}, "origin"),
    ({"origin": 1}, "origin"),
    ({"max_audio_seconds": 60}, "max_audio_seconds"),
    ({"allow": CREATE, "max_audio_seconds": 0}, "max_audio_seconds"),
    ({"allow": CREATE, "max_audio_seconds": 1_000_001}, "max_audio_seconds"),
    ({"allow": CREATE, "max_audio_seconds": True}, "max_audio_seconds"),
    ({"max_uses": 5}, None),
    ([], None),
]


async def test_every_bad_field_is_named() -> None:
    """400 with the field as `param`; a field that is not known is named in the sentence; no JSON is called so."""
    async with bench(tenants=TENANTS) as gateway:
        stream, _ = await whole(gateway)
        for wanted, param in BAD_FIELDS:
            text = json.dumps(wanted).replace("THERE", stream["id"]).encode()
            status, document, _ = await ask_ticket(gateway, text)
            found = (status, document["error"]["code"], document["error"]["param"])
            assert found == (400, "invalid_request", param), wanted
        _, document, _ = await ask_ticket(gateway, {"max_uses": 5})
        assert "max_uses" in document["error"]["message"]
        status, document, _ = await ask_ticket(gateway, b"{")
        assert (status, document["error"]["code"]) == (400, "invalid_json")


async def test_who_may_mint_what() -> None:
    """A stream of somebody else is as unknown as none; a page must be the tenant's; a ticket mints none; 401 else."""
    async with bench(tenants=TENANTS) as gateway:
        stream, _ = await whole(gateway)
        foreign = await ask_ticket(gateway, {"stream_id": stream["id"]}, key=OTHER_KEY)
        assert foreign[0] == 404
        assert foreign[:2] == (await ask_ticket(gateway, {"stream_id": "st_0"}, key=OTHER_KEY))[:2]
        for key, origin in ((KEY, EVIL_ORIGIN), (OTHER_KEY, ORIGIN)):
            status, document, _ = await ask_ticket(gateway, {"origin": origin}, key=key)
            assert (status, document["error"]["code"]) == (403, "origin_forbidden")
        able = await mint(gateway, allow=["listen", "create"], uses=0)
        for query, status, code in (
            (f"?ticket={able}", 403, "forbidden"),
            ("?ticket=wt_no", 401, "bad_credentials"),
            ("?", 401, "missing_credentials"),
        ):
            refused, document, _ = await ask_ticket(gateway, query=query)
            assert (refused, document["error"]["code"]) == (status, code)
        # Nor does it open anything else that is the tenant's alone.
        async with anybody() as http:
            for method, path in (("GET", "/v1/streams"), ("DELETE", f"/v1/streams/{stream['id']}")):
                asked = await http_code(http, f"{gateway.url}{path}?ticket={able}", method)
                assert asked == (403, "forbidden")


# -- listening ---------------------------------------------------------------------------------------------------------


async def test_of_fifty_at_once_exactly_as_many_get_in_as_it_says() -> None:
    """Over HTTP and every way into a WebSocket, mixed; the others are told why, by HTTP status or close code."""
    async with bench() as gateway, anybody() as http:
        stream, song = await whole(gateway)

        async def over_http(ticket: str) -> str:
            async with http.get(f"{stream['urls']['audio']}?ticket={ticket}") as response:
                body = await response.read()
                if response.status == 200:
                    assert body == song
                    return "in"
                assert response.status == 401
                code: str = json.loads(body)["error"]["code"]
                return code

        async def over_websocket(ticket: str, way: str) -> str:
            number, code = await fate(gateway, ticket, way)
            assert number == {"": 0, "ticket_used": 4005 if way == "message" else 401}[code]
            return code or "in"

        for uses in (1, 7):
            ticket = await mint(gateway, stream_id=stream["id"], uses=uses)
            tries = [over_http(ticket) if i % 2 else over_websocket(ticket, WAYS[i // 2 % 4]) for i in range(50)]
            fates = Counter(await asyncio.gather(*tries))
            assert fates == {"in": uses, "ticket_used": 50 - uses}


async def test_a_ticket_opens_a_websocket_that_hears_the_song() -> None:
    """Its bearer attaches to its stream; another one is not there, and nothing that costs or ends is allowed."""
    async with bench() as gateway:
        (stream, song), (second, _) = await whole(gateway), await whole(gateway)
        for way in WAYS:
            ticket = await mint(gateway, stream_id=stream["id"])
            async with enter(gateway, ticket, way) as socket:
                greeting = await receive(socket)
                assert (greeting["type"], greeting["tenant"]) == ("session.created", "acme")
                assert socket.subprotocol == "wavegate.v1"
                for message, code in (
                    ({"type": "stream.attach", "stream_id": second["id"]}, "stream_not_found"),
                    ({"type": "stream.attach", "stream_id": "st_0"}, "stream_not_found"),
                    ({"type": "stream.create", "input": {"prompt": SCALE}}, "forbidden"),
                    ({"type": "stream.cancel", "stream_id": stream["id"]}, "forbidden"),
                    ({"type": "session.authenticate", "ticket": ticket}, "already_authenticated"),
                ):
                    await say(socket, **message)
                    assert (await receive(socket))["error"]["code"] == code
                await say(socket, type="stream.attach", stream_id=stream["id"])
                assert (await hear(socket)).audio == song
        assert gateway.simulator.requests == 2


async def test_without_a_number_of_uses_it_is_good_until_it_expires() -> None:
    """What players need that ask many times: at every door, and again."""
    async with bench() as gateway, anybody() as http:
        stream, song = await whole(gateway)
        ticket = await mint(gateway, uses=0)
        for way in (*WAYS, *WAYS):
            assert await fate(gateway, ticket, way) == (0, "")
            async with http.get(f"{stream['urls']['audio']}?ticket={ticket}") as response:
                assert await response.read() == song
        assert await http_code(http, f"{gateway.url}/v1/streams/{stream['id']}?ticket={ticket}") == (200, "")


async def test_streams_that_are_not_its_own_do_not_exist_for_a_ticket() -> None:
    """Of another tenant, or beside the one it is for: the answer is that for a stream that never was."""
    async with bench() as gateway, anybody() as http:
        (stream, _), (second, _) = await whole(gateway), await whole(gateway)
        for ticket, there in (
            (await mint(gateway, key=OTHER_KEY, uses=0), stream["id"]),
            (await mint(gateway, stream_id=second["id"], uses=0), stream["id"]),
        ):
            answers = []
            for stream_id in (there, "st_0"):
                for path in ("", "/audio.mp3", "/clip.mp3"):
                    async with http.get(f"{gateway.url}/v1/streams/{stream_id}{path}?ticket={ticket}") as response:
                        answers.append((response.status, await response.text()))
            assert len(set(answers)) == 1
            assert answers[0][0] == 404


async def test_a_look_at_a_song_costs_no_use_and_is_no_listener() -> None:
    """HEAD and the first bytes, while it is made and when it is whole; anything more is a use."""
    async with bench() as gateway, anybody() as http:
        stream = await gateway.create(LONG)
        url = f"{stream['urls']['audio']}?ticket={await mint(gateway, stream_id=stream['id'])}"

        async def look() -> None:
            for method, headers in (
                ("HEAD", {}),
                ("HEAD", {"Range": "bytes=0-"}),
                ("GET", {"Range": "bytes=0-0"}),
                ("GET", {"Range": "bytes=0-1"}),
            ):
                async with http.request(method, url, headers=headers) as response:
                    assert response.headers["Content-Type"] == "audio/mpeg"
                    body = await response.read()
                    wanted = 0 if method == "HEAD" else int(headers["Range"][-1]) + 1
                    assert (response.status, body) == (206 if wanted else 200, b"\xff\xfb"[:wanted])

        async with gateway.http.get(stream["urls"]["audio"]) as listener:
            await listener.content.readexactly(1)
            await look()
            assert (await gateway.info(stream["id"]))["listeners"] == 1
            async with http.get(url) as guest:
                assert await guest.content.readexactly(2) == b"\xff\xfb"
                assert (await gateway.info(stream["id"]))["listeners"] == 2
        await look()
        for headers in ({}, {"Range": "bytes=0-2"}, {"Range": "bytes=1-1"}, {"Range": "bytes=0-"}):
            assert await http_code(http, url, headers=headers) == (401, "ticket_used")
        async with gateway.http.delete(f"{gateway.url}/v1/streams/{stream['id']}") as response:
            assert response.status == 200
        assert await http_code(http, f"{gateway.url}/v1/streams/{stream['id']}/clip.mp3{url[url.index('?') :]}") == (
            401,
            "ticket_used",
        )


# -- pages -------------------------------------------------------------------------------------------------------------


async def test_a_page_reads_why_it_is_refused_and_a_program_gets_a_status(tmp_path: Path) -> None:
    """Every code of the contract, by every way in; a first message is always answered on the socket."""
    async with bench(tenants=TENANTS, server=signing(tmp_path)) as gateway:
        stream, _ = await whole(gateway)
        used, elsewhere = await mint(gateway), await mint(gateway, origin=SECOND_ORIGIN, uses=0)
        assert await fate(gateway, used, "query") == (0, "")
        gone = minted_long_ago(0, stream_id="st_gone")
        assert await fate(gateway, minted_long_ago(0, stream_id=stream["id"]), "query") == (0, "")
        for ticket, origin, close, status, code in (
            ("wt_no", ORIGIN, 4001, 401, "bad_credentials"),
            (used[:-1] + ("A" if used[-1] != "A" else "B"), ORIGIN, 4001, 401, "bad_credentials"),
            (await mint(gateway), EVIL_ORIGIN, 4003, None, "origin_forbidden"),
            (elsewhere, ORIGIN, 4003, 403, "origin_forbidden"),
            (gone, ORIGIN, 4004, 404, "stream_not_found"),
            (used, ORIGIN, 4005, 401, "ticket_used"),
            (minted_long_ago(), ORIGIN, 4201, 401, "credentials_expired"),
        ):
            for way in WAYS:
                assert await fate(gateway, ticket, way, origin) == (close, code)
                if status is not None:
                    assert await fate(gateway, ticket, way) == (close if way == "message" else status, code)


async def test_pages_come_with_tickets_and_never_with_keys() -> None:
    """From the tenant's origins, or from the one that the ticket is for; a key in a page is refused."""
    async with bench(tenants=TENANTS) as gateway, anybody() as http:
        stream, song = await whole(gateway)
        free = await mint(gateway, uses=0)
        bound = await mint(gateway, uses=0, origin=ORIGIN)
        for way in WAYS:
            for ticket, origin in ((free, ORIGIN), (free, SECOND_ORIGIN), (free, None), (bound, ORIGIN)):
                assert await fate(gateway, ticket, way, origin) == (0, "")
            assert (await fate(gateway, bound, way, SECOND_ORIGIN))[0] == 4003
        assert await fate(gateway, KEY, "key") == (0, "")
        assert await fate(gateway, KEY, "key", ORIGIN) == (4003, "key_in_browser")
        assert await fate(gateway, KEY, "key", EVIL_ORIGIN) == (4003, "origin_forbidden")
        # An audio element sends no Origin, but its page as Referer.
        audio = stream["urls"]["audio"]
        for ticket, headers, status in (
            (free, {}, 200),
            (free, {"Origin": ORIGIN}, 200),
            (free, {"Origin": EVIL_ORIGIN}, 403),
            (bound, {"Origin": ORIGIN}, 200),
            (bound, {"Referer": f"{ORIGIN}/songs?all=1"}, 200),
            (bound, {"Referer": f"{SECOND_ORIGIN}/"}, 403),
            (bound, {"Referer": f"{ORIGIN}@evil.example/"}, 403),
            (bound, {}, 403),
        ):
            async with http.get(f"{audio}?ticket={ticket}", headers=headers) as response:
                assert response.status == status, headers
                assert status == 403 or await response.read() == song


async def test_a_mistake_in_the_address_costs_no_use() -> None:
    """A format that there is not, or a place that is none, is refused before a use is spent."""
    async with bench() as gateway, anybody() as http:
        stream, song = await whole(gateway)
        ticket = await mint(gateway, stream_id=stream["id"])
        base = stream["urls"]["audio"].rpartition(".")[0]
        assert await http_code(http, f"{base}.midi?ticket={ticket}") == (422, "unsupported_format")
        assert await http_code(http, f"{base}.mp3?since=later&ticket={ticket}") == (400, "invalid_request")
        async with http.get(f"{base}.mp3?ticket={ticket}") as response:
            assert await response.read() == song
