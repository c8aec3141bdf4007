"""The log of a whole gateway: a line a stream, a session and a playback, ids that join, and nobody's words or keys.

Invariant: what is compared was written by a gateway with a real provider's stand-in, as JSON, at level debug.
They must not know how lines are made.
"""

import asyncio
import json
import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from gateway.app import Gateway
from gateway.config.schema import Config, Log, Quota, Tenant, Transcode, Upstream
from gateway.config.secret import Secret, key_hash
from gateway.config.server import Server
from gateway.relay.rendition import NativeRendition
from gateway.server.repeats import Repeats
from tests.support.gateway import KEY, PROVIDER_KEY, bench, hear, say, talk
from tests.support.log import Written, logging_of

SONG = "[[scale seconds=6 speed=0]] a song about the quiet sea and the old lighthouse"


async def ended(written: Written, event: str, count: int = 1) -> list[dict[str, Any]]:
    """The lines of this name, once there are so many."""
    async with asyncio.timeout(20):
        while len(found := written.named(event)) < count:
            await written.settle()
    return found


async def test_a_line_for_each() -> None:
    """What the three lines tell is what happened, and the ids of the request and of the provider are on all of them."""
    async with logging_of("debug") as written, bench() as gateway:
        headers = {"X-Request-Id": "from.my-proxy_17"}
        body = {"input": {"prompt": SONG}}
        async with gateway.http.post(f"{gateway.url}/v1/streams", json=body, headers=headers) as answer:
            assert answer.headers["X-Request-Id"] == "from.my-proxy_17"
            stream_id = (await answer.json())["id"]
        async with gateway.http.get(
            f"{gateway.url}/v1/streams/{stream_id}/audio.mp3", headers={"User-Agent": "player " * 20}
        ) as answer:
            request_id = answer.headers["X-Request-Id"]
            heard = await answer.read()
        async with talk(gateway) as socket:
            await say(socket, type="stream.attach", stream_id=stream_id)
            told = await hear(socket)
        info = await gateway.info(stream_id)
        (stream,) = await ended(written, "stream.ended")
        (player, socket_line) = await ended(written, "playback.ended", 2)
        (session,) = await ended(written, "session.ended")
    provider_id = stream["provider_request_id"]
    assert stream["stream_id"] == stream_id
    assert (stream["status"], stream["code"], stream["tenant"], stream["level"]) == ("completed", None, "acme", "info")
    assert stream["request_id"] == "from.my-proxy_17"
    assert stream["settled_seconds"] == pytest.approx(info["usage"]["audio_seconds"], abs=0.001)
    assert stream["audio_seconds"] == pytest.approx(info["duration_seconds"], abs=0.01)
    assert (stream["tries"], stream["joins"], stream["listeners"], stream["formats"]) == (1, 1, 1, ["mp3"])
    assert 0.0 <= stream["queue_seconds"] <= stream["wall_seconds"]
    assert 0.0 < stream["first_audio_seconds"] <= stream["wall_seconds"]
    assert stream["upstream_bytes"] >= stream["egress_bytes"] == len(heard)
    steps = [entry for entry in written.entries if entry["event"].startswith("stream.")]
    assert [entry["event"] for entry in steps if entry["event"] != "stream.queued"] == [
        "stream.created",
        "stream.accepted",
        "stream.sounded",
        "stream.ended",
    ]
    assert {entry["stream_id"] for entry in steps} == {stream_id}
    assert {entry["request_id"] for entry in steps} == {"from.my-proxy_17"}
    assert steps[-2]["provider_request_id"] == provider_id
    assert steps[0]["words"] == f"<{len(SONG)} characters>"
    assert (player["stream_id"], player["request_id"], player["how"]) == (stream_id, request_id, "completed")
    assert (player["door"], player["format"], player["bytes"]) == ("http", "mp3", len(heard))
    assert player["heard_seconds"] == pytest.approx(info["duration_seconds"], abs=0.3)
    assert player["agent"] == ("player " * 20)[:60]
    assert (socket_line["door"], socket_line["level"]) == ("websocket", "debug")
    assert (session["streams"], session["chunks"], session["bytes"]) == (1, len(told.frames), len(told.audio))
    assert (session["tenant"], session["key"], session["close_code"]) == ("acme", key_hash(KEY)[7:15], 1000)


async def test_refusals_are_told_and_counted() -> None:
    """One line each, with the code; of many that are alike only the first, and then how many there were."""
    async with logging_of("info") as written:
        async with bench() as gateway:
            for _ in range(30):
                async with gateway.http.get(f"{gateway.url}/v1/streams/st_nothing?ticket=x") as answer:
                    assert answer.status == 404
            async with gateway.http.get(f"{gateway.url}/v1/usage", headers={"Authorization": "Bearer no"}) as answer:
                assert answer.status == 401
            async with talk(gateway) as socket:
                await say(socket, type="stream.attach", stream_id="st_nothing")
                await socket.recv()
                await socket.recv()
        await asyncio.to_thread(written.writer.close)
        lines = written.named("request.refused")
    first = lines[0]
    assert (first["code"], first["status"], first["route"]) == ("stream_not_found", 404, "/v1/streams/{id}")
    assert (first["tenant"], first["client"], first["level"]) == ("acme", "127.0.0.1", "info")
    alike = [line for line in lines if line["code"] == "stream_not_found"]
    assert sum(line.get("repeated", 1) for line in alike) == 30
    assert len(alike) == 11
    (unknown,) = [line for line in lines if line["code"] == "bad_credentials"]
    assert unknown["tenant"] is None
    (refused,) = written.named("session.refused")
    assert (refused["code"], refused["tenant"]) == ("stream_not_found", "acme")
    assert refused["session_id"].startswith("se_")


