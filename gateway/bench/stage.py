"""What a load test plays on: the real `wavegate serve`, a provider and a crowd, each a process of its own.

The gateway has a processor for itself, the others share the rest. Invariant: its processor time is the kernel's, of
that process alone; nothing is left of a stage, neither processes nor files.
It must not know what is measured.
"""

import asyncio
import json
import os
import secrets
import signal
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gateway.bench.audience import order
from gateway.bench.benches import BenchError
from gateway.bench.crowd import orders
from gateway.bench.programs import Program, program
from gateway.bench.report import Row
from gateway.bench.usage import processor_seconds, resident, split_processors
from gateway.config.schema import Limits
from gateway.config.secret import key_hash
from gateway.config.section import keys_of

# Eight frames of an mp3 of 128 kbit/s and 48 kHz: each slice that the provider sends makes one chunk.
BITRATE, CHUNK_BYTES, CHUNK_SECONDS = 128_000, 3072, 0.192
LONGEST = 600.0  # that the simulator sings
UNLIMITED = {known.name: 0 for known in keys_of(Limits)}  # what a tenant's settings say of limits when there are none
_KEY_VARIABLE = "DASHSCOPE_API_KEY"
_GRACE_SECONDS = 30.0  # for an answer beyond the time that the order has
_TIMEOUT = 10.0

A = TypeVar("A")


class Missing(BenchError):  # noqa: N818 - what happened, read as `except Missing`
    """Not all listeners were given sound in time."""


class Crowd:
    """The load generator, as seen from here: orders in turns."""

    def __init__(self, running: Program) -> None:
        self._running = running

    async def join(self, group: str, door: orders.Door, url: str, count: int, **more: Any) -> orders.Joined:
        """Raises Missing unless all were given sound."""
        wish = orders.Join(group=group, door=door, url=url, count=count, **more)
        joined = await self._ask(wish, orders.Joined, wish.seconds)
        if joined.joined < count:
            found = await self.report()
            words = "; ".join(found.groups[group].words) or "the rest got none"
            raise Missing(f"{joined.joined} of {count} listeners got sound within {wish.seconds:g} s: {words}")
        return joined

    async def mark(self) -> None:
        """Counts anew."""
        await self._ask(orders.Mark(), type(None), 0.0)

    async def report(self) -> orders.Found:
        """What came since the mark."""
        return await self._ask(orders.Report(), orders.Found, 0.0)

    async def end(self, seconds: float) -> orders.Found:
        """The same, once everybody's song is over, or after so many seconds."""
        return await self._ask(orders.End(seconds=seconds), orders.Found, seconds)

    async def churn(self, **wish: Any) -> orders.Churned:
        """Has listeners come and go."""
        wished = orders.Churn(**wish)
        return await self._ask(wished, orders.Churned, wished.seconds)

    async def leave(self, group: str) -> int:
        """How many have left: all of the group."""
        return (await self._ask(orders.Leave(group), orders.Left, 0.0)).left

    async def _ask(self, wish: orders.Order, kind: type[A], seconds: float) -> A:
        answer = await self._running.ask(orders.encode(wish), seconds + _GRACE_SECONDS)
        return msgspec.json.decode(answer, type=kind)


@asynccontextmanager
async def crowd(files: int, processors: Collection[int]) -> AsyncIterator[Crowd]:
    """A load generator that may open so many files."""
    async with program("gateway.bench.crowd", str(files), processors=processors) as running:
        yield Crowd(running)


@asynccontextmanager
async def provider(processors: Collection[int]) -> AsyncIterator[str]:
    """The simulator of the provider; its address."""
    async with program("gateway", "simulate", "--port", "0", processors=processors) as running:
        yield (await running.says(r"simulator at (\S+?),"))[1]


