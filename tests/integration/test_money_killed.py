"""A gateway that is killed in the middle of songs, as a real process on a real file, and started again.

Invariant under test: what was settled stays settled, slots come back when their leases end, an order that was made is
not made again, and nobody waits for a dead owner. It looks at answers and the ledger's report only.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.config.secret import key_hash
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.gateway import KEY, PATIENCE, PROVIDER_KEY

# The processes choose their own loops.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

Start = Callable[..., Awaitable[Program]]

LEASE_SECONDS = 1.0
SLOTS = 3
SHORT = "[[scale seconds=2 speed=0]] a scale that is whole"
LONG = "[[scale seconds=60 speed=3]] a scale that is broken off"


class House:
    """A gateway on a file, and the simulator beside it; `url` is where it answers at present."""

    def __init__(self, process: Start, folder: Path, http: aiohttp.ClientSession) -> None:
        self._process = process
        self._folder = folder
        self._http = http
        self._provider = ""
        self.url = ""
        self.gateway: Program

    async def _wavegate(self, *arguments: str | Path) -> Program:
        environment = {
            "PYTHONPATH": str(ROOT),
            "DASHSCOPE_API_KEY": PROVIDER_KEY,
            "WAVEGATE__UPSTREAM__BASE_URL": self._provider or "http://127.0.0.1:1",
        }
        return await self._process(
            sys.executable, "-m", "gateway", *arguments, cwd=self._folder, environment=environment
        )

    async def build(self) -> None:
        simulator = await self._wavegate("simulate", "--port", "0")
        self._provider = (await simulator.says(r"simulator at (http://127\.0\.0\.1:\d+),"))[1]
        (self._folder / "wavegate.yaml").write_text(
            f"tenants: [{{id: acme, keys: ['{key_hash(KEY)}'], limits: {{concurrent_streams: {SLOTS}}}}}]\n"
            f"quota: {{store: 'sqlite:///usage.db', lease_seconds: {LEASE_SECONDS}}}\n",
            encoding="utf-8",
        )

    async def start(self) -> None:
        arguments = ("serve", "--config", "wavegate.yaml", "--port", "0", "--internal-port", "0")
        self.gateway = await self._wavegate(*arguments)
        self.url = (await self.gateway.says(r"^  public    (http://127\.0\.0\.1:\d+)$"))[1]

    async def kill(self) -> None:
        self.gateway.send(signal.SIGKILL)
        assert await self.gateway.ends(10.0) == -signal.SIGKILL

    async def order(self, prompt: str, key: str | None = None) -> tuple[int, dict[str, Any]]:
        headers = {} if key is None else {"Idempotency-Key": key}
        body = {"input": {"prompt": prompt}}
        async with self._http.post(f"{self.url}/v1/streams", json=body, headers=headers) as response:
            return response.status, await response.json()

    async def running(self) -> str:
        """A song whose sound has begun."""
        status, stream = await self.order(LONG)
        assert status == 201
        async with self._http.get(stream["urls"]["audio"]) as response:
            await response.content.readexactly(4096)
        return str(stream["id"])

    async def rows(self) -> dict[str, dict[str, Any]]:
        async with self._http.get(f"{self.url}/v1/usage") as response:
            return {row["stream_id"]: row for row in (await response.json())["generations"]}


@asynccontextmanager
async def house(process: Start, folder: Path) -> AsyncIterator[House]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(PATIENCE)) as http:
        place = House(process, folder, http)
        await place.build()
        yield place


async def test_three_deaths_lose_no_bill_and_no_slot(process: Start, tmp_path: Path) -> None:
    """Each time all slots are taken: whoever comes next finds the bills, its own orders, and soon a slot."""
    settled: dict[str, dict[str, Any]] = {}
    broken: set[str] = set()
    async with house(process, tmp_path) as place:
        for life in range(4):
            await place.start()
            rows = await place.rows()
            assert rows.keys() == settled.keys() | broken
            for stream_id, row in settled.items():
                assert rows[stream_id] == row
            for number, stream_id in enumerate(settled):
                status, again = await place.order(SHORT, f"song-{number}")
                assert (status, again["id"], again["usage"]["settled"]) == (200, stream_id, True)
            async with asyncio.timeout(PATIENCE):
                while (answer := await place.order(SHORT, f"song-{life}"))[0] == 429:
                    pass
            assert answer[0] == 201
            async with asyncio.timeout(PATIENCE):
                while (row := (await place.rows())[answer[1]["id"]])["status"] != "completed":
                    pass
            assert row["settled"] == 2.0
            rows = await place.rows()
            settled[answer[1]["id"]] = row
            for stream_id in broken:
                assert rows[stream_id]["status"] == "expired"
                assert 0.0 <= rows[stream_id]["settled"] < 60.0
                assert rows[stream_id]["settled"] + rows[stream_id]["refunded"] == rows[stream_id]["reserved"]
            if life < 3:
                broken |= set(await asyncio.gather(*[place.running() for _ in range(SLOTS)]))
                assert (await place.order(LONG))[1]["error"]["code"] == "concurrency_exceeded"
                await place.kill()
        place.gateway.send(signal.SIGTERM)
        assert await place.gateway.ends(10.0) == 0
        assert "Traceback" not in place.gateway.said
        assert len(settled) == 4
        assert len(broken) == 9
