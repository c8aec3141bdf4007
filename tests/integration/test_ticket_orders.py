"""Tickets that buy, tickets across a restart, and tickets on the command line.

Invariant under test: what a ticket may buy is counted whatever the order of things; a file remembers what was used; a
guest who is turned away leaves a gateway that goes on.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from gateway.app import Gateway
from gateway.config.schema import Config, Limits, Quota, Tenant, Transcode, Upstream
from gateway.config.server import Server
from gateway.server.visitor import Visitor
from gateway.upstream.simulator.server import Simulator
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.gateway import KEY, OTHER_KEY, PATIENCE, PROVIDER_KEY, Bench, bench, hear, receive, say
from tests.support.guests import TENANTS, anybody, ask_ticket, enter, fate, http_code, mint
from tests.support.relay import Clock

SCALE = "[[scale seconds=2 speed=20]] a scale for those who may buy one"
LONG = "[[scale seconds=60 speed=4]] a scale that goes on for long"
BUYER = {"allow": ["create", "listen"]}


async def order(http: aiohttp.ClientSession, gateway: Bench, ticket: str, prompt: str = SCALE) -> tuple[int, str]:
    """Status of an order with a ticket, and its error code or the address of its audio."""
    body = {"input": {"prompt": prompt}}
    async with http.post(f"{gateway.url}/v1/streams?ticket={ticket}", json=body) as response:
        document = await response.json()
        return response.status, document["error"]["code"] if document["error"] else document["urls"]["audio"]


# -- buying ------------------------------------------------------------------------------------------------------------


async def test_a_use_buys_one_song_and_a_refusal_none() -> None:
    """Over REST; what was asked for wrongly costs no use, and a ticket to listen buys nothing."""
    async with bench() as gateway, anybody() as http:
        ticket = await mint(gateway, **BUYER)
        assert await order(http, gateway, ticket, "hm") == (400, "invalid_input")
        status, first = await order(http, gateway, ticket)
        assert status == 201
        assert await order(http, gateway, ticket) == (401, "ticket_used")
        assert await order(http, gateway, await mint(gateway)) == (403, "forbidden")
        status, audio = await order(http, gateway, await mint(gateway, allow=["create"], uses=0))
        assert status == 201
        deaf = await mint(gateway, allow=["create"], uses=0)
        assert await http_code(http, f"{audio}?ticket={deaf}") == (403, "forbidden")
        for bought in (first, audio):
            assert await http_code(gateway.http, bought) == (200, "")
        assert gateway.simulator.requests == 2


async def test_a_session_covers_its_first_order_and_each_other_one_costs_a_use() -> None:
    """A mistake before it costs nothing; when no use is left the session goes on, and hears what it has."""
    async with bench() as gateway:
        async with enter(gateway, await mint(gateway, uses=2, **BUYER), "message") as socket:
            assert (await receive(socket))["type"] == "session.created"
            for prompt in ("hm", SCALE, SCALE, SCALE):
                await say(socket, type="stream.create", input={"prompt": prompt})
            answers: list[str] = []
            whole = 0
            while whole < 2 or len(answers) < 4:
                message = await receive(socket)
                if message["type"] in ("stream.created", "error"):
                    answers.append(message.get("error", {}).get("code", "created"))
                whole += message["type"] == "stream.completed"
            assert answers == ["invalid_input", "created", "created", "ticket_used"]
            await say(socket, type="ping", t=1)
            assert (await receive(socket))["type"] == "pong"
        assert gateway.simulator.requests == 2


async def test_seconds_are_taken_at_once_and_given_back_with_the_bill() -> None:
    """Two orders at once want more than the ticket may buy: the second has to wait for the bill of the first."""
    async with bench() as gateway, anybody() as http:
        ticket = await mint(gateway, uses=0, max_audio_seconds=300, **BUYER)
        first = await order(http, gateway, ticket, LONG)
        assert first[0] == 201
        assert await order(http, gateway, ticket) == (429, "quota_exceeded")
        async with gateway.http.get(first[1]) as response:
            await response.content.readexactly(1)
        assert gateway.simulator.requests == 1
        async with gateway.http.delete(first[1].removesuffix("/audio.mp3")) as response:
            assert (await response.json())["usage"]["settled"] is True
        async with asyncio.timeout(PATIENCE):
            while (again := await order(http, gateway, ticket))[0] == 429:
                pass
        assert again[0] == 201


async def test_an_order_that_the_tenant_has_no_room_for_costs_no_seconds() -> None:
    """All of them are there when there is room again."""
    async with bench(limits=Limits(concurrent_streams=1)) as gateway, anybody() as http:
        ticket = await mint(gateway, uses=0, max_audio_seconds=300, **BUYER)
        stream = await gateway.create(LONG)
        assert await order(http, gateway, ticket) == (429, "concurrency_exceeded")
        async with gateway.http.delete(f"{gateway.url}/v1/streams/{stream['id']}") as response:
            assert response.status == 200
        assert (await order(http, gateway, ticket))[0] == 201


async def test_a_session_outlives_its_ticket_and_buys_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is in hears on."""
    clock = Clock(0.0)
    monkeypatch.setattr("gateway.server.auth.Visitor", partial(Visitor, now=clock))
    async with bench() as gateway:
        async with enter(gateway, await mint(gateway, uses=0, **BUYER), "query") as socket:
            await say(socket, type="stream.create", input={"prompt": SCALE})
            while (await receive(socket))["type"] != "stream.started":
                pass
            clock.at = 1e12
            await say(socket, type="stream.create", ref="late", input={"prompt": SCALE})
            assert (await hear(socket, until=("error",))).named("error")["error"]["code"] == "credentials_expired"
            assert (await hear(socket)).named("stream.completed")
        assert gateway.simulator.requests == 1


