"""Where scenes of trouble are played for an operator: gateways and what they need, each watched under a job of its own.

Invariant: a scene makes its trouble with what real clients, providers and machines do; when it is over the gateways
still run and are still watched, and all ends with the stage.
It must not know the alerts.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from websockets.exceptions import WebSocketException

from gateway.config.schema import Limits, Tenant
from gateway.config.secret import key_hash
from gateway.upstream.simulator.server import Simulator
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.gateway import KEY, PROVIDER_KEY, Bench, bench
from tests.support.prometheus import Prometheus

Need = Callable[[str], str]
Start = Callable[..., Awaitable[Program]]

ENVIRONMENT = {"DASHSCOPE_API_KEY": PROVIDER_KEY, "PYTHONPATH": os.pathsep.join(sys.path)}
UNLIMITED = Limits(
    concurrent_streams=0, streams_per_minute=0, audio_seconds_per_day=0, audio_seconds_per_month=0, listeners=0
)
STARTED = 60.0  # s for a program on a busy machine


@dataclass
class Served:
    """A gateway as a process of its own, started by a configuration file that may be changed."""

    program: Program
    public: str
    internal: str
    file: Path
    settings: dict[str, Any]

    def write(self, **sections: dict[str, Any]) -> None:
        """Changes sections of the file."""
        for name, section in sections.items():
            self.settings.setdefault(name, {}).update(section)
        self.file.write_text(json.dumps(self.settings), encoding="utf-8")

    def children(self, called: str = "") -> list[int]:
        """The processes that it has started, whichever of its threads did, with this in their command."""
        found = []
        for task in Path(f"/proc/{self.program.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                with suppress(OSError):
                    if called in Path(f"/proc/{pid}/cmdline").read_bytes().decode():
                        found.append(int(pid))
        return found


@dataclass
class Stage:
    """`stack` is left at the end; `seen` watches what is shown to it."""

    need: Need
    process: Start
    folder: Path
    seen: Prometheus
    stack: AsyncExitStack
    simulator: Simulator
    http: aiohttp.ClientSession
    targets: dict[str, str] = field(default_factory=dict)

    def show(self, internal: str, job: str) -> None:
        """From now on it is watched."""
        self.targets[internal] = job
        self.seen.watch(self.targets)

    async def gateway(self, job: str, **sections: Any) -> Bench:
        """One in the test's own loop, for a tenant without limits unless told otherwise."""
        tenants = [Tenant(id="acme", keys=[key_hash(KEY)], limits=sections.pop("limits", UNLIMITED))]
        found = await self.stack.enter_async_context(bench(tenants=tenants, **sections))
        self.show(found.internal, job)
        return found

    async def serve(
        self, job: str, *arguments: str, before: tuple[str, ...] = (), **sections: dict[str, Any]
    ) -> Served:
        """One as a process; `before` is what starts it."""
        settings: dict[str, Any] = {
            "server": {"port": 0, "internal_port": 0, "drain_timeout": 1.0},
            "upstream": {"base_url": self.simulator.url, "audio_hosts": ["127.0.0.1:*"]},
            "quota": {"store": "memory:"},
            "transcode": {"workers": 0},
            "tenants": [{"id": "acme", "keys": [key_hash(KEY)]}],
        }
        file = self.folder / f"{job}-{len(self.targets)}.yaml"
        served = Served(None, "", "", file, settings)  # type: ignore[arg-type]  # it is started in a moment
        served.write(**sections)
        await self.start(served, *arguments, before=before)
        self.show(served.internal, job)
        return served

    async def start(self, served: Served, *arguments: str, before: tuple[str, ...] = ()) -> None:
        """Starts it, or starts it again after it has ended."""
        command = (*before, sys.executable, "-m", "gateway", "serve", "--config", str(served.file), *arguments)
        served.program = await self.process(*command, cwd=ROOT, environment=ENVIRONMENT)
        internal = await served.program.says(r"^  internal  (http://127\.0\.0\.1:\d+)/metrics$", STARTED)
        public = await served.program.says(r"^  public    (https?://127\.0\.0\.1:\d+)$", STARTED)
        served.internal, served.public = internal[1], public[1]

    async def order(self, url: str, prompt: str, **fields: Any) -> dict[str, Any]:
        """What is answered, whatever it is, to an order that could be taken."""
        headers = {"Authorization": f"Bearer {KEY}"}
        body = {"input": {"prompt": prompt, **fields}}
        async with self.http.post(f"{url}/v1/streams", json=body, headers=headers) as response:
            found: dict[str, Any] = await response.json()
            assert response.status != 400, f"{prompt}: {found}"
            return found


@asynccontextmanager
async def again(deed: Callable[[], Awaitable[object]], pause: float = 0.2) -> AsyncIterator[None]:
    """Does it over and over in the context; that somebody is refused, or cut, is part of the play."""

    async def over_and_over() -> None:
        while True:
            with suppress(aiohttp.ClientError, ConnectionError, TimeoutError, WebSocketException):
                await deed()
            await asyncio.sleep(pause)

    task = asyncio.create_task(over_and_over())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (failure := task.exception()) is not None:
            raise failure


@asynccontextmanager
async def stopped_and_going(pid: int, stops: float, goes: float, rests: float) -> AsyncIterator[None]:
    """A process that a machine gives a processor to for moments only, and now and then for long enough to be asked."""

    async def beats() -> None:
        for _ in range(6):
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(stops)
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(goes)

    try:
        async with again(beats, rests):
            yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