@dataclass(frozen=True, slots=True)
class Server:
    """A running gateway. `complaints` is the file of its standard error."""

    pid: int
    public: str
    internal: str
    key: str
    complaints: Path

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return processor_seconds([self.pid])

    def kill(self) -> None:
        """Ends it as a power cut would."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def resident(self) -> int:
        """Bytes of memory in use."""
        return resident(self.pid)

    async def order(self, prompt: str) -> str:
        """Buys a song; the stream's id."""
        return await asyncio.to_thread(order, self.public, self.key, prompt)

    async def metrics(self) -> str:
        """What Prometheus would see."""
        return await asyncio.to_thread(_fetch, f"{self.internal}/metrics", self.key)

    async def usage(self) -> list[dict[str, Any]]:
        """Every row of the ledger."""
        rows: list[dict[str, Any]] = []
        after = ""
        while True:
            url = f"{self.public}/v1/usage?from=0&limit=1000{after}"
            page = json.loads(await asyncio.to_thread(_fetch, url, self.key))
            rows += page["generations"]
            if not page["next"]:
                return rows
            after = f"&after={page['next']}"

    async def streams(self) -> list[dict[str, Any]]:
        """What it still holds."""
        text = await asyncio.to_thread(_fetch, f"{self.public}/v1/streams?limit=500", self.key)
        found: list[dict[str, Any]] = json.loads(text)["streams"]
        return found


def _fetch(url: str, key: str) -> str:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - our own loopback address
    with urllib.request.urlopen(asked, timeout=_TIMEOUT) as answer:  # noqa: S310 - the same
        return str(answer.read().decode())


@asynccontextmanager
async def server(
    url: str, processor: int | None, more: Mapping[str, Any] | None = None, key: str | None = None
) -> AsyncIterator[Server]:
    """A gateway of its own process, on a processor of its own, or with None on any. `more` are settings beside those
    for a load test.
    """
    alone = () if processor is None else {processor}
    key = secrets.token_urlsafe(16) if key is None else key
    with tempfile.TemporaryDirectory(prefix="wavegate-bench-") as folder:
        file, complaints = Path(folder) / "wavegate.yaml", Path(folder) / "complaints"
        # JSON is YAML, too.
        file.write_text(json.dumps(settings(url, key) | dict(more or {})), encoding="utf-8")
        given = {_KEY_VARIABLE: secrets.token_urlsafe(16)}
        arguments = ("serve", "--config", str(file))
        async with program(
            "gateway", *arguments, processors=alone, environment=given, complaints=complaints
        ) as running:
            try:
                public = (await running.says(r"public\s+(\S+)"))[1]
                internal = (await running.says(r"internal\s+(\S+)/metrics"))[1]
            except BenchError as error:
                raise BenchError(f"{error} {complaints.read_text(errors='replace').strip()[-2000:]}") from None
            yield Server(running.pid, public, internal, key, complaints)


def generous(url: str, **more: Any) -> dict[str, Any]:
    """The settings of a provider at this address who takes all there is; `more` are beside those or in their place."""
    return {
        "base_url": url,
        "audio_hosts": ["127.0.0.1:*"],
        "requests_per_minute": 60_000,
        "max_concurrency": 1000,
        "max_queue": 1000,
        "max_queue_per_tenant": 1000,
    } | more


def settings(url: str, key: str) -> dict[str, Any]:
    """A configuration with room for everybody: free ports, no limits, and a provider that takes all there is."""
    return {
        "server": {"port": 0, "internal_port": 0, "drain_timeout": 1.0},
        "upstream": generous(url),
        "quota": {"store": "memory:"},
        "tenants": [{"id": "bench", "keys": [key_hash(key)], "limits": UNLIMITED}],
    }


def prompt(seconds: float, number: int = 0) -> str:
    """Words for a song of so many seconds at its own speed, whose slices make a chunk each; another for each number."""
    marker = f"[[song seconds={min(seconds, LONGEST):.1f} speed=1 wait=0 id3=0 bitrate={BITRATE} slice={CHUNK_BYTES}]]"
    return f"{marker} a song for very many, and this is number {number} of them"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything runs. With one processor only, all share it."""

    provider: str
    processor: int
    others: frozenset[int]

    def rows(self) -> list[Row]:
        """A line that says so where the gateway has no processor for itself."""
        if self.processor not in self.others:
            return []
        return [Row("processors", 1.0, "", None, "the gateway shares it with its load: read with care", digits=0)]


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A provider, and the processors for what comes; this process itself leaves the gateway's processor, too."""
    processor, others = split_processors()
    before = os.sched_getaffinity(0)
    async with AsyncExitStack() as stack:
        os.sched_setaffinity(0, others)
        stack.callback(os.sched_setaffinity, 0, before)
        url = await stack.enter_async_context(provider(others))
        yield Stage(url, processor, others)
