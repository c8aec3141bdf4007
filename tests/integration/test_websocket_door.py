"""The WebSocket door on real sockets: who gets in, what is answered to nonsense, and how it closes.

Invariant under test: without an Origin a refusal is an HTTP status, with one it is accept + error + close; a mistake in
a message ends nothing.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.config.schema import Limits, Relay, Tenant
from gateway.config.secret import key_hash
from gateway.config.server import Server
from tests.support.gateway import KEY, PATIENCE, Bench, bench, hear, receive, say, talk

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

ORIGIN = "https://play.acme.example"


def subprotocol(kind: str, secret: str) -> str:
    return f"wavegate.{kind}." + urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()


async def close_of(gateway: Bench, **options: Any) -> tuple[int, str, list[dict[str, Any]]]:
    """Connects, reads to the end, and gives code, reason and messages."""
    async with connect(gateway.ws_url, compression=None, **options) as socket, asyncio.timeout(PATIENCE):
        messages = []
        with suppress(ConnectionClosed):
            while True:
                messages.append(json.loads(await socket.recv()))
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or "", messages


async def test_a_key_is_taken_from_header_subprotocol_or_first_message() -> None:
    """All three ways in lead to the same greeting, and only wavegate.v1 is echoed."""
    async with bench() as gateway:
        ways: list[dict[str, Any]] = [
            {"additional_headers": {"Authorization": f"Bearer {KEY}"}},
            {"subprotocols": ["wavegate.v1", subprotocol("key", KEY)]},
            {"subprotocols": ["wavegate.v1"]},
        ]
        for way in ways:
            async with connect(gateway.ws_url, compression=None, **way) as socket:
                if way == ways[2]:
                    await say(socket, type="session.authenticate", key=KEY)
                greeting = await receive(socket)
                assert greeting["type"] == "session.created"
                assert greeting["tenant"] == "acme"
                assert greeting["limits"]["concurrent_streams"] == 5
                assert socket.subprotocol == ("wavegate.v1" if "subprotocols" in way else None)


async def test_without_an_origin_a_refusal_is_an_http_status() -> None:
    """A program sees 401 or 400 with the error document and no WebSocket."""
    async with bench() as gateway:
        for options, status, code in (
            ({"additional_headers": {"Authorization": "Bearer wrong"}}, 401, "bad_credentials"),
            ({"subprotocols": ["wavegate.v1", "wavegate.key.!!"]}, 401, "bad_credentials"),
            ({"subprotocols": ["wavegate.v1", subprotocol("ticket", "x")]}, 401, "bad_credentials"),
            ({"subprotocols": ["wavegate.v9"]}, 400, "bad_protocol"),
        ):
            with pytest.raises(InvalidStatus) as refused:
                await connect(gateway.ws_url, compression=None, **options)
            assert refused.value.response.status_code == status
            assert json.loads(refused.value.response.body)["error"]["code"] == code
        async with gateway.http.get(gateway.url + "/v1/ws") as response:
            assert response.status == 400
            assert (await response.json())["error"]["code"] == "bad_protocol"


async def test_with_an_origin_a_refusal_is_an_error_and_a_close_code() -> None:
    """A page sees why: 4001 for a bad key, 4003 for a foreign origin and for a long-lived key in a page."""
    tenants = [Tenant(id="acme", keys=[key_hash(KEY)], allowed_origins=[ORIGIN])]
    async with bench(tenants=tenants) as gateway:
        for origin, key, close, code in (
            (ORIGIN, "wrong", 4001, "bad_credentials"),
            ("https://evil.example", KEY, 4003, "origin_forbidden"),
            (ORIGIN, KEY, 4003, "key_in_browser"),
        ):
            offered = ["wavegate.v1", subprotocol("key", key)]
            number, reason, messages = await close_of(gateway, origin=origin, subprotocols=offered)
            assert (number, reason) == (close, code)
            assert [message["error"]["code"] for message in messages] == [code]


async def test_a_client_that_does_not_say_who_it_is_is_closed_in_time() -> None:
    """Silence closes with 4104, a bad key with 4001, anything else first is answered and ends nothing."""
    async with bench(server=Server(port=0, internal_port=0, authentication_timeout=0.2)) as gateway:
        code, reason, messages = await close_of(gateway)
        assert (code, reason) == (4104, "not_authenticated_in_time")
        assert messages[0]["error"]["code"] == "not_authenticated_in_time"
        async with connect(gateway.ws_url, compression=None) as socket:
            await say(socket, type="ping", ref="first")
            assert (await receive(socket))["error"]["code"] == "missing_credentials"
            await say(socket, type="session.authenticate", key="wrong")
            assert (await receive(socket))["error"]["code"] == "bad_credentials"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4001


NONSENSE = [
    ("{", "invalid_json", None),
    ('"text"', "invalid_request", None),
    ("{}", "invalid_request", None),
    ('{"type": "stream.dance", "ref": 3}', "unknown_type", 3),
    ('{"type": "stream.attach", "ref": "a"}', "invalid_request", "a"),
    ('{"type": "stream.attach", "stream_id": "st_0", "ref": "b"}', "stream_not_found", "b"),
    ('{"type": "stream.detach", "stream_id": "st_0"}', "stream_not_found", None),
    ('{"type": "stream.cancel", "stream_id": "st_0"}', "stream_not_found", None),
    ('{"type": "session.authenticate", "key": "x", "ref": 1}', "already_authenticated", 1),
    ('{"type": "stream.create", "ref": 2, "input": {"prompt": "hm"}}', "invalid_input", 2),
    ('{"type": "stream.create", "input": {"prompt": "a b c d e"}, "format": "midi"}', "unsupported_format", None),
    ('{"type": "stream.create", "input": {"prompt": "a b c d e"}, "framing": "x"}', "invalid_request", None),
    ('{"type": "stream.create", "input": {"prompt": "a b c d e"}, "since": "noon"}', "invalid_request", None),
    ('{"type": "stream.create", "input": {"prompt": "a b c d e"}, "on_lag": "cry"}', "invalid_request", None),
]


async def test_nonsense_is_answered_and_ends_nothing() -> None:
    """Every bad message gets an error with its code and ref; the socket still answers a ping; nothing was bought."""
    async with bench() as gateway, talk(gateway) as socket:
        for text, code, ref in NONSENSE:
            await socket.send(text)
            answer = await receive(socket)
            assert answer["type"] == "error"
            assert (answer["error"]["code"], answer.get("ref")) == (code, ref), text
            assert len(answer["error"]["message"]) > 10
        await socket.send(b"\x00\x01")
        assert (await receive(socket))["error"]["code"] == "invalid_message"
        await say(socket, type="ping", t=[1, {"a": None}], unknown_field=1)
        pong = await receive(socket)
        assert (pong["type"], pong["t"]) == ("pong", [1, {"a": None}])
        assert gateway.simulator.requests == 0


async def test_a_message_over_the_limit_closes_with_1009() -> None:
    """64 KiB is the most a client may say at once, in one frame or in many fragments."""
    async with bench() as gateway:
        for message in ("x" * 65_537, ["x" * 40_000, "x" * 40_000]):
            async with talk(gateway) as socket:
                await socket.send(message)
                with pytest.raises(ConnectionClosed) as closed:
                    await receive(socket)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1009


async def test_a_fragmented_message_is_one_message() -> None:
    """A message in three fragments is carried out once."""
    async with bench() as gateway, talk(gateway) as socket:
        await socket.send(['{"type"', ': "ping", ', '"t": 9}'])
        assert (await receive(socket))["t"] == 9


async def answered(socket: ClientConnection) -> dict[str, Any]:
    """The next message that is no news of the song, which may come at any time."""
    while (message := await receive(socket))["type"] == "stream.metadata":
        pass
    return message


async def test_attaching_twice_is_refused_and_detaching_ends_the_audio() -> None:
    """A stream is heard once a socket; after detach it may be attached again."""
    async with bench() as gateway, talk(gateway) as socket:
        stream = await gateway.create("[[scale seconds=30 speed=2]] a scale to come and go")
        await say(socket, type="stream.attach", stream_id=stream["id"])
        assert (await answered(socket))["type"] == "stream.started"
        await say(socket, type="stream.attach", stream_id=stream["id"], ref="again")
        assert (await answered(socket))["error"]["code"] == "already_attached"
        await say(socket, type="stream.detach", stream_id=stream["id"], ref="bye")
        while (answer := await receive(socket))["type"] != "stream.detached":
            pass
        assert answer["ref"] == "bye"
        assert (await gateway.info(stream["id"]))["listeners"] == 0
        await say(socket, type="stream.attach", stream_id=stream["id"])
        assert (await answered(socket))["type"] == "stream.started"
        await say(socket, type="stream.cancel", stream_id=stream["id"])
        assert (await hear(socket)).named("stream.failed")["error"]["code"] == "cancelled"


async def test_listeners_of_a_tenant_are_limited() -> None:
    """The listener past the limit is refused by code, over WebSocket and HTTP; a place is free when one leaves."""
    async with bench(limits=Limits(listeners=1)) as gateway:
        stream = await gateway.create("[[scale seconds=30 speed=2]] a scale with one seat")
        async with talk(gateway) as first, talk(gateway) as second:
            await say(first, type="stream.attach", stream_id=stream["id"])
            assert (await receive(first))["type"] == "stream.started"
            await say(second, type="stream.attach", stream_id=stream["id"])
            assert (await receive(second))["error"]["code"] == "concurrency_exceeded"
            async with gateway.http.get(stream["urls"]["audio"]) as response:
                assert response.status == 429
            await say(first, type="stream.detach", stream_id=stream["id"])
            while (await receive(first))["type"] != "stream.detached":
                pass
            await say(second, type="stream.attach", stream_id=stream["id"])
            assert (await receive(second))["type"] == "stream.started"


async def test_a_listener_that_takes_nothing_is_cut_when_its_time_is_over() -> None:
    """It is counted as slow and gone from the stream, which goes on."""
    relay = Relay(stall_timeout=0.5)
    async with bench(speed=0, relay=relay) as gateway, talk(gateway, max_queue=1) as stalled:
        stream = await gateway.create("[[scale seconds=60 speed=0]] far more than sockets hold", format="wav")
        await say(stalled, type="stream.attach", stream_id=stream["id"])
        async with asyncio.timeout(PATIENCE):
            while True:
                async with gateway.http.get(f"{gateway.internal}/metrics") as response:
                    if 'wavegate_slow_listeners_total{action="cut"} 1.0' in await response.text():
                        break
                await asyncio.sleep(0.01)
        assert (await gateway.info(stream["id"]))["listeners"] == 0
