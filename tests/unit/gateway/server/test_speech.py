"""The door for OpenAI's clients on a real socket, with songs that a script sings.

Invariant under test: an order that is refused has bought nothing; the answer says which stream it is and which model
speaks. Orders that are sent again are tested in test_speech_again.py. It must not know what fields mean to a model.
"""

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI

from gateway.accounting import Grant, Reservation
from gateway.config.schema import Config, Limits, SpeechAlias, Upstream
from gateway.config.server import Server
from gateway.errors import LimitError
from gateway.model import Accepted, AudioDelta, SongRequest
from gateway.server.tickets import Wanted
from tests.support.relay import TENANT, ScriptedLedger
from tests.support.server import KEY, Room, dial, soon
from tests.support.speech import AUDIO, FAILURE, ORDER, SONG, desk

# -- one order -------------------------------------------------------------------------------------------------------


async def test_an_order_is_answered_with_its_sound() -> None:
    """The provider's bytes, as a stream that anybody of the tenant can find by the id in the head."""
    async with desk(*SONG) as there:
        status, headers, body = await there.order()
        (stream,) = there.streams
        assert (status, body) == (200, AUDIO)
        assert headers["X-Wavegate-Stream-Id"] == headers["X-Request-Id"] == stream.id
        assert headers["X-Wavegate-Model"] == "fun-music-v1"
        assert headers["X-Granted"] == "nobody"
        assert isinstance(stream.request, SongRequest)
        assert (stream.request.input.gender, stream.listeners) == ("female", 0)


async def test_an_answer_says_which_model_an_alias_is() -> None:
    """Whoever asks for OpenAI's name learns who has really spoken."""
    config = Config(
        upstream=Upstream(speech_aliases={"tts-1": SpeechAlias(model="fun-music-v1", voices={"a": "male"})})
    )
    async with desk(*SONG, config=config) as there:
        _, headers, _ = await there.order(model="tts-1", voice="a")
        assert headers["X-Wavegate-Model"] == "fun-music-v1"
        async with there.http.get("/v1/models/tts-1") as response:
            assert await response.json() == {
                "id": "tts-1",
                "object": "model",
                "created": 1234,
                "owned_by": "alibaba-cloud",
                "alias_of": "fun-music-v1",
            }


async def test_events_end_with_what_was_used() -> None:
    """Each chunk in its event, and the usage in the last."""
    async with desk(*SONG) as there:
        _, headers, body = await there.order(stream_format="sse")
        assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert b'"type":"speech.audio.delta"' in body
        assert body.endswith(b'"usage":{"audio_seconds":1.0,"settled":true}}\n\n')


async def test_http_1_0_is_answered_up_to_the_end_of_the_connection() -> None:
    """Without chunks, which it does not know."""
    async with desk(*SONG) as there, dial(there.port) as (reader, writer):
        body = json.dumps(ORDER).encode()
        head = f"POST /v1/audio/speech HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head_, _, audio = (await reader.read()).partition(b"\r\n\r\n")
        assert audio == AUDIO
        assert b"Transfer-Encoding" not in head_


async def test_a_failure_before_the_first_sound_has_its_own_status() -> None:
    """And the id of its stream; the head was held back for it."""
    async with desk(Accepted("r"), FAILURE) as there:
        status, headers, body = await there.order()
        assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_failed")
        assert headers["X-Request-Id"] == there.streams[0].id
        assert "X-Should-Retry" not in headers


async def test_a_failure_later_breaks_the_body_off() -> None:
    """In a body of events it is the last one."""
    async with desk(Accepted("r"), AudioDelta(AUDIO), FAILURE) as there:
        assert (await there.order())[2] == b"broken"
        _, _, body = await there.order(stream_format="sse")
        assert json.loads(body.split(b"\n\n")[-2].removeprefix(b"data: "))["error"]["code"] == "upstream_failed"


async def test_a_client_that_leaves_is_noticed_at_once() -> None:
    """Before its first sound, too; what it has ordered goes on, as its tenant's policy has it."""
    async with desk(Accepted("r"), asyncio.Event()) as there:
        asking = asyncio.ensure_future(there.order())
        await soon(lambda: bool(there.streams) and there.streams[0].listeners == 1)
        (stream,) = there.streams
        asking.cancel()
        await asyncio.wait([asking])
        await soon(lambda: stream.listeners == 0)
        assert not stream.status.final
        async with dial(there.port) as (_, writer):
            # Gone before it is answered at all: a listener for a moment, so that the policy applies.
            body = json.dumps(ORDER).encode()
            head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            writer.transport.abort()
        await soon(lambda: all(one.listeners == 0 for one in there.streams))


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"input": ""}, 400, "invalid_input", "input"),
        ({"sped": 2}, 400, "invalid_request", "sped"),
        ({"response_format": "ogg"}, 400, "invalid_input", "response_format"),
        ({"model": "tts-1"}, 400, "invalid_input", "model"),
        ({"input": "few"}, 400, "invalid_input", "input"),
    ],
)
async def test_a_mistake_buys_nothing(fields: dict[str, Any], status: int, code: str, param: str) -> None:
    """It is named by its field, and a library need not try again."""
    async with desk(*SONG) as there:
        found, headers, body = await there.order(**fields)
        error = json.loads(body)["error"]
        assert (found, error["code"], error["param"]) == (status, code, param)
        assert headers["X-Should-Retry"] == "false"
        assert there.streams == []


