"""A gateway as a program of its own, to which something is done, and a client that looks at what becomes of it.

Invariant: the provider and the listeners live in the test, so what is done to the gateway is done to it alone; every
wait is bounded. It must not know what is done, nor judge it.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.client import connect

from gateway.config.secret import key_hash
from gateway.protocol.frames import unpack
from gateway.upstream.simulator.server import Simulator
from tests.house.programs import Program
from tests.support.gateway import KEY, PATIENCE, PROVIDER_KEY
from tests.support.union import answered

Start = Callable[..., Awaitable[Program]]
HEADERS = {"Authorization": f"Bearer {KEY}"}
ENVIRONMENT = {"DASHSCOPE_API_KEY": PROVIDER_KEY, "PYTHONPATH": os.pathsep.join(sys.path)}


@dataclass
class Faulty:
    """`settings` is the configuration that it starts with, `before` the command that starts it."""

    process: Start
    folder: Path
    http: aiohttp.ClientSession
    simulator: Simulator
    settings: dict[str, Any]
    before: tuple[str | Path, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    public: str = ""
    internal: str = ""

    def __post_init__(self) -> None:
        self.program: Program

    async def begin(self) -> Program:
        """Starts the program, and does not wait for it."""
        file = self.folder / "wavegate.yaml"
        file.write_text(json.dumps(self.settings), encoding="utf-8")
        command = (*self.before, sys.executable, "-m", "gateway", "serve", "--config", file)
        self.program = await self.process(*command, cwd=self.folder, environment=ENVIRONMENT | self.environment)
        return self.program

    async def start(self) -> None:
        program = await self.begin()
        self.internal = (await program.says(r"^  internal  (http://127\.0\.0\.1:\d+)/metrics$", PATIENCE))[1]
        self.public = (await program.says(r"^  public    (http://127\.0\.0\.1:\d+)$"))[1]

    async def ask(self, prompt: str) -> tuple[int, dict[str, Any]]:
        """An order, and what is answered."""
        body = {"input": {"prompt": prompt}}
        async with self.http.post(f"{self.public}/v1/streams", json=body, headers=HEADERS) as response:
            return response.status, await response.json()

    async def order(self, prompt: str) -> str:
        status, document = await self.ask(prompt)
        assert status == 201, document
        return str(document["id"])

    async def whole(
        self, stream_id: str, form: str = "", begun: asyncio.Event | None = None, patience: float = PATIENCE
    ) -> float:
        """Hears it to its end, without a hole and to the hash that is told; how long its longest pause was, in s."""
        url = "ws" + self.public.removeprefix("http") + "/v1/ws"
        loop, heard, pause, expected = asyncio.get_running_loop(), hashlib.sha256(), 0.0, 0
        last = loop.time()
        async with (
            asyncio.timeout(patience),
            connect(url, additional_headers=HEADERS, compression=None, close_timeout=0.3, max_queue=None) as line,
        ):
            attach = {"type": "stream.attach", "stream_id": stream_id} | ({"format": form} if form else {})
            await line.send(json.dumps(attach))
            while True:
                message = await line.recv()
                if isinstance(message, bytes):
                    header, payload = unpack(message)
                    heard.update(payload)
                    if header.kind.name != "INIT":
                        assert header.seq == expected
                        expected += 1
                    pause, last = max(pause, loop.time() - last), loop.time()
                    if begun is not None:
                        begun.set()
                    continue
                said = json.loads(message)
                assert said["type"] not in ("stream.failed", "stream.gap", "error"), said
                if said["type"] == "stream.completed":
                    assert said["sha256"] == heard.hexdigest()
                    return pause

    async def usage(self) -> dict[str, dict[str, Any]]:
        """The rows of the bill."""
        async with self.http.get(f"{self.public}/v1/usage", headers=HEADERS) as response:
            document = await response.json()
            assert response.status == 200, document
            return {row["stream_id"]: row for row in document["generations"]}

    async def billed(self, stream_id: str) -> dict[str, Any]:
        """Its row, once it is settled."""
        ended = ("completed", "failed", "cancelled", "expired")
        rows = await answered(self.usage, lambda given: given.get(stream_id, {}).get("status") in ended)
        row: dict[str, Any] = rows[stream_id]
        return row

    async def ready(self) -> list[str]:
        """Why it wants no new work."""
        async with self.http.get(f"{self.internal}/readyz") as response:
            reasons: list[str] = (await response.json())["reasons"]
            return reasons

    async def metric(self, name: str) -> float:
        """The sum of all series whose name and labels begin so."""
        async with self.http.get(f"{self.internal}/metrics") as response:
            page = await response.text()
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))

    def children(self, called: str) -> list[int]:
        """The processes that it has started, with this in their command."""
        pids = [
            int(pid)
            for task in Path(f"/proc/{self.program.pid}/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]
        return [pid for pid in pids if called in Path(f"/proc/{pid}/cmdline").read_bytes().decode()]


@asynccontextmanager
async def faulty(
    process: Start, folder: Path, *, before: tuple[str | Path, ...] = (), **sections: dict[str, Any]
) -> AsyncIterator[Faulty]:
    """One that is not started yet, with a ledger in a file of `folder`; `sections` are added to its configuration."""
    timeout = aiohttp.ClientTimeout(PATIENCE)
    connector = aiohttp.TCPConnector(force_close=True)
    async with Simulator(speed=4) as simulator, aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        settings: dict[str, Any] = {
            "server": {"port": 0, "internal_port": 0, "drain_timeout": 2.0},
            "upstream": {"base_url": simulator.url, "audio_hosts": ["127.0.0.1:*"]},
            "quota": {"store": f"sqlite:///{folder / 'usage.db'}"},
            "transcode": {"workers": 0},
            "tenants": [{"id": "acme", "keys": [key_hash(KEY)]}],
        }
        for name, section in sections.items():
            settings[name] = settings.get(name, {}) | section
        yield Faulty(process, folder, http, simulator, settings, before)
