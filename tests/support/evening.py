"""An evening at two gateways, for a picture of the dashboard: `python -m tests.support.evening FOLDER MINUTES`.

Three tenants order songs, a crowd hears them at every door and in many formats; in turn the provider fails, lines are
too slow, a codec worker dies, Redis stands still, a gateway is started anew. Prometheus watches as an operator's does,
every 15 s and with the rules as they are, and keeps what it saw in FOLDER; tests.support.picture draws it.
Invariant: load on loopback only, bounded in number and time. It must not know the dashboard.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from gateway.config.secret import key_hash
from gateway.upstream.simulator.server import Simulator
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.prometheus import prometheus
from tests.support.redis import redis_server

TENANTS = {"acme": 6, "studio": 4, "radio": 2}  # how many songs at once each may have
FORMATS = ("mp3", "mp3", "ogg", "aac", "flac", "mp3", "hls")
ENVIRONMENT = {"DASHSCOPE_API_KEY": "sk-test-provider-key-0123456789", "PYTHONPATH": os.pathsep.join(sys.path)}


def needed(name: str) -> str:
    """The path of a program."""
    found = shutil.which(name)
    assert found, f"{name} is needed"
    return found


class House:
    """A gateway at ports that it keeps when it is started anew."""

    def __init__(self, folder: Path, name: str, upstream: str, redis: str) -> None:
        self.file = folder / f"{name}.yaml"
        ports = [_free_port() for _ in range(2)]
        self.url, self.internal = (f"http://127.0.0.1:{port}" for port in ports)
        settings: dict[str, Any] = {
            "server": {"port": ports[0], "internal_port": ports[1], "drain_timeout": 5.0},
            "upstream": {"base_url": upstream, "audio_hosts": ["127.0.0.1:*"], "max_concurrency": 16},
            "relay": {"stall_timeout": 20.0, "silence_seconds": 5.0, "retain_seconds": 300.0},
            "transcode": {"workers": 1},
            "quota": {"store": redis, "prices": {"fun-music-v1": {"per_second": 0.002}}},
            "cluster": {"redis_url": redis},
            "log": {"level": "warning"},
            "tenants": [
                {"id": name, "keys": [key_hash(f"wg_{name}")], "limits": {"concurrent_streams": most}}
                for name, most in TENANTS.items()
            ],
        }
        self.file.write_text(json.dumps(settings), encoding="utf-8")
        self.program: Program

    async def start(self) -> None:
        command = (sys.executable, "-m", "gateway", "serve", "--config", self.file)
        self.program = await Program.start(*command, cwd=ROOT, environment=ENVIRONMENT)
        await self.program.says(r"^  internal  http", 60)

    async def stop(self) -> None:
        await self.program.stop()

    def codec_workers(self) -> list[int]:
        tasks = Path(f"/proc/{self.program.pid}/task").iterdir()
        children = [pid for task in tasks for pid in (task / "children").read_text().split()]
        return [int(pid) for pid in children if b"transcode.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Evening:
    """`words` go before every prompt: what the provider is to do just now."""

    def __init__(self, houses: list[House], http: aiohttp.ClientSession, tasks: asyncio.TaskGroup) -> None:
        self.houses = houses
        self.http = http
        self.tasks = tasks
        self.words: Callable[[], str] = lambda: ""

    async def songs(self, until: float) -> None:
        """Orders, some at a gateway that has no room for more, each heard by some."""
        while time.time() < until:
            tenant = random.choice(list(TENANTS))
            seconds, wait = random.randint(50, 110), random.choice((1, 2, 2, 3, 4, 7))
            prompt = self.words() or f"[[song seconds={seconds} speed=1.3 wait={wait}]] a song for the evening"
            stream = await self._order(random.choice(self.houses), tenant, prompt)
            if stream is not None:
                for _ in range(random.randint(2, 7)):
                    self._spawn(self.listen(random.choice(self.houses), tenant, stream))
            await asyncio.sleep(random.uniform(5, 12))

    async def _order(self, house: House, tenant: str, prompt: str) -> str | None:
        headers = {"Authorization": f"Bearer wg_{tenant}"}
        with suppress(aiohttp.ClientError, TimeoutError):
            body = {"input": {"prompt": prompt}}
            async with self.http.post(f"{house.url}/v1/streams", json=body, headers=headers) as response:
                found = await response.json()
                return found.get("id") if response.status == 201 else None
        return None

    def _spawn(self, coroutine: Awaitable[None]) -> None:
        async def quietly() -> None:
            with suppress(aiohttp.ClientError, WebSocketException, OSError, TimeoutError):
                await coroutine

        self.tasks.create_task(quietly())

    async def listen(self, house: House, tenant: str, stream: str) -> None:
        """To the end, or until it has had enough."""
        await asyncio.sleep(random.uniform(0, 12))
        kind = random.choice(FORMATS)
        patience = random.choice((15, 40, 300, 300, 300))
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                if kind == "hls":
                    await self._fetch(house, tenant, stream)
                elif random.random() < 0.6:
                    await self._websocket(house, tenant, stream, kind)
                else:
                    await self._progressive(house, tenant, stream, kind)

    async def _websocket(self, house: House, tenant: str, stream: str, kind: str) -> None:
        address = "ws" + house.url.removeprefix("http") + "/v1/ws"
        headers = {"Authorization": f"Bearer wg_{tenant}"}
        async with connect(address, subprotocols=["wavegate.v1"], additional_headers=headers, close_timeout=1) as line:  # type: ignore[list-item]  # a str is one
            await line.send(json.dumps({"type": "stream.attach", "stream_id": stream, "format": kind}))
            async for message in line:
                if isinstance(message, str) and json.loads(message)["type"] in ("stream.completed", "stream.failed"):
                    return

    async def _progressive(self, house: House, tenant: str, stream: str, kind: str, pace: float = 0.0) -> None:
        headers = {"Authorization": f"Bearer wg_{tenant}"}
        async with self.http.get(f"{house.url}/v1/streams/{stream}/audio.{kind}", headers=headers) as response:
            async for _ in response.content.iter_chunked(4096):
                await asyncio.sleep(pace)

    async def _fetch(self, house: House, tenant: str, stream: str) -> None:
        headers = {"Authorization": f"Bearer wg_{tenant}"}
        place, fetched, playlist = f"{house.url}/v1/streams/{stream}/hls/", set[str](), ""
        while "#EXT-X-ENDLIST" not in playlist:
            async with self.http.get(place + "index.m3u8", headers=headers) as response:
                if response.status != 200:
                    return
                playlist = await response.text()
            for name in [line for line in playlist.splitlines() if line and not line.startswith("#")]:
                if name not in fetched:
                    fetched.add(name)
                    async with self.http.get(place + name, headers=headers) as response:
                        await response.read()
            await asyncio.sleep(1.0)

    async def slow_lines(self, count: int) -> None:
        """Who takes less than a song makes, until they are cut; for a song that is long and large."""
        prompt = "[[scale seconds=400 speed=4]] a song for slow lines"
        stream = None
        while stream is None:
            stream = await self._order(self.houses[0], "acme", prompt)
            await asyncio.sleep(1)
        for number in range(count):
            pace = 0.5 if number % 2 else 60.0
            self._spawn(self._progressive(self.houses[0], "acme", stream, "wav", pace))


@asynccontextmanager
async def trouble(evening: Evening, seconds: float, *words: str) -> AsyncIterator[None]:
    """So long the provider does this for most orders."""
    evening.words = lambda: f"[[{random.choice(words)}]] a song for the evening" if random.random() < 0.8 else ""
    await asyncio.sleep(seconds)
    evening.words = lambda: ""
    yield


async def main(folder: Path, minutes: float) -> None:
    random.seed(7)
    folder.mkdir(parents=True)
    unit = minutes * 60 / 100
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(needed("redis-server")))
        simulator = await stack.enter_async_context(Simulator(speed=1.3))
        houses = [House(folder, name, simulator.url, redis.url) for name in ("gateway-1", "gateway-2")]
        for house in houses:
            await house.start()
            stack.push_async_callback(house.stop)
        seen = await stack.enter_async_context(prometheus(needed("prometheus"), folder, {}, interval="15s"))
        seen.watch(
            {house.internal: "wavegate" for house in houses}, {house.internal: house.file.stem for house in houses}
        )
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(None))
        )
        begin = time.time()
        async with asyncio.TaskGroup() as tasks:
            evening = Evening(houses, http, tasks)
            players = [tasks.create_task(evening.songs(begin + 96 * unit)) for _ in range(2)]
            await asyncio.sleep(30 * unit)
            async with trouble(evening, 9 * unit, "unavailable", "timeout", "cut after=8 how=reset"):
                await asyncio.sleep(11 * unit)
            await evening.slow_lines(14)
            await asyncio.sleep(12 * unit)
            async with trouble(evening, 5 * unit, "stall seconds=60 after=10 silence=20", "song seconds=40 mute=10"):
                for pid in houses[0].codec_workers():
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(6 * unit)
            redis.stop_answering()
            await asyncio.sleep(4 * unit)
            redis.answer_again()
            await asyncio.sleep(6 * unit)
            await houses[1].program.stop()
            await houses[1].start()
            await asyncio.wait(players)
            await asyncio.sleep(4 * unit)
            (folder / "times.json").write_text(json.dumps({"begin": begin, "end": time.time()}), encoding="utf-8")
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                if task.get_coro().__qualname__.endswith("quietly"):  # type: ignore[union-attr]  # ours have one
                    task.cancel()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
