"""A whole gateway with its simulator on free ports, in the test's own event loop, and the client's side of a song.

Invariant: everything that is started here is stopped here; every wait is bounded.
It must not test anything itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from websockets.asyncio.client import ClientConnection, connect

from gateway.app import Gateway
from gateway.config.schema import Cluster, Config, Limits, Log, Quota, Relay, Tenant, Transcode, Upstream
from gateway.config.secret import key_hash
from gateway.config.server import Server
from gateway.model import Kind
from gateway.protocol.frames import Header, unpack
from gateway.upstream.simulator.server import Simulator

PROVIDER_KEY = "sk-test-provider-key-0123456789"
KEY = "wg_acme"
OTHER_KEY = "wg_other"
PATIENCE = 30.0


@dataclass
class Bench:
    """A running gateway, its upstream, and an HTTP client that is who `key` says."""

    gateway: Gateway
    simulator: Simulator
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.gateway.addresses.public

    @property
    def internal(self) -> str:
        return self.gateway.addresses.internal

    @property
    def ws_url(self) -> str:
        return "ws" + self.url.removeprefix("http") + "/v1/ws"

    async def create(self, prompt: str, **input_fields: Any) -> dict[str, Any]:
        body = {"input": {"prompt": prompt, **input_fields}}
        async with self.http.post(f"{self.url}/v1/streams", json=body) as response:
            assert response.status == 201, await response.text()
            document: dict[str, Any] = await response.json()
            return document

    async def info(self, stream_id: str) -> dict[str, Any]:
        async with self.http.get(f"{self.url}/v1/streams/{stream_id}") as response:
            document: dict[str, Any] = await response.json()
            return document

    async def original(self, prompt: str, **input_fields: Any) -> bytes:
        """The file the provider itself would give for this song."""
        body = {"model": "fun-music-v1", "input": {"prompt": prompt, **input_fields}}
        headers = {"Authorization": f"Bearer {PROVIDER_KEY}"}
        path = "/api/v1/services/audio/music/generation"
        async with aiohttp.ClientSession() as client:
            async with client.post(self.simulator.url + path, json=body, headers=headers) as response:
                url = (await response.json())["output"]["audio"]["url"]
            async with client.get(url) as response:
                return await response.read()


@asynccontextmanager
async def bench(
    *, speed: float = 20.0, tenants: list[Tenant] | None = None, replay: Path | None = None, **sections: Any
) -> AsyncIterator[Bench]:
    """A gateway with the tenants acme and other; `sections` are whole sections of the configuration.

    With a `replay` the provider is that recording.
    """
    async with Simulator(speed=speed, replay=replay) as simulator:
        config = Config(
            server=sections.get("server", Server(port=0, internal_port=0)),
            upstream=msgspec.structs.replace(
                sections.get("upstream", Upstream()), base_url=simulator.url, audio_hosts=["127.0.0.1:*"]
            ),
            relay=sections.get("relay", Relay()),
            quota=sections.get("quota", Quota(store="memory:")),
            cluster=sections.get("cluster", Cluster()),
            log=sections.get("log", Log()),
            # Threads: most tests convert nothing, and a process takes its time to start.
            transcode=sections.get("transcode", Transcode(workers=0)),
            tenants=tenants
            or [
                Tenant(id="acme", keys=[key_hash(KEY)], limits=sections.get("limits", Limits())),
                Tenant(id="other", keys=[key_hash(OTHER_KEY)]),
            ],
        )
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            Gateway(config, PROVIDER_KEY) as gateway,
            aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(PATIENCE)) as http,
        ):
            yield Bench(gateway, simulator, http)


@dataclass
class Heard:
    """What one WebSocket listener got: its control messages in order, and its frames."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    init: bytes = b""
    bare: bytes = b""
    frames: list[tuple[Header, bytes]] = field(default_factory=list)

    @property
    def audio(self) -> bytes:
        return self.init + b"".join([payload for _, payload in self.frames])

    @property
    def seqs(self) -> list[int]:
        return [header.seq for header, _ in self.frames]

    def named(self, kind: str) -> dict[str, Any]:
        """The one message of this type."""
        found = [message for message in self.messages if message["type"] == kind]
        assert len(found) == 1, (kind, [message["type"] for message in self.messages])
        return found[0]


@asynccontextmanager
async def talk(bench: Bench, *, key: str = KEY, **options: Any) -> AsyncIterator[ClientConnection]:
    """An authenticated WebSocket that has been greeted."""
    # A client that leaves with its own queue full never sees our close: it is not to wait for it for long.
    options = {"close_timeout": 0.3} | options
    headers = {"Authorization": f"Bearer {key}"}
    async with connect(
        bench.ws_url, subprotocols=["wavegate.v1"], additional_headers=headers, compression=None, **options
    ) as socket:
        greeting = await receive(socket)
        assert greeting["type"] == "session.created", greeting
        yield socket


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def receive(socket: ClientConnection) -> dict[str, Any]:
    """The next control message; audio before it is skipped, and so is news of the budget."""
    async with asyncio.timeout(PATIENCE):
        while True:
            data = await socket.recv()
            if isinstance(data, str) and (message := json.loads(data))["type"] != "quota.updated":
                found: dict[str, Any] = message
                return found


async def hear(
    socket: ClientConnection,
    *,
    until: tuple[str, ...] = ("stream.completed", "stream.failed"),
    framed: bool = True,
) -> Heard:
    """Everything up to the message that ends the stream; what is not `framed` is payload alone."""
    heard = Heard()
    async with asyncio.timeout(PATIENCE):
        while True:
            data = await socket.recv()
            if isinstance(data, str):
                message = json.loads(data)
                heard.messages.append(message)
                if message["type"] in (*until, "error"):
                    return heard
                continue
            if not framed:
                heard.bare += data
                continue
            header, payload = unpack(data)
            if header.kind is Kind.INIT:
                heard.init = payload
            else:
                heard.frames.append((header, payload))
