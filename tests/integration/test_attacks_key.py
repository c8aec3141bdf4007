"""Ways to the provider's key and to the other secrets, tried over real sockets by who knows the source.

Invariant under test: a secret goes to the one whom it opens something at, and is nowhere else, whoever quotes it, asks
for it or looks for it. Each test says the way, and what stops it.
It must not test what `test_logs.py` and `test_hostile_requests.py` test already.
"""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.app import Gateway
from gateway.config.schema import Config, Limits, Log, Quota, Tenant, Transcode, Upstream
from gateway.config.secret import key_hash
from gateway.config.server import Server
from gateway.upstream.simulator.server import Simulator
from tests.support.gateway import KEY, PATIENCE, bench
from tests.support.log import logging_of
from tests.support.provider import FACTS, FILE, failure, heard, serving
from tests.support.server import dial
from tests.support.wire import whole_payload

CALL = "/api/v1/services/audio/music/generation"
EVENTS = "text/event-stream"

# -- a provider that quotes the key ------------------------------------------------------------------------------------


def _event(document: dict[str, Any], kind: str = "result") -> bytes:
    return f"id:1\nevent:{kind}\ndata:{json.dumps(document)}\n\n".encode()


def _said(key: str, sound: bytes) -> dict[str, tuple[int, str, bytes]]:
    """Status, media type and body of each answer, by the word of the prompt that asks for it."""
    error = {"code": f"No{key}", "message": f"Incorrect API key provided: {key} (Bearer {key})", "request_id": key}
    audio = {"data": base64.b64encode(sound).decode(), "id": key}
    last = {"data": "", "id": key, "url": f"http://storage.test/{key}.mp3?OSSAccessKeyId={key}&Signature={key}"}
    body = json.dumps(error).encode()
    return {
        "refusing": (400, "application/json", body),
        "failing": (500, "application/json", body),
        "denying": (403, "application/json", body),
        "moving": (307, "text/plain", key.encode()),
        "chatting": (200, "text/plain", f"hello {key}".encode()),
        "mumbling": (200, EVENTS, f"id:{key}\nevent:{key}\ndata:{{{key}\n\n".encode()),
        "breaking": (200, EVENTS, f":{key}\n".encode() + _event(error, "error")),
        "singing": (
            200,
            EVENTS,
            _event({"request_id": key, "output": {"audio": audio, "finish_reason": "null"}})
            + _event({"request_id": key, "output": {"audio": last, "finish_reason": "stop"}, "usage": {"duration": 1}}),
        ),
    }


class Parrot:
    """Quotes the key it is called with wherever an answer has room for it, takes traces, and notes whom it has seen."""

    def __init__(self, sound: bytes) -> None:
        self.sound = sound
        self.calls: list[str] = []
        self.visits: list[str] = []
        self.traces = b""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        prompt = (await request.json())["input"]["prompt"]
        self.calls.append(key)
        status, kind, body = _said(key, self.sound)[prompt.split()[0]]
        headers = {"Content-Type": kind, "x-request-id": f"r-{key}", "Server": key, "Set-Cookie": f"k={key}"}
        return web.Response(status=status, body=body, headers=headers | {"Location": f"/elsewhere?key={key}"})

    async def visit(self, request: web.Request) -> web.Response:
        self.visits.append(str(request.url))
        return web.Response()

    async def take(self, request: web.Request) -> web.Response:
        self.traces += await request.read()
        return web.Response()


@asynccontextmanager
async def parrot() -> AsyncIterator[tuple[Parrot, str]]:
    async with Simulator(speed=0) as simulator, aiohttp.ClientSession() as http:
        body = {"model": "fun-music-v1", "input": {"prompt": "[[scale seconds=1]] a scale"}}
        async with http.post(simulator.url + CALL, json=body, headers={"Authorization": "Bearer any"}) as answer:
            url = (await answer.json())["output"]["audio"]["url"]
        async with http.get(url) as answer:
            bird = Parrot(await answer.read())
    application = web.Application()
    application.router.add_post("/v1/traces", bird.take)
    application.router.add_post("/{path:.*}", bird.answer)
    application.router.add_get("/{path:.*}", bird.visit)
    async with TestServer(application) as server:
        yield bird, f"http://127.0.0.1:{server.port}"


