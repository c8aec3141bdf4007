"""The REST door without a provider: a stream's life as documents, and how every kind of failure looks over HTTP.

Invariant under test: every refusal is the error body with its status; no traceback ever reaches a client.
It must not know how a song is made.
"""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.config.schema import Config, Limits
from gateway.config.server import Server
from gateway.errors import LimitError, UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, SourceEvent
from gateway.quota.policy import Rules
from gateway.quota.prices import Prices
from gateway.quota.volatile import VolatileLedger
from gateway.relay.order import Order
from gateway.server.audio import AudioDoor
from gateway.server.clip import ClipDoor
from gateway.server.connections import Connections
from gateway.server.reception import Reception
from gateway.server.repeats import Repeats
from gateway.server.rest import Rest, answer, refusal
from gateway.server.services import Services
from gateway.server.tickets import Wanted
from gateway.server.usage import UsageDoor
from metrics.recorder import Recorder
from tests.support.relay import BUYER, TENANT, Clock, ScriptedLedger, ScriptedSource, mp3_frames, song, within
from tests.support.scissors import Scissors
from tests.support.server import AUTHORIZED, KEY, OTHER_KEY, Room, dial, exchange, served, services, soon

ORDER = {"input": {"prompt": "a song of five words"}}
FRAMES = mp3_frames(40)
SONG: tuple[SourceEvent, ...] = (Accepted("r"), AudioDelta(b"".join(FRAMES)), Finished(1.0))


@asynccontextmanager
async def door(
    *steps: SourceEvent | Exception | asyncio.Event, **options: Any
) -> AsyncIterator[tuple[aiohttp.ClientSession, Services]]:
    """The routes of the door and a client of the tenant acme."""
    async with services(ScriptedSource(*steps), **options) as room:
        audio = AudioDoor(room.hub, Connections(room.config, Recorder(), Clock()), Clock())
        clip = ClipDoor(Scissors())
        books = VolatileLedger(room.tenants.limits, Rules(), Prices())
        usage, repeats = UsageDoor(books), Repeats(room.hub, books)
        reception = Reception(room.hub, room.tenants)
        rest = Rest(
            room.hub, room.tenants, reception, room.config, audio, clip, usage, repeats, room.admission, room.tasks
        )
        async with (
            served(*rest.routes()) as port,
            aiohttp.ClientSession(
                f"http://127.0.0.1:{port}", headers=AUTHORIZED, timeout=aiohttp.ClientTimeout(20)
            ) as http,
        ):
            yield http, room


# -- a stream's life -------------------------------------------------------------------------------------------------


async def test_an_order_answers_with_the_stream_and_where_it_is() -> None:
    """201, Location and the document, with the addresses the client itself used."""
    async with door(*SONG) as (http, room):
        async with http.post("/v1/streams", json=ORDER, headers={"Host": "music.example"}) as response:
            document = await response.json()
            assert response.status == 201
            assert response.headers["Location"] == f"/v1/streams/{document['id']}"
        assert document["urls"]["ws"] == "ws://music.example/v1/ws"
        assert document["urls"]["audio"] == f"http://music.example/v1/streams/{document['id']}/audio.mp3"
        assert document["warnings"] == []
        assert [stream.id for stream in room.hub.streams] == [document["id"]]


async def test_a_song_that_is_shared_is_answered_as_one_that_was_there() -> None:
    """The first buyer hears 201, the second of the same song 200 and the same stream; without `share` it is another."""
    async with door(*SONG) as (http, _):
        answers = []
        for share in (True, True, False):
            async with http.post("/v1/streams", json=ORDER | {"share": share}) as response:
                answers.append((response.status, (await response.json())["id"], response.headers["Location"]))
        assert [status for status, *_ in answers] == [201, 200, 201]
        assert answers[0][1:] == answers[1][1:] != answers[2][1:]
        async with http.post("/v1/streams", json=ORDER | {"abandon": "later"}) as response:
            assert (response.status, (await response.json())["error"]["param"]) == (400, "abandon")