async def test_whoever_is_turned_away_had_nothing_carried_out() -> None:
    """What was said behind a bad ticket is dropped with the session; the gateway serves everybody else."""
    async with bench() as gateway:
        stream = await gateway.create(SCALE)
        for more in (
            {"type": "stream.attach", "stream_id": stream["id"]},
            {"type": "stream.create", "input": {"prompt": SCALE}},
            {"type": "stream.cancel", "stream_id": stream["id"]},
        ):
            async with enter(gateway, "", "none") as socket:
                for message in ({"type": "session.authenticate", "ticket": "wt_no"}, more, {"type": "ping"}):
                    await socket.send(json.dumps(message))
                heard = [await receive(socket)]
                async with asyncio.timeout(PATIENCE):
                    with suppress(ConnectionClosed):
                        while True:
                            heard.append(json.loads(await socket.recv()))
                assert [one["error"]["code"] for one in heard] == ["bad_credentials"]
                assert socket.close_code == 4001
        assert await fate(gateway, await mint(gateway), "message") == (0, "")
        async with gateway.http.get(stream["urls"]["audio"]) as response:
            assert len(await response.read()) > 10_000
        assert gateway.simulator.requests == 1


# -- restarts ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def kept(simulator: Simulator, file: Path, tenants: list[Tenant]) -> AsyncIterator[Bench]:
    """A gateway that keeps its tickets in this file."""
    config = Config(
        server=Server(port=0, internal_port=0),
        upstream=Upstream(base_url=simulator.url, audio_hosts=["127.0.0.1:*"]),
        transcode=Transcode(workers=0),
        quota=Quota(store=f"sqlite:///{file}"),
        tenants=tenants,
    )
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        Gateway(config, PROVIDER_KEY) as gateway,
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(PATIENCE)) as http,
    ):
        yield Bench(gateway, simulator, http)