# -- canaries --------------------------------------------------------------------------------------------------------


class Echo:
    """A provider that answers every call with an error which quotes all that it was told."""

    def __init__(self) -> None:
        self.called = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.called += 1
        body = await request.json()
        said = f"I do not like {body['input']} of {request.headers['Authorization']}"
        return web.json_response({"code": "InternalError", "message": said, "request_id": "echo"}, status=500)


@asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/{path:.*}", Echo().answer)
    async with TestServer(application) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize("form", ["json", "console"])
async def test_nobodys_words_and_no_key(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At level debug, well and badly, whatever echoes them: tracebacks of ours, errors of the provider, refusals."""
    canary = "canary" + secrets.token_hex(8)
    key, tune = f"wg_{canary}{'k' * 20}", "[[scale seconds=2 speed=0]]"
    prompt = f'{tune} {canary} sings of "the sea"\nand {canary} of the wind'
    lyrics = tune + f"{canary} la la la\n" * 60
    tenants = [Tenant(id="acme", keys=[key_hash(key)])]

    def broken(what: str) -> Any:
        def breaks(*given: object) -> None:
            raise RuntimeError(f"{what}: {asked[-1]} {'; '.join(asked[-1].values())} {given!r} {PROVIDER_KEY} {key}")

        return breaks

    async def use(url: str, http: aiohttp.ClientSession) -> None:
        for words in ({"lyrics": lyrics}, {"prompt": prompt, "gender": canary}, {"prompt": prompt}):
            asked.append(words)
            async with http.post(f"{url}/v1/streams", json={"input": words}) as answer:
                said = await answer.json()
            if answer.status == 201:
                with suppress(aiohttp.ClientPayloadError):  # some of them fail, and are not whole then
                    async with http.get(f"{url}/v1/streams/{said['id']}/audio.mp3") as answer:
                        await answer.read()
        async with http.post(f"{url}/v1/tickets", json={"uses": 0}) as answer:
            ticket = (await answer.json())["ticket"]
            tickets.append(ticket)
        for query in (ticket, ticket[:-5] + "xxxxx"):
            async with http.get(f"{url}/v1/streams/{canary}/audio.mp3?ticket={query}&q={canary}") as answer:
                await answer.read()
        async with http.ws_connect(f"{url}/v1/ws") as socket:
            await socket.send_json({"type": "stream.create", "input": {"prompt": prompt}})
            await socket.send_json({"type": canary})
            await socket.send_str(f"{{{canary}")
            async with asyncio.timeout(20):
                data = ""
                while not any(word in data for word in ("stream.completed", "stream.failed", '"internal"')):
                    data = str((await socket.receive()).data)

    tickets: list[str] = []
    asked: list[dict[str, str]] = []
    headers = {"Authorization": f"Bearer {key}", "User-Agent": "agent"}
    async with logging_of("debug", form, secrets=[Secret(PROVIDER_KEY)]) as written:
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(30)) as http, echoing() as url:
            async with bench(tenants=tenants) as gateway:
                await use(gateway.url, http)
                monkeypatch.setattr(Repeats, "order", broken("a handler"))
                async with http.post(f"{gateway.url}/v1/streams", json={"input": asked[-1]}) as answer:
                    assert answer.status == 500
                monkeypatch.undo()
                monkeypatch.setattr(NativeRendition, "feed", broken("a stream"))
                await use(gateway.url, http)
                monkeypatch.undo()
            config = Config(
                server=Server(port=0, internal_port=0),
                upstream=Upstream(base_url=url, retry_attempts=1, retry_seconds=1.0),
                quota=Quota(store="memory:"),
                transcode=Transcode(workers=0),
                tenants=tenants,
            )
            async with Gateway(config, PROVIDER_KEY) as alone:
                await use(alone.addresses.public, http)
        await written.settle()
        text = written.text
    assert "Traceback (most recent call last):" in text
    assert "a stream" in text
    assert "a handler" in text
    assert "upstream_failed" in text
    for secret in (canary, PROVIDER_KEY, *tickets):
        assert secret not in text


async def test_words_where_they_are_wanted() -> None:
    """`log.prompts` shows how they begin."""
    async with logging_of("info", prompts=True) as written:
        async with bench() as gateway:
            await gateway.create("la " * 60 + "[[scale seconds=1 speed=0]]")
        await written.settle()
        (created,) = written.named("stream.created")
    assert created["words"] == "la " * 26 + "la..."


# -- a log that nobody reads -----------------------------------------------------------------------------------------


async def test_a_log_that_nobody_reads_stops_nobody() -> None:
    """The pipe is full: songs are sold and heard as ever, and what was lost is counted."""
    reading, writing = os.pipe()
    logger = logging.getLogger("wavegate.stream")
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        async with logging_of("debug", stream=stream) as written:
            for _ in range(2000):
                logger.error("stream.ended", extra={"fields": {"filler": "x" * 100}})
            assert written.writer.waiting > 500
            async with asyncio.timeout(20), bench() as gateway, talk(gateway) as socket:
                await say(socket, type="stream.create", input={"prompt": SONG})
                heard = await hear(socket)
                assert heard.messages[-1]["type"] == "stream.completed"
            said = asyncio.create_task(asyncio.to_thread(reader.read))
            await asyncio.to_thread(written.writer.close)
        stream.close()
        lines = [json.loads(line) for line in (await said).splitlines()]
    assert len([line for line in lines if line["event"] == "stream.ended"]) == 2001
    assert len([line for line in lines if line["event"] == "session.ended"]) == 1


# -- traces ----------------------------------------------------------------------------------------------------------


class Collector:
    """A real OTLP receiver over HTTP."""

    def __init__(self) -> None:
        self.spans: dict[str, Any] = {}
        self.service = ""
        self.raw = b""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.service = attributes["service.name"]
            for scope in resource.scope_spans:
                self.spans |= {span.name: span for span in scope.spans}
        done = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=done, content_type="application/x-protobuf")


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    collector, application = Collector(), web.Application()
    application.router.add_post("/v1/traces", collector.take)
    async with TestServer(application) as server:
        yield collector, f"http://127.0.0.1:{server.port}"


async def test_a_trace_a_song() -> None:
    """Below the caller's own, from the order to the bill, with the ids of the log's lines and nobody's words."""
    trace_id, parent_id = secrets.token_hex(16), secrets.token_hex(8)
    async with (
        collecting() as (collector, url),
        logging_of("debug") as written,
        bench(log=Log(traces_endpoint=url)) as gateway,
    ):
        headers = {"traceparent": f"00-{trace_id}-{parent_id}-01"}
        body = {"input": {"prompt": SONG}}
        async with gateway.http.post(f"{gateway.url}/v1/streams", json=body, headers=headers) as answer:
            stream_id = (await answer.json())["id"]
        async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}/audio.mp3") as answer:
            await answer.read()
        (line,) = await ended(written, "stream.ended")
    spans = collector.spans
    assert set(spans) >= {"stream", "create", "upstream", "first_audio", "settle"}
    assert {span.trace_id.hex() for span in spans.values()} == {trace_id} == {line["trace_id"]}
    root = spans["stream"]
    assert root.parent_span_id.hex() == parent_id
    assert {span.parent_span_id for name, span in spans.items() if name != "stream"} == {root.span_id}
    facts = {one.key: one.value for one in root.attributes}
    assert facts["wavegate.stream_id"].string_value == stream_id
    assert facts["wavegate.provider_request_id"].string_value == line["provider_request_id"]
    assert facts["wavegate.status"].string_value == "completed"
    assert [event.name for event in root.events] == ["joined"]
    assert [event.name for event in spans["upstream"].events] == ["accepted"]
    create, upstream, first, settle = (spans[name] for name in ("create", "upstream", "first_audio", "settle"))
    assert create.end_time_unix_nano <= upstream.start_time_unix_nano == first.start_time_unix_nano
    assert first.end_time_unix_nano <= upstream.end_time_unix_nano == settle.start_time_unix_nano
    assert settle.end_time_unix_nano == root.end_time_unix_nano
    seconds = (first.end_time_unix_nano - first.start_time_unix_nano) / 1e9
    assert seconds == pytest.approx(line["first_audio_seconds"], abs=0.05)
    assert collector.service == "wavegate"
    assert b"lighthouse" not in collector.raw
    assert b"wg_" not in collector.raw


async def test_a_song_that_fails_is_an_error_in_its_trace() -> None:
    """Tried again, and given up: the code is the span's status, and so it is with the part that failed."""
    async with (
        collecting() as (collector, url),
        bench(
            log=Log(traces_endpoint=f"{url}/v1/traces"), upstream=Upstream(retry_attempts=1, retry_seconds=5.0)
        ) as gateway,
        talk(gateway) as socket,
    ):
        await say(socket, type="stream.create", input={"prompt": "[[scale seconds=2 speed=0 error]] a song that fails"})
        await hear(socket)
        await gateway.gateway.__aexit__(None, None, None)
        root, upstream = collector.spans["stream"], collector.spans["upstream"]
        assert (root.status.code, root.status.message) == (2, "upstream_failed")
        assert (upstream.status.code, upstream.status.message) == (2, "upstream_failed")
        assert {one.key: one.value.int_value for one in upstream.attributes}["wavegate.tries"] == 2