async def test_an_order_under_its_key_is_made_once() -> None:
    """201 and then 200 with the same stream; a bad key and another body under it are refused by the header's name."""
    async with door(*SONG) as (http, room):
        answers = []
        same, other = "a song of five words", "another song of five words"
        for key, prompt in (("a", same), ("a", same), ("a", other), ("b c", same)):
            order = {"input": {"prompt": prompt}}
            async with http.post("/v1/streams", json=order, headers={"Idempotency-Key": key}) as response:
                document = await response.json()
                error = document["error"] or {"code": document["id"], "param": None}
                answers.append((response.status, error["code"], error["param"]))
        (stream,) = room.hub.streams
        assert answers == [
            (201, stream.id, None),
            (200, stream.id, None),
            (409, "idempotency_conflict", "Idempotency-Key"),
            (400, "invalid_request", "Idempotency-Key"),
        ]


async def test_what_was_used_is_told_to_whoever_holds_a_key() -> None:
    """As its own tenant; a guest is told nothing, and HEAD is no way to ask."""
    async with door() as (http, room):
        async with http.get("/v1/usage") as response:
            assert (response.status, (await response.json())["tenant"]) == (200, "acme")
        ticket = room.tenants.office.mint(TENANT, Wanted()).token.reveal()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as guest:
            assert http._base_url is not None
            async with guest.get(http._base_url / "v1/usage", params={"ticket": ticket}) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (403, "forbidden")
        async with http.head("/v1/usage") as response:
            assert response.status == 405


async def test_streams_are_listed_newest_first_and_to_their_tenant_alone() -> None:
    """Each tenant sees its own; another's stream is not there, by any method."""
    hold = asyncio.Event()
    async with door(hold) as (http, room):
        made = []
        for _ in range(3):
            async with http.post("/v1/streams", json=ORDER) as response:
                made.append((await response.json())["id"])
        async with http.get("/v1/streams") as response:
            listed = [row["id"] for row in (await response.json())["streams"]]
        assert listed == made[::-1]
        stranger = {"Authorization": f"Bearer {OTHER_KEY}"}
        async with http.get("/v1/streams", headers=stranger) as response:
            assert await response.json() == {"streams": [], "has_more": False, "next": None}
        for method in ("GET", "DELETE"):
            async with http.request(method, f"/v1/streams/{made[0]}", headers=stranger) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (404, "stream_not_found")
        assert not any(stream.status.final for stream in room.hub.streams)


async def test_a_cancel_answers_when_the_bill_is_settled() -> None:
    """The answer to DELETE is the final document; a second one answers the same and settles nothing."""
    hold, ledger = asyncio.Event(), ScriptedLedger()
    async with door(Accepted("r"), AudioDelta(b"".join(FRAMES)), hold, ledger=ledger) as (http, room):
        async with http.post("/v1/streams", json=ORDER) as response:
            path = response.headers["Location"]
        (stream,) = room.hub.streams
        await soon(lambda: stream.received_seconds > 0)
        answers = []
        for _ in range(2):
            async with http.delete(path) as response:
                assert response.status == 200
                answers.append(await response.json())
        assert answers[0] == answers[1]
        assert (answers[0]["status"], answers[0]["usage"]["settled"]) == ("cancelled", True)
        assert 0 < answers[0]["usage"]["audio_seconds"] == pytest.approx(ledger.settled[0][1], abs=0.001)
        assert len(ledger.settled) == 1


# -- refusals --------------------------------------------------------------------------------------------------------


async def test_what_the_ledger_refuses_is_429_with_the_time_to_wait() -> None:
    """Whole seconds in Retry-After, rounded up; milliseconds in the body."""
    ledger = ScriptedLedger()
    ledger.refusal = LimitError("rate_exceeded", "Too many at once.", retry_after=1.2)
    async with door(*SONG, ledger=ledger) as (http, room), http.post("/v1/streams", json=ORDER) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "2")
        assert (await response.json())["error"] == {
            "code": "rate_exceeded",
            "message": "Too many at once.",
            "retryable": True,
            "retry_after_ms": 1200,
            "param": None,
        }
        assert list(room.hub.streams) == []


def test_what_no_other_try_can_change_says_so() -> None:
    """Libraries that ask again after every 409 and 5xx are told when that is in vain."""
    for code, told in {"idempotency_conflict": "false", "upstream_refused": "false", "upstream_busy": None}.items():
        assert refusal(UpstreamError(code, "No.")).headers.get("X-Should-Retry") == told


