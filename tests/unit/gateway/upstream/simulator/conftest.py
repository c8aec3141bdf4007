"""What the simulator's tests on real sockets share: a simulator, and a client that tells everything about an answer.

Invariant: an answer that breaks off is told as far as it came, never raised.
It must not know scenarios.
"""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from gateway.protocol.fun_music import PATH
from gateway.upstream.simulator.server import Simulator


@dataclass
class Answer:
    """`broken` is how the body ended, None when as HTTP wants it."""

    status: int
    headers: Mapping[str, str]
    raw: bytes = b""
    broken: Exception | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        """The documents of whole events, each on one data line with the usual line ends."""
        whole = self.raw.split(b"\n\n")[:-1]
        return [json.loads(line[5:]) for event in whole for line in event.split(b"\n") if line.startswith(b"data:")]

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found

    @property
    def audio(self) -> bytes:
        """All audio of all events."""
        audio = (event["output"]["audio"]["data"] for event in self.events if "output" in event)
        return b"".join(map(base64.b64decode, audio))


Ask = Callable[..., Awaitable[Answer]]
Call = Callable[..., Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(speed=0, random=random.Random(1)) as simulator:
        yield simulator


@pytest.fixture
def ask(client: aiohttp.ClientSession, sim: Simulator) -> Ask:
    """`await ask(marker, stream=True, at=sim, **input)`: one call and all of its answer."""

    async def ask(marker: str, *, stream: bool = True, at: Simulator = sim, **fields: object) -> Answer:
        headers = {"Authorization": "Bearer any"} | ({"X-DashScope-SSE": "enable"} if stream else {})
        body = {"model": "fun-music-v1", "input": {"prompt": f"[[{marker}]] some words", **fields}}
        async with client.post(at.url + PATH, json=body, headers=headers) as response:
            answer = Answer(response.status, response.headers)
            try:
                while data := await response.content.readany():
                    answer.raw += data
            except (aiohttp.ClientError, OSError) as error:
                answer.broken = error
        return answer

    return ask


@pytest.fixture
async def call(sim: Simulator) -> AsyncIterator[Call]:
    """`await call(marker, at=sim)`: a streamed call on a bare connection, whose answer nobody has read yet."""
    opened: list[asyncio.StreamWriter] = []

    async def call(marker: str, *, at: Simulator = sim) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = at.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        opened.append(writer)
        body = json.dumps({"model": "fun-music-v1", "input": {"prompt": f"[[{marker}]] some words"}}).encode()
        writer.write(
            b"POST %s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer k\r\nX-DashScope-SSE: enable\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (PATH.encode(), len(body), body)
        )
        return reader, writer

    yield call
    for writer in opened:
        writer.close()
