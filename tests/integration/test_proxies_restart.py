"""Two gateways behind nginx are restarted, one after the other, under many listeners and orders: nobody notices.

Half of the listeners are the Python client, half are HTTP players that break off once and go on at the very byte.
Invariant under test: no byte is lost or comes twice, every hash is right, and every order is taken and bought once. It
looks at what clients hear, at /readyz, and at the ledger.
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.client import Client, Kind, Patience
from gateway.config.load import load
from gateway.config.secret import key_hash
from gateway.upstream.simulator.server import Simulator
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.gateway import PROVIDER_KEY
from tests.support.proxies import Behind, Front, free_ports, front
from tests.support.redis import redis_server
from tests.support.union import answered

Start = Callable[..., Awaitable[Program]]
Need = Callable[[str], str]

KEY = "wg_acme"
PATIENCE = Patience(base=0.1, cap=2.0, attempts=50, seconds=240.0)
# Hundreds of clients and two gateways, on two processors that measure coverage besides.
SECONDS = 240.0
DRAINING = {"status": "unready", "reasons": ["draining"]}
AWAY = (502, 503)
UNLIMITED = (
    *("listeners", "connections", "concurrent_streams", "streams_per_minute"),
    *("audio_seconds_per_day", "audio_seconds_per_month"),
)


@dataclass
class Audience:
    """What has been heard: the hash of each song by each listener, and how often they had to come back."""

    expected: int
    begun: int = 0
    all_hear: asyncio.Event = field(default_factory=asyncio.Event)
    hashes: dict[str, list[str]] = field(default_factory=dict)
    returns: int = 0

    def begins(self) -> None:
        self.begun += 1
        if self.begun == self.expected:
            self.all_hear.set()

    def heard(self, stream_id: str, sha256: str, returns: int) -> None:
        self.hashes.setdefault(stream_id, []).append(sha256)
        self.returns += returns


async def by_client(url: str, stream_id: str, audience: Audience) -> None:
    """A listener as the Python client is one: it comes back by itself."""
    heard, last = hashlib.sha256(), -1
    async with Client(url, key=KEY, patience=PATIENCE) as client, await client.attach(stream_id) as song:
        async for frame in song:
            heard.update(frame.payload)
            if frame.header.kind is Kind.AUDIO:
                assert frame.header.seq == last + 1
                last = frame.header.seq
                if last == 0:
                    audience.begins()
        assert heard.hexdigest() == song.sha256
        audience.heard(stream_id, heard.hexdigest(), song.statistics.reconnects)


async def by_http(http: aiohttp.ClientSession, url: str, stream_id: str, audience: Audience) -> None:
    """A player that asks for the rest when the body breaks off; once it is the player who leaves."""
    body, returns, leaves = b"", -1, True
    while True:
        returns += 1
        ranged = {"Range": f"bytes={len(body)}-"} if body else {}
        try:
            async with http.get(f"{url}/v1/streams/{stream_id}/audio.mp3", headers=ranged) as response:
                if response.status == 416:  # it had everything
                    break
                if response.status in AWAY:
                    await asyncio.sleep(0.2)  # as players do
                    continue
                assert response.status == (206 if body else 200), await response.text()
                async for piece in response.content.iter_any():
                    if not body:
                        audience.begins()
                    body += piece
                    if leaves and audience.all_hear.is_set():
                        leaves = False
                        break
                else:
                    break
        except aiohttp.ClientError:
            pass
    audience.heard(stream_id, hashlib.sha256(body).hexdigest(), returns)


async def orders(http: aiohttp.ClientSession, url: str, over: asyncio.Event) -> list[str]:
    """An order after the other until it is over; who is told to come back comes back with the same order."""
    taken: list[str] = []
    while not over.is_set():
        key = {"Idempotency-Key": f"order-{len(taken)}"}
        body = {"input": {"prompt": "[[scale seconds=1 speed=0]] a small song in between"}}
        while True:
            async with http.post(f"{url}/v1/streams", json=body, headers=key) as response:
                document: dict[str, Any] = await response.json()
            if response.status in AWAY:
                assert document["error"]["retryable"], document
                await asyncio.sleep(0.1)
                continue
            assert response.status in (200, 201), document
            taken.append(document["id"])
            break
        await asyncio.sleep(0.15)
    return taken


@dataclass
class Node:
    """A gateway in the test's own loop, at ports that it keeps over a restart."""

    folder: Path
    settings: dict[str, Any]
    public: int
    internal: int
    gateway: Gateway | None = None

    @property
    def file(self) -> Path:
        return self.folder / f"gateway-{self.public}.yaml"

    def configure(self) -> None:
        server = {**self.settings["server"], "port": self.public, "internal_port": self.internal}
        self.file.write_text(json.dumps({**self.settings, "server": server}), encoding="utf-8")

    async def begin(self, http: aiohttp.ClientSession) -> None:
        """Until it is ready."""
        await asyncio.to_thread(self.configure)
        await self.start()
        await answered(
            lambda: self.ready(http), lambda said: said == (200, {"status": "ready", "reasons": []}), SECONDS
        )

    async def start(self) -> None:
        config = await asyncio.to_thread(load, self.file, {})
        self.gateway = await Gateway(config.config, PROVIDER_KEY).__aenter__()

    async def end(self, http: aiohttp.ClientSession) -> None:
        """Until it has drained and is gone; /readyz says at once that it does."""
        assert self.gateway is not None
        drains = asyncio.ensure_future(self.gateway.drain())
        assert await answered(lambda: self.ready(http), lambda said: said[0] == 503, SECONDS) == (503, DRAINING)
        await drains
        await self.close()

    async def close(self) -> None:
        """Without a drain, if it is there."""
        gateway, self.gateway = self.gateway, None
        if gateway is not None:
            await gateway.__aexit__(None, None, None)

    async def ready(self, http: aiohttp.ClientSession) -> tuple[int, Any]:
        async with http.get(f"http://127.0.0.1:{self.internal}/readyz") as response:
            return response.status, await response.json()