async def test_a_gateway_that_stops_takes_no_order() -> None:
    """While it drains, new orders are told to come back elsewhere; what is there can still be seen."""
    async with door(*SONG) as (http, room):
        await within(room.hub.drain(1.0))
        async with http.post("/v1/streams", json=ORDER) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (503, "going_away")
            assert response.headers["Retry-After"] == "1"
        async with http.get("/v1/streams") as response:
            assert response.status == 200


@pytest.mark.parametrize("full", [{"limit": 1, "occupied": 2}, {"memory": 10, "resident": 11}])
async def test_a_gateway_that_is_full_begins_nothing(full: dict[str, int]) -> None:
    """An order, a listener and a clip are told when to come back; what is there can still be seen and ended."""
    room = Room(**full)
    async with door(*SONG, room=room) as (http, services_):
        stream = await services_.hub.create(Order(BUYER, song()))
        path = f"/v1/streams/{stream.id}"
        for method, address in (("POST", "/v1/streams"), ("GET", f"{path}/audio.mp3"), ("GET", f"{path}/clip.mp3")):
            async with http.request(method, address, json=ORDER) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (503, "overloaded")
                assert response.headers["Retry-After"] == "2"
                assert response.headers["Connection"] == "close", "it holds no place of those who come next"
        for method, address in (("GET", "/v1/streams"), ("GET", path), ("DELETE", path)):
            async with http.request(method, address) as response:
                assert response.status == 200
        room.occupied = room.resident = 0
        room.clock.at += 1.0
        for door_ in ("audio.mp3", "clip.mp3"):
            async with http.get(f"{path}/{door_}") as response:
                assert response.status == 200


async def test_an_order_that_does_not_come_in_time_is_ended() -> None:
    """408 and the end of the connection; nothing was ordered."""
    config = Config(server=Server(handshake_timeout=0.05))
    async with door(*SONG, config=config) as (http, room):
        assert http._base_url is not None
        head = (
            "POST /v1/streams HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {KEY}\r\nContent-Length: 100\r\n\r\n"
        )
        async with dial(int(http._base_url.port or 0)) as (reader, writer):
            writer.write(head.encode() + b'{"input": ')
            answer_head, _, body = (await reader.readuntil(b"}}")).partition(b"\r\n\r\n")
            assert answer_head.startswith(b"HTTP/1.1 408")
            assert b"\r\nConnection: close" in answer_head
            assert json.loads(body)["error"]["code"] == "request_timeout"
            writer.write(bytes(90))
            assert await reader.read() == b""
        assert list(room.hub.streams) == []


async def test_who_does_not_say_who_it_is_is_told_how() -> None:
    """401 names the scheme; a refusal of another kind does not."""
    async with door(*SONG) as (http, _):
        async with http.get("/v1/streams", headers={"Authorization": "Bearer nobody"}) as response:
            assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        async with http.get("/v1/streams/st_none") as response:
            assert response.status == 404
            assert "WWW-Authenticate" not in response.headers
            assert "Retry-After" not in response.headers


async def test_octets_that_are_no_text_are_no_key() -> None:
    """A header no key can have is refused as a bad key, not as a fault of ours."""
    async with door(*SONG) as (http, _):
        assert http._base_url is not None
        request = b"GET /v1/streams HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer \xff\xfe\r\n\r\n"
        head, _ = await exchange(int(http._base_url.port or 0), request)
    assert head.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/json"])
async def test_an_order_is_json_by_its_own_word(content_type: str) -> None:
    """A form or a plain text, which a foreign page could post, is not taken for an order."""
    async with door(*SONG) as (http, room):
        headers = {"Content-Type": content_type}
        async with http.post("/v1/streams", data=json.dumps(ORDER), headers=headers) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (415, "unsupported_media_type")
        assert list(room.hub.streams) == []


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "nonsense"])
@pytest.mark.parametrize("path", ["/v1/streams", "/v1/tickets"])
async def test_nothing_is_decompressed(path: str, coding: str) -> None:
    """A body that would have to be is refused before it is read: what it would grow to is not for a stranger to say."""
    async with door(*SONG) as (http, room):
        headers = {"Content-Type": "application/json", "Content-Encoding": coding}
        async with http.post(path, data=gzip.compress(json.dumps(ORDER).encode()), headers=headers) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (415, "unsupported_media_type")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert list(room.hub.streams) == []