async def test_what_is_no_json_is_refused() -> None:
    """By its media type, its syntax, and its time."""
    config = Config(server=Server(handshake_timeout=0.1))
    async with desk(*SONG, config=config) as there:
        async with there.http.post("/v1/audio/speech", data=b"{}") as response:
            assert response.status == 415
        headers = {"Content-Type": "application/json"}
        async with there.http.post("/v1/audio/speech", data=b"{", headers=headers) as response:
            assert (await response.json())["error"]["code"] == "invalid_json"
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        async with dial(there.port) as (reader, writer):
            writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 3\r\n\r\n{{".encode())
            assert b" 408 " in await reader.readline()
            writer.write(b"}}")
            assert b"request_timeout" in await reader.read()
        assert there.streams == []


async def test_a_gateway_that_is_full_buys_nothing() -> None:
    """Neither without room for the connection, nor without a place for one more listener."""
    async with desk(*SONG, room=Room(limit=1, occupied=2)) as there:
        assert await there.code() == (503, "overloaded")
    async with desk(Accepted("r"), asyncio.Event(), limits=Limits(listeners=1)) as there:
        asking = asyncio.ensure_future(there.order())
        await soon(lambda: bool(there.streams) and there.streams[0].listeners == 1)
        assert await there.code() == (429, "concurrency_exceeded")
        assert len(there.streams) == 1
        asking.cancel()
        await asyncio.wait([asking])


async def test_of_two_at_once_the_one_with_a_place_buys() -> None:
    """While the ledger thinks about the first, its place is held: the second buys nothing that nobody can hear."""
    thinking, hold = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedLedger):
        async def reserve(self, reservation: Reservation) -> Grant:
            thinking.set()
            await hold.wait()
            return await super().reserve(reservation)

    async with desk(*SONG, ledger=Slow(), limits=Limits(listeners=1)) as there:
        first = asyncio.ensure_future(there.order())
        await thinking.wait()
        assert await there.code() == (429, "concurrency_exceeded")
        hold.set()
        assert (await first)[2] == AUDIO
        assert len(there.source.songs) == 1
        assert (await there.order())[2] == AUDIO


async def test_openais_sdk_waits_as_long_as_it_is_told() -> None:
    """A 429 is borne by its own retry, after Retry-After and not before; what was refused has bought nothing."""

    class Full(ScriptedLedger):
        async def reserve(self, reservation: Reservation) -> Grant:
            refused_at.append(time.monotonic())
            if len(refused_at) == 1:
                raise LimitError("concurrency_exceeded", "Full.", retry_after=0.7)
            return await super().reserve(reservation)

    refused_at: list[float] = []
    async with (
        desk(*SONG, ledger=Full()) as there,
        AsyncOpenAI(base_url=f"http://127.0.0.1:{there.port}/v1", api_key=KEY, timeout=20) as client,
    ):
        assert (await client.audio.speech.create(**ORDER)).content == AUDIO
        assert 1.0 <= refused_at[1] - refused_at[0] < 10.0
        assert len(there.streams) == 1


async def test_tickets_order_what_they_allow() -> None:
    """In the place of a key or in the address, as often as they may; one that allows listening only does not."""
    async with desk(*SONG) as there:
        office = there.room.tenants.office
        create = office.mint(TENANT, Wanted(allow=("create",), uses=2)).token.reveal()
        listen = office.mint(TENANT, Wanted(allow=("listen",))).token.reveal()
        bearer = {"Authorization": f"Bearer {create}"}
        assert (await there.order(bearer))[2] == AUDIO
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as guest,
            guest.post(f"http://127.0.0.1:{there.port}/v1/audio/speech?ticket={create}", json=ORDER) as response,
        ):
            assert await response.read() == AUDIO
        assert await there.code(bearer) == (401, "ticket_used")
        assert await there.code({"Authorization": f"Bearer {listen}"}) == (403, "forbidden")
        assert await there.code({"Authorization": "Bearer nobody"}) == (401, "bad_credentials")
        assert len(there.streams) == 2


# -- the list of models ----------------------------------------------------------------------------------------------


async def test_models_are_listed_to_whoever_may_order() -> None:
    """With a key or a ticket that allows it, which spends no use; one that there is not is 404."""
    async with desk() as there:
        async with there.http.get("/v1/models") as response:
            document = await response.json()
        assert document["object"] == "list"
        assert {"fun-music-v1", "cosyvoice-v3-flash", "qwen3-tts-flash"} <= {row["id"] for row in document["data"]}
        async with there.http.get("/v1/models/cosyvoice-v2") as response:
            assert await response.json() in document["data"]
        async with there.http.get("/v1/models/tts-1") as response:
            error = (await response.json())["error"]
            assert (response.status, error["code"], error["param"]) == (404, "not_found", "model")
        office = there.room.tenants.office
        ticket = office.mint(TENANT, Wanted(allow=("create",), uses=1)).token.reveal()
        for _ in range(2):
            async with there.http.get("/v1/models", headers={"Authorization": f"Bearer {ticket}"}) as response:
                assert response.status == 200
        for path in ("/v1/models", "/v1/models/cosyvoice-v2"):
            async with there.http.get(path, headers={"Authorization": "Bearer nobody"}) as response:
                assert response.status == 401