@dataclass
class ProgramNode(Node):
    """The same as a program, which is told by SIGTERM."""

    run: Start | None = None
    program: Program | None = None

    async def start(self) -> None:
        surroundings = {"DASHSCOPE_API_KEY": PROVIDER_KEY, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = (sys.executable, "-m", "gateway", "serve", "--config", self.file)
        assert self.run is not None
        self.program = await self.run(*command, cwd=ROOT, environment=surroundings)
        await self.program.says(r"^  public    http", SECONDS)

    async def end(self, http: aiohttp.ClientSession) -> None:
        assert self.program is not None
        self.program.send(signal.SIGTERM)
        assert await answered(lambda: self.ready(http), lambda said: said[0] == 503, SECONDS) == (503, DRAINING)
        assert await self.program.ends(SECONDS) == 0, self.program.said


@pytest.mark.timeout(120)
async def test_nobody_notices(need: Need, tmp_path: Path) -> None:
    """Forty listeners, and gateways in this loop."""
    await _nobody_notices(partial(Node, tmp_path), need, tmp_path, 40, (2, 5))


@pytest.mark.nightly
@pytest.mark.timeout(300)
async def test_nobody_of_five_hundred_notices(process: Start, need: Need, tmp_path: Path) -> None:
    """Gateways as programs, ended by SIGTERM."""
    await _nobody_notices(partial(ProgramNode, tmp_path, run=process), need, tmp_path, 500, (15, 45))


async def _nobody_notices(
    make: Callable[[dict[str, Any], int, int], Node], need: Need, folder: Path, listeners: int, seconds: tuple[int, int]
) -> None:
    """A song ends while each of the two drains, at real time; every gateway has listeners of both."""
    async with redis_server(need("redis-server")) as redis, Simulator() as simulator:
        settings = {
            "server": {"drain_timeout": SECONDS},
            "upstream": {"base_url": simulator.url, "audio_hosts": ["127.0.0.1:*"], "requests_per_minute": 6000},
            "cluster": {"redis_url": redis.url},
            "transcode": {"workers": 0},
            "tenants": [{"id": "acme", "keys": [key_hash(KEY)], "limits": dict.fromkeys(UNLIMITED, 0)}],
        }
        ports = free_ports(4)
        nodes = [make(settings, *two) for two in ((ports[0], ports[1]), (ports[2], ports[3]))]
        gateways = [Behind(f"127.0.0.1:{node.public}", f"127.0.0.1:{node.internal}") for node in nodes]
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            aiohttp.ClientSession(
                headers=headers, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(SECONDS)
            ) as http,
            front("nginx", need, folder, gateways) as proxy,
        ):
            try:
                for node in nodes:
                    await node.begin(http)
                await _restarted(nodes, proxy, http, listeners, seconds)
            finally:
                for node in nodes:
                    await node.close()


async def _restarted(
    nodes: list[Node], proxy: Front, http: aiohttp.ClientSession, listeners: int, seconds: tuple[int, int]
) -> None:
    # One song of each gateway: which one a proxy would choose is the proxy's.
    songs = []
    for node, length in zip(nodes, seconds, strict=True):
        body = {"input": {"prompt": f"[[scale seconds={length} speed=1]] a song of {length} seconds"}}
        async with http.post(f"http://127.0.0.1:{node.public}/v1/streams", json=body) as response:
            songs.append((await response.json())["id"])
    audience, over = Audience(listeners), asyncio.Event()
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
        for number in range(listeners):
            song = songs[number // 2 % 2]
            hear = by_http(http, proxy.plain, song, audience) if number % 2 else by_client(proxy.plain, song, audience)
            tasks.create_task(hear)
        buying = tasks.create_task(orders(http, proxy.plain, over))
        await audience.all_hear.wait()
        for node in nodes:
            await node.end(http)
            await node.begin(http)
        over.set()
    assert [len(audience.hashes[song]) for song in songs] == [listeners // 2] * 2
    assert [len(set(audience.hashes[song])) for song in songs] == [1, 1], "all have heard the very same bytes"
    assert audience.returns >= listeners // 8, "they were there when it happened"
    taken = buying.result()
    assert len(set(taken)) == len(taken) > 3
    async with http.get(f"{proxy.plain}/v1/usage?limit=1000") as response:
        listed = (await response.json())["generations"]
    rows = {row["stream_id"]: row for row in listed}
    assert len(rows) == len(listed)
    assert {*songs, *taken} <= rows.keys()
    # An order that came as its gateway began to leave was taken back, before the provider heard of it.
    nothing = ("cancelled", None, 0.0)
    more = [
        row
        for name, row in rows.items()
        if name not in (*songs, *taken) and (row["status"], row["provider_request_id"], row["audio_seconds"]) != nothing
    ]
    assert not more, "each was bought once"