async def test_a_content_type_may_name_its_charset() -> None:
    """`application/json; charset=utf-8` is JSON."""
    async with door(*SONG) as (http, _):
        headers = {"Content-Type": "application/json; charset=utf-8"}
        async with http.post("/v1/streams", data=json.dumps(ORDER), headers=headers) as response:
            assert response.status == 201


async def test_the_audio_route_asks_for_the_key_too() -> None:
    """No audio without a credential; with one, the door behind it answers."""
    async with door(UpstreamError("upstream_busy", "The provider is full."), limits=Limits()) as (http, _):
        async with http.post("/v1/streams", json=ORDER) as response:
            path = response.headers["Location"] + "/audio.mp3"
        async with http.get(path, headers={"Authorization": "Bearer nobody"}) as response:
            assert response.status == 401
        async with http.get(path) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (503, "upstream_busy")


# -- the middleware --------------------------------------------------------------------------------------------------


async def test_a_fault_of_ours_is_500_without_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """The client gets the error body and no word of what happened; the log gets the traceback."""

    async def broken(request: web.Request) -> web.Response:
        raise RuntimeError("the secret reason")

    async with served(web.get("/broken", broken)) as port:
        head, body = await exchange(port, b"GET /broken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500")
    assert json.loads(body)["error"]["code"] == "internal"
    assert b"secret" not in head + body
    assert b"Traceback" not in head + body
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "the secret reason" in str(record.exc_info[1])


async def test_aiohttps_own_answers_pass() -> None:
    """A redirect or whatever else a handler raises as an answer is the answer."""

    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async with served(web.get("/moved", moved)) as port:
        head, _ = await exchange(port, b"GET /moved HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 302")


async def test_addresses_methods_and_sizes_are_refused_as_documents() -> None:
    """404, 405 with Allow, and 413, each with the error body."""

    async def read(request: web.Request) -> web.Response:
        return answer({"size": len(await request.read())})

    async with served(web.post("/read", read), max_body=10) as port:
        http = aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(20))
        async with http:
            async with http.post("/read", data=b"x" * 10) as response:
                assert await response.json() == {"size": 10}
            for method, path, data, status, code in (
                ("GET", "/nowhere", None, 404, "not_found"),
                ("PUT", "/read", None, 405, "method_not_allowed"),
                ("POST", "/read", b"x" * 11, 413, "message_too_big"),
            ):
                async with http.request(method, path, data=data) as response:
                    assert (response.status, (await response.json())["error"]["code"]) == (status, code)
                    assert response.headers.get("Allow") == ("POST" if status == 405 else None)


async def test_a_range_that_is_not_there_names_the_length() -> None:
    """416 keeps the Content-Range of the handler."""

    async def ranged(request: web.Request) -> web.Response:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": "bytes */7"})

    async with served(web.get("/ranged", ranged)) as port:
        head, body = await exchange(port, b"GET /ranged HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 416")
    assert b"Content-Range: bytes */7" in head
    assert json.loads(body)["error"]["code"] == "range_not_satisfiable"


async def test_a_cancelled_handler_answers_nothing() -> None:
    """A handler that is cancelled when the server stops ends as such: nothing is sent in its name."""
    began = asyncio.Event()

    async def waits(request: web.Request) -> web.Response:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with served(web.get("/waits", waits)) as port:
        client = asyncio.create_task(exchange(port, b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n"))
        await within(began.wait())
    assert await within(client) == (b"", b"")


def test_a_refusal_without_a_wait_has_no_retry_after() -> None:
    """Retry-After stands only where waiting helps."""
    assert "Retry-After" not in refusal(UpstreamError("upstream_failed", "The provider failed.")).headers
    waiting = UpstreamError("upstream_failed", "The provider failed.", retry_after=0.2)
    assert refusal(waiting).headers["Retry-After"] == "1"
