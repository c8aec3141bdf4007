"""Two gateways on one Redis with nginx and HAProxy in front of them, as a tenant's client sees them through a proxy.

Invariant: both proxies stand before the same gateways; whoever talks through one trusts its certificate; everything
that is started here is stopped here. It must not test anything itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gateway.relay.channel import Channel
from gateway.relay.stream import Stream
from tests.support.gateway import KEY, PATIENCE, Bench, receive
from tests.support.proxies import Behind, Changes, Front, front
from tests.support.union import union
from transcode.framer import Framer

Need = Callable[[str], str]
PROXIES = ("nginx", "haproxy")


@dataclass
class House:
    """Two gateways, a proxy in front of them, and a tenant's HTTP client that trusts it."""

    nodes: list[Bench]
    proxy: Front
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.proxy.secure

    async def create(self, prompt: str, **input_fields: Any) -> dict[str, Any]:
        body = {"input": {"prompt": prompt, **input_fields}}
        async with self.http.post(f"{self.url}/v1/streams", json=body) as response:
            assert response.status == 201, await response.text()
            document: dict[str, Any] = await response.json()
            return document

    def channel(self, stream_id: str) -> Channel:
        """The provider's own sound at the gateway that bought it."""
        (owner,) = [node.gateway.hub for node in self.nodes if node.gateway.hub.owns(stream_id)]
        (found,) = [stream for stream in owner.streams if stream.id == stream_id]
        assert isinstance(found, Stream)
        return found.native

    async def original(self, prompt: str) -> bytes:
        """The provider's own bytes for this prompt, from the first codec frame on."""
        framer = Framer()
        whole = await self.nodes[0].original(prompt)
        return b"".join([frame.data for frame in framer.feed(whole) + framer.flush()])

    @asynccontextmanager
    async def talk(self, **options: Any) -> AsyncIterator[ClientConnection]:
        """A WebSocket of the tenant, greeted."""
        url = self.url.replace("https", "wss") + "/v1/ws"
        headers = {"Authorization": f"Bearer {KEY}"}
        given = {"ssl": self.proxy.trust, "compression": None, "close_timeout": 0.3, **options}
        async with connect(url, subprotocols=[Subprotocol("wavegate.v1")], additional_headers=headers, **given) as line:
            assert (await receive(line))["type"] == "session.created"
            yield line


@asynccontextmanager
async def houses(
    need: Need, folder: Path, changes: Mapping[str, Changes] | None = None, **sections: Any
) -> AsyncIterator[list[House]]:
    """The same two gateways behind each of the proxies; `changes` to its files by its name."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with union(need("redis-server"), **sections) as nodes, AsyncExitStack() as stack:
        gateways = [Behind.of(node) for node in nodes.nodes]
        found = []
        for name in PROXIES:
            place = folder / name
            place.mkdir()
            proxy = await stack.enter_async_context(front(name, need, place, gateways, (changes or {}).get(name, ())))
            lines = aiohttp.TCPConnector(ssl=proxy.trust)
            time = aiohttp.ClientTimeout(PATIENCE)
            session = aiohttp.ClientSession(headers=headers, connector=lines, timeout=time)
            found.append(House(nodes.nodes, proxy, await stack.enter_async_context(session)))
        yield found


async def each(found: list[House], check: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    """The check, behind all of them at the same time."""
    async with asyncio.TaskGroup() as tasks:
        for one in found:
            tasks.create_task(check(one), name=one.proxy.name)