async def _use(gateway: Gateway, tenant: str) -> str:
    """Everything that is said to a tenant that orders each answer by both doors, and at the internal port."""
    heard: list[str] = []

    async def ask(method: str, url: str, **more: Any) -> str:
        async with http.request(method, url, **more) as answer:
            # Some break off in the middle of a song.
            text = ""
            with suppress(aiohttp.ClientPayloadError):
                text = (await answer.read()).decode("latin-1")
            heard.append(f"{answer.status} {answer.headers!r} {text}")
            return text

    async def order(word: str) -> None:
        body = {"input": {"prompt": f"{word} a song of the sea"}}
        told = json.loads(await ask("POST", f"{public}/v1/streams", json=body))
        if "urls" in told:
            await ask("GET", told["urls"]["audio"])
            await ask("GET", f"{public}/v1/streams/{told['id']}")
        async with http.ws_connect(f"{public}/v1/ws", protocols=["wavegate.v1"]) as socket:
            await socket.send_json({"type": "stream.create", **body})
            async for message in socket:
                heard.append(f"{message.data!r} {message.extra}")
                if message.type is aiohttp.WSMsgType.TEXT and json.loads(message.data)["type"] in _LAST:
                    break
            heard.append(f"{socket.close_code}")

    public, internal = gateway.addresses.public, gateway.addresses.internal
    headers = {"Authorization": f"Bearer {tenant}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(PATIENCE)) as http:
        async with asyncio.timeout(PATIENCE):
            # "denying" sets the key aside: it comes last.
            await asyncio.gather(*(order(word) for word in _said("", b"") if word != "denying"))
            await order("denying")
        for path in ("/v1/usage", "/v1/streams", "/v1/models", "/demo.json", "/openapi.yaml"):
            await ask("GET", public + path)
        for path in ("/metrics", "/readyz", "/debug/streams", "/debug/streams?format=text"):
            await ask("GET", internal + path)
    return "\n".join(heard)


_LAST = ("stream.completed", "stream.failed", "error")


def _kept(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file, a recording's data as they are."""
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            if file.name.endswith(".jsonl"):
                content += b"".join(base64.b64decode(json.loads(line).get("data", "")) for line in content.splitlines())
            yield file.name, content


async def test_a_provider_that_quotes_the_key_brings_it_nowhere(tmp_path: Path) -> None:
    """In errors, events, headers, names and redirects, and again with a key that came into the file later.

    Clients hear sentences of ours; the log, recordings, ledger and traces hide what was ever used as a key, whatever
    it looks like; no redirect is followed.
    """
    first, second = f"plain-{secrets.token_hex(8)}", f"other-{secrets.token_hex(8)}"
    tenant = f"own-{secrets.token_hex(8)}"
    key_file, kept = tmp_path / "key", tmp_path / "kept"
    await asyncio.to_thread(kept.mkdir)
    await asyncio.to_thread(key_file.write_text, first)
    async with parrot() as (bird, url), logging_of("debug") as written:
        config = Config(
            server=Server(port=0, internal_port=0),
            upstream=Upstream(
                base_url=url,
                api_key_file=str(key_file),
                record_dir=str(kept / "flights"),
                requests_per_minute=60_000,
                max_concurrency=100,
                circuit_failures=1000,
                retry_attempts=0,
            ),
            quota=Quota(store=f"sqlite:///{kept}/usage.db"),
            transcode=Transcode(workers=0),
            log=Log(traces_endpoint=url),
            tenants=[
                Tenant(id="acme", keys=[key_hash(tenant)], limits=Limits(concurrent_streams=0, streams_per_minute=0))
            ],
        )
        async with Gateway(config, None) as gateway:
            said = await _use(gateway, tenant)
            await asyncio.to_thread(key_file.write_text, second)
            said += await _use(gateway, tenant)
        await written.settle()
        log = written.text
    files = await asyncio.to_thread(lambda: list(_kept(kept)))
    # All of it has happened: each answer with each key, by both doors, but for a key that was denied once.
    assert {key: bird.calls.count(key) for key in set(bird.calls)} == dict.fromkeys((first, second), 15)
    assert log.count('"stream.ended"') > 15
    assert log.count("upstream.key_set_aside") == 2
    assert sum(name.endswith(".jsonl") for name, _ in files) == 30
    assert {"usage.db"} < {name for name, _ in files}
    assert b"wavegate.stream_id" in bird.traces
    assert bird.visits == []
    for key in (first, second, tenant):
        where = {"clients": said, "log": log, "traces": bird.traces.decode("latin-1")}
        where |= {f"file {name}": f"{name} {content.decode('latin-1')}" for name, content in files}
        assert [name for name, text in where.items() if key in text] == []


# -- what a client says that is no request -----------------------------------------------------------------------------

CANARY = "canary0123456789abcdef"
HOST = "Host: x\r\n"
WHO = f"{HOST}Authorization: Bearer {KEY}\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
ODD = {
    "a header with NUL": f"GET / HTTP/1.1\r\n{HOST}Authorization: Bearer {CANARY}\0\r\n\r\n",
    "a line that is no header": f"GET / HTTP/1.1\r\n{HOST}{CANARY}\r\n\r\n",
    "a line that is no request": f"{CANARY} {CANARY} {CANARY}\r\n\r\n",
    "a length that is none": f"POST /v1/streams HTTP/1.1\r\n{HOST}Content-Length: {CANARY}\r\n\r\n",
    "a chunk that is none": f"POST /v1/streams HTTP/1.1\r\n{WHO}Transfer-Encoding: chunked\r\n\r\n{CANARY}\r\n",
    "another scheme": f"GET /v1/usage HTTP/1.1\r\n{HOST}Authorization: Basic {CANARY}\r\n\r\n",
    "a tab": f"GET /v1/usage HTTP/1.1\r\n{HOST}Authorization: Bearer\t{CANARY}\r\n\r\n",
    "a wrong key": f"GET /v1/usage HTTP/1.1\r\n{HOST}Authorization: Bearer {CANARY}\r\n\r\n",
    "a key in the path": f"GET /v1/streams/{CANARY} HTTP/1.1\r\n{WHO}\r\n",
    "a key for a page": f"GET /{CANARY} HTTP/1.1\r\n{HOST}\r\n",
    "TRACE": f"TRACE /v1/usage HTTP/1.1\r\n{HOST}Authorization: Bearer {CANARY}\r\n\r\n",
    "OPTIONS of all": f"OPTIONS * HTTP/1.1\r\n{HOST}Authorization: Bearer {CANARY}\r\n\r\n",
    "a name in the host": f"GET /v1/usage HTTP/1.1\r\nHost: {CANARY}@x\r\n\r\n",
    "a name in the address": f"GET http://u:{CANARY}@x/v1/usage HTTP/1.1\r\n{HOST}\r\n",
    "an address of the inside": f"GET http://127.0.0.1/metrics?{CANARY} HTTP/1.1\r\n{HOST}\r\n",
    "an expectation": f"POST /v1/streams HTTP/1.1\r\n{WHO}Expect: {CANARY}\r\nContent-Length: 0\r\n\r\n",
    "half a document": f'POST /v1/tickets HTTP/1.1\r\n{WHO}Content-Length: 24\r\n\r\n{{"{CANARY}',
    "another field": f'POST /v1/tickets HTTP/1.1\r\n{WHO}Content-Length: 28\r\n\r\n{{"{CANARY}":1}}',
    "a filter that is none": f"GET /v1/streams?status={CANARY} HTTP/1.1\r\n{WHO}\r\n",
    "a key in a subprotocol": f"GET /v1/ws HTTP/1.1\r\n{HOST}{UPGRADE}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    f"Sec-WebSocket-Protocol: wavegate.v1, wavegate.key.{CANARY}\r\n\r\n",
    "a ticket for a nonce": f"GET /v1/ws HTTP/1.1\r\n{HOST}{UPGRADE}Sec-WebSocket-Key: {CANARY}\r\n\r\n",
    "a ticket in the query": f"GET /v1/streams/st_x/audio.mp3?ticket={CANARY} HTTP/1.1\r\n{HOST}"
    f"Referer: http://{CANARY}/\r\nOrigin: http://{CANARY}.example\r\n\r\n",
    "an order's name": f"POST /v1/streams HTTP/1.1\r\n{WHO}Idempotency-Key: {CANARY}\x07\r\nContent-Length: 0\r\n\r\n",
}

# Whoever writes a field that there is not is told which.
QUOTED = {"another field"}


async def test_credentials_in_odd_places_are_neither_echoed_nor_logged() -> None:
    """Requests in which a key stands where none belongs: nothing of a request is repeated, and no parser's words.

    A browser, a proxy's log or a screenshot of an error would keep them. At the internal port they are only not logged.
    """
    echoed = []
    async with logging_of("debug") as written:
        async with bench() as gateway:

            async def send(octets: str, url: str) -> bytes:
                said = b""
                async with dial(urlsplit(url).port or 0, PATIENCE) as (reader, writer):
                    writer.write(octets.encode("latin-1"))
                    writer.write_eof()
                    with suppress(ConnectionResetError):
                        while piece := await reader.read(65536):
                            said += piece
                return said

            for name, octets in ODD.items():
                await send(octets, gateway.internal)
                said = await send(octets, gateway.url)
                quoted = CANARY.encode() in said and name not in QUOTED
                if quoted or b"HTTP/1.1 " not in said or b"wavegate_" in said:
                    echoed.append(f"{name}: {said[:300]!r}")
        await written.settle()
        log = written.text
    assert not echoed, "\n".join(echoed)
    assert log.count("request.") > len(ODD) // 2
    assert [line for line in log.splitlines() if CANARY in line] == []


# -- a ticket, to try guesses at ---------------------------------------------------------------------------------------


async def test_a_ticket_is_no_place_to_try_guesses_of_the_key_at() -> None:
    """A guest takes a ticket apart, which anybody can, and seeks in it what guesses of the tenant's key are held to.

    The gateway names keys by the beginning of their SHA-256, which is nothing to whoever sees it of a key of 256 random
    bits, and all of it to whoever guesses one that somebody has thought up: in a ticket that name is under a pad.
    """
    weak = "acme2024"
    digest = key_hash(weak).removeprefix("sha256:")
    async with bench(tenants=[Tenant(id="acme", keys=[key_hash(weak)])]) as gateway:
        octets = []
        for _ in range(2):
            headers = {"Authorization": f"Bearer {weak}"}
            async with gateway.http.post(f"{gateway.url}/v1/tickets", json={"uses": 0}, headers=headers) as answer:
                ticket = (await answer.json())["ticket"]
            octets.append(base64.urlsafe_b64decode(ticket.removeprefix("wt_") + "==="))
            # It is a ticket of that key all the same: see test_the_tickets_of_a_stolen_key_end_with_it.
            headers = {"Authorization": f"Bearer {ticket}"}
            async with gateway.http.get(f"{gateway.url}/v1/streams/st_x", headers=headers) as answer:
                assert answer.status == 404
    for start in range(0, len(digest) - 8, 2):
        piece = digest[start : start + 8]
        assert all(piece.encode() not in one and bytes.fromhex(piece) not in one for one in octets)
    # The rest of them can be read, and is not the same twice.
    assert all(b"acme" in one for one in octets)
    assert octets[0][5:] != octets[1][5:]


# -- results that lead inside ------------------------------------------------------------------------------------------

# What the operator lists, and what the provider names, {port} being that of something inside: each would lead to this
# machine, and none is what was meant.
INSIDE = [
    (["local*:*"], "http://localhost:{port}/"),
    (["*:*"], "http://localhost:{port}/"),
    (["*:*"], "http://LOCALHOST.:{port}/"),
    (["*:*"], "http://[::ffff:127.0.0.1]:{port}/"),
    (["*:*"], "http://2130706433:{port}/"),
    (["*:*"], "http://0x7f000001:{port}/"),
    (["*:*"], "http://127.1:{port}/"),
    (["*:*"], "http://0:{port}/"),
    (["*.aliyuncs.com:*"], "http://a.aliyuncs.com@127.0.0.1:{port}/"),
    (["*.aliyuncs.com:*"], "http://127.0.0.1:{port}\\@a.aliyuncs.com/"),
    (["*.aliyuncs.com:*"], "http://127.0.0.1:{port}#.aliyuncs.com:80/"),
]


async def test_a_result_leads_to_nothing_inside() -> None:
    """Names for this machine, addresses in other spellings, userinfo; at once, and behind a redirect of a listed host.

    A name that a pattern stands for has to lead to a public address, and is looked up for the connection that is made.
    """
    visits: list[str] = []
    named = {"url": "", "behind": ""}

    async def inside(request: web.Request) -> web.Response:
        visits.append(f"{request.url} {request.headers!r}")
        return web.Response(body=b"ID3 what is inside")

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(status=302, headers={"Location": named["behind"]})
        return web.Response(body=whole_payload(url=named["url"], **FACTS), content_type="application/json")

    application = web.Application()
    application.router.add_get("/{path:.*}", inside)
    wrong = []
    async with serving() as provider, TestServer(application, host="127.0.0.1") as server:
        provider.answer = answer
        for hosts, url in INSIDE:
            there = url.format(port=server.port)
            for named["url"], named["behind"] in ((there, ""), (f"{provider.url}/a.mp3", there)):
                listed = [*hosts, provider.url.removeprefix("http://")]
                error, _ = await failure(provider.url, FILE, audio_hosts=listed)
                # As a name it may be none, to some systems.
                if error.code not in ("upstream_refused", "upstream_unavailable") or visits:
                    wrong.append(f"{there} {named['behind']}: {error.code} {visits}")
        assert not wrong, "\n".join(wrong)
        # The same name, written out by the operator: then it is meant, and still gets no credential.
        named["url"] = f"http://localhost:{server.port}/"
        await heard(provider.url, FILE, audio_hosts=["localhost:*"])
    assert len(visits) == 1
    assert "Authorization" not in visits[0]