async def test_a_restart_forgets_no_use_and_no_ticket(tmp_path: Path) -> None:
    """With a file: what was used stays used, what was not is good, and what a removed tenant gave is good no more."""
    file = tmp_path / "usage.db"
    async with Simulator(speed=0) as simulator, anybody() as http:
        async with kept(simulator, file, TENANTS) as gateway:
            audio = (await gateway.create(SCALE))["urls"]["audio"]
            used, half, good, removed = [
                await mint(gateway, uses=uses, key=key) for uses, key in ((1, KEY), (2, KEY), (1, KEY), (0, OTHER_KEY))
            ]
            assert await http_code(http, f"{audio}?ticket={used}") == (200, "")
            assert await http_code(http, f"{audio}?ticket={half}") == (200, "")
            assert await fate(gateway, removed, "query") == (0, "")
        async with kept(simulator, file, TENANTS[:1]) as gateway:
            audio = (await gateway.create(SCALE))["urls"]["audio"]
            for ticket in (half, good):
                assert await http_code(http, f"{audio}?ticket={ticket}") == (200, "")
            for ticket in (used, half, good):
                assert await http_code(http, f"{audio}?ticket={ticket}") == (401, "ticket_used")
                assert await fate(gateway, ticket, "subprotocol") == (401, "ticket_used")
            assert await http_code(http, f"{audio}?ticket={removed}") == (401, "bad_credentials")
            assert await fate(gateway, removed, "message") == (4001, "bad_credentials")


async def test_without_a_file_no_ticket_outlives_the_gateway() -> None:
    """Its secret was in memory: what was good is then not known."""
    async with bench() as gateway:
        ticket = await mint(gateway, uses=0)
        assert await fate(gateway, ticket, "query") == (0, "")
    async with bench() as gateway:
        assert await fate(gateway, ticket, "query") == (401, "bad_credentials")
        assert (await ask_ticket(gateway, query=f"?ticket={ticket}"))[0] == 401


# -- the command line --------------------------------------------------------------------------------------------------

Start = Callable[..., Awaitable[Program]]


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_guest_listens_with_a_ticket_from_the_command_line(process: Start, tmp_path: Path) -> None:
    """`wavegate ticket` prints it alone; `wavegate listen --ticket` hears the song, once; what is refused is told."""
    nobody = {"DASHSCOPE_API_KEY": "", "WAVEGATE_KEY": "", "PYTHONPATH": str(ROOT)}

    async def wavegate(*arguments: Any, **more: str) -> Program:
        return await process(sys.executable, "-m", "gateway", *arguments, cwd=ROOT, environment=nobody | more)

    server = await wavegate("serve", "--demo", "--port", "0", "--internal-port", "0")
    url = (await server.says(r"^  public    (http://127\.0\.0\.1:\d+)$"))[1]
    headers = {"Authorization": "Bearer demo"}
    async with anybody() as http:
        async with http.post(f"{url}/v1/streams", json={"input": {"prompt": SCALE}}, headers=headers) as response:
            stream = await response.json()
        async with http.get(stream["urls"]["audio"], headers=headers) as response:
            song = await response.read()
    minting, refused = await asyncio.gather(
        wavegate("ticket", "--server", url, "--stream", stream["id"], "--ttl", "30", WAVEGATE_KEY="demo"),
        wavegate("ticket", "--server", url, "--key", "wrong"),
    )
    assert await minting.ends() == 0, minting.said
    assert await refused.ends() == 1
    assert (refused.stdout, bytes(refused.stderr)) == (b"", b"wavegate: This key is not known here.\n")
    ticket = minting.stdout.decode()
    assert ticket.startswith("wt_")
    assert ticket.count("\n") == 1
    assert b"good until 20" in minting.stderr
    file = tmp_path / "song.mp3"
    join = ("listen", "--server", url, "--ticket", ticket.strip(), "--stream", stream["id"], "-o", file)
    first = await wavegate(*join)
    assert await first.ends() == 0, first.said
    assert "sha256 verified" in first.said
    assert file.read_bytes() == song
    again = await wavegate(*join)
    assert await again.ends() == 1
    assert "ticket_used" in again.said
    server.send(signal.SIGTERM)
    assert await server.ends() == 0
    for program in (server, minting, refused, first, again):
        assert "Traceback" not in program.said
    assert ticket.strip() not in server.said
