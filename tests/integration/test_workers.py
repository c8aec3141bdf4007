"""Several workers as real processes on one port: deaths, a rolling restart, a reload, a drain, a supervisor's death.

Invariant under test: the port is never without somebody, a song that plays is heard to its end through a restart, and
nothing is left of it all. It looks at sockets, processes, output and exit codes only.
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect

from gateway.config.secret import key_hash
from gateway.protocol.frames import unpack
from gateway.upstream.simulator.server import Simulator
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.redis import redis_server

Start = Callable[..., Awaitable[Program]]
Need = Callable[[str], str]
KEY = "wg_acme"
PATIENCE = 50.0
SONGS = 4
# Longer than the replacement of one worker, as a rule, and shorter than a drain.
SONG = "[[scale seconds=4 speed=1]] a scale through a restart"


class Two:
    """A supervisor with two workers, and a client of theirs that takes a new connection for each request."""

    def __init__(self, program: Program, public: str, internal: str, file: Path, http: aiohttp.ClientSession) -> None:
        self.program = program
        self.public = public
        self.internal = internal
        self.file = file
        self.http = http

    def workers(self) -> set[int]:
        """The processes of those that live."""
        path = Path(f"/proc/{self.program.pid}/task/{self.program.pid}/children")
        return {int(pid) for pid in path.read_text().split()}

    async def get(self, url: str, key: str = KEY) -> tuple[int, str]:
        async with self.http.get(url, headers={"Authorization": f"Bearer {key}"}) as answer:
            return answer.status, await answer.text()

    async def served(self, times: int = 10) -> None:
        """So many who come are all answered, whoever works at the moment."""
        for _ in range(times):
            assert (await self.get(f"{self.public}/"))[0] == 200

    async def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await self.get(f"{self.internal}/readyz"))[1])
        return found


def sockets(pid: int) -> int:
    """How many a process has open."""
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since the folder was listed
            found += os.readlink(entry).startswith("socket:")
    return found


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/exe").exists()


@asynccontextmanager
async def two(process: Start, need: Need, folder: Path) -> AsyncIterator[Two]:
    """It is up, with a simulator for its provider."""
    async with (
        redis_server(need("redis-server")) as redis,
        Simulator() as simulator,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True), timeout=aiohttp.ClientTimeout(PATIENCE)
        ) as http,
    ):
        file = folder / "wavegate.yaml"
        settings = {
            "server": {"port": 0, "internal_port": 0, "drain_timeout": 10.0},
            "upstream": {"base_url": simulator.url, "audio_hosts": ["127.0.0.1:*"]},
            "cluster": {"redis_url": redis.url},
            "quota": {"store": redis.url},
            "transcode": {"workers": 0},
            "tenants": [{"id": "acme", "keys": [key_hash(KEY)]}],
        }
        file.write_text(json.dumps(settings), encoding="utf-8")
        surroundings = {"DASHSCOPE_API_KEY": "sk-test-provider-key-0123456789", "PYTHONPATH": os.pathsep.join(sys.path)}
        command = (sys.executable, "-m", "gateway", "serve", "--config", file, "--workers", "2")
        program = await process(*command, cwd=ROOT, environment=surroundings)
        internal = (await program.says(r"^  internal  (http://127\.0\.0\.1:\d+)/metrics$", PATIENCE))[1]
        public = (await program.says(r"^  public    (http://127\.0\.0\.1:\d+)$"))[1]
        yield Two(program, public, internal, file, http)
        assert "Traceback" not in program.said
        assert "sk-test" not in program.said


async def song(url: str, begun: asyncio.Event) -> tuple[int, int]:
    """Orders one, hears it over the same WebSocket to its end, and holds it against the hash that is told there.

    Gives how many frames came, and how many bytes of sound were in them.
    """
    heard, frames, size = hashlib.sha256(), 0, 0
    headers = {"Authorization": f"Bearer {KEY}"}
    address = "ws" + url.removeprefix("http") + "/v1/ws"
    async with connect(address, subprotocols=["wavegate.v1"], additional_headers=headers) as line:  # type: ignore[list-item]  # a str is one
        order = {"type": "stream.create", "ref": "1", "input": {"prompt": SONG}}
        await line.send(json.dumps(order))
        async for message in line:
            if isinstance(message, bytes):
                payload = unpack(message)[1]
                heard.update(payload)
                frames, size = frames + 1, size + len(payload)
                begun.set()
            elif (told := json.loads(message))["type"] == "stream.completed":
                assert told["sha256"] == heard.hexdigest()
                return frames, size
    raise AssertionError("the song was not heard to its end")


@pytest.mark.timeout(150)  # six processes start, one after the other; on a busy machine each takes its time
async def test_the_life_of_two_workers(process: Start, need: Need, tmp_path: Path) -> None:
    """Both serve; one that is killed comes back; both are replaced while songs play, of which the joined metrics have
    each frame and byte; a reload reaches both; a drain ends all.
    """
    async with two(process, need, tmp_path) as there:
        assert await there.ready() == {"status": "ready", "reasons": []}
        first = there.workers()
        assert len(first) == 2
        before = {pid: sockets(pid) for pid in first}
        lines = [await asyncio.open_connection("127.0.0.1", int(there.public.rpartition(":")[2])) for _ in range(40)]
        await there.served(1)
        # Each gets half of them; that one of two gets fewer than 8 of 40 happens once in 10,000 times.
        async with asyncio.timeout(PATIENCE):
            while sum(sockets(pid) - before[pid] for pid in first) < 40:  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.01)
        assert all(sockets(pid) - before[pid] >= 8 for pid in first)
        for _, writer in lines:
            writer.close()

        os.kill(min(first), signal.SIGKILL)
        await there.served()
        async with asyncio.timeout(PATIENCE):
            while len(there.workers()) < 2 or (await there.ready())["reasons"]:
                await there.served(1)
                await asyncio.sleep(0.05)
        second = there.workers()
        assert second & first == {max(first)}

        begun = [asyncio.Event() for _ in range(SONGS)]
        listening = asyncio.gather(*[song(there.public, one) for one in begun])
        await asyncio.wait_for(asyncio.gather(*[one.wait() for one in begun]), PATIENCE)
        there.program.send(signal.SIGUSR2)
        async with asyncio.timeout(PATIENCE):
            while "restart.done" not in there.program.said:
                await there.served(1)
                await asyncio.sleep(0.05)
                assert "restart ended early" not in there.program.said, there.program.said
        heard = await asyncio.wait_for(listening, PATIENCE)
        third = there.workers()
        assert (len(third), third & second) == (2, set())
        metrics = (await there.get(f"{there.internal}/metrics"))[1]
        assert 'wavegate_worker_restarts_total{reason="died"} 1.0' in metrics
        assert 'wavegate_worker_restarts_total{reason="replaced"} 2.0' in metrics
        # All was counted by workers that are gone.
        page = {
            line.partition(" ")[0]: float(line.partition(" ")[2]) for line in metrics.splitlines() if line[0] != "#"
        }
        frames, size = (sum(part) for part in zip(*heard, strict=True))
        assert page['wavegate_streams_total{model="fun-music-v1",outcome="completed"}'] == SONGS
        assert page['wavegate_frames_written_total{transport="websocket"}'] == frames > 10 * SONGS
        assert page['wavegate_egress_bytes_total{codec="mp3",transport="websocket"}'] == size

        assert (await there.get(f"{there.public}/v1/usage", "wg_new"))[0] == 401
        settings = json.loads(there.file.read_text(encoding="utf-8"))
        settings["tenants"].append({"id": "new", "keys": [key_hash("wg_new")]})
        there.file.write_text(json.dumps(settings), encoding="utf-8")
        there.program.send(signal.SIGHUP)
        await there.program.says(r"(?s)tenants=2.*tenants=2", PATIENCE)
        for _ in range(8):
            assert (await there.get(f"{there.public}/v1/usage", "wg_new"))[0] == 200

        there.program.send(signal.SIGTERM)
        assert await there.program.ends(PATIENCE) == 0
        assert not any(alive(pid) for pid in third)


@pytest.mark.nightly
async def test_workers_do_not_outlive_their_supervisor(process: Start, need: Need, tmp_path: Path) -> None:
    """It is killed and can tell nobody: they notice, and end in good order."""
    async with two(process, need, tmp_path) as there:
        workers = there.workers()
        there.program.send(signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            while any(alive(pid) for pid in workers):  # noqa: ASYNC110 - their parent is gone, and they are told to nobody
                await asyncio.sleep(0.02)
