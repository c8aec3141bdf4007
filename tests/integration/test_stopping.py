"""A gateway under listeners of every kind is told to stop: who may finish hears every byte, and the bill is settled.

Real processes, by signals. Invariant under test: SIGTERM ends in order and in time whatever is heard, and no
generation is settled twice or never. It looks at frames, bodies, segments, hashes, exit codes and the ledger's file.
"""

import asyncio
import hashlib
import json
import os
import re
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.config.secret import key_hash
from gateway.config.server import Server
from gateway.upstream.simulator.server import Simulator
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.gateway import say, talk
from tests.support.union import union

Start = Callable[..., Awaitable[Program]]
Need = Callable[[str], str]

KEY = "wg_acme"
HEADERS = {"Authorization": f"Bearer {KEY}"}
PATIENCE = 60.0


@dataclass
class Stage:
    """A gateway as a process, and what its listeners have told."""

    program: Program
    url: str
    internal: str
    folder: Path
    http: aiohttp.ClientSession
    begun: int = 0
    told: list[float] = field(default_factory=list)
    closed: list[tuple[int, str]] = field(default_factory=list)

    async def order(self, seconds: float) -> str:
        body = {"input": {"prompt": f"[[scale seconds={seconds} speed=1]] a scale that is heard to its end"}}
        async with self.http.post(f"{self.url}/v1/streams", json=body) as response:
            assert response.status == 201, await response.text()
            return str((await response.json())["id"])

    async def websocket(self, stream_id: str) -> str | None:
        """Hears it to its end; the hash of what it heard, where the gateway says the same, or None if it was cut."""
        heard = hashlib.sha256()
        url = "ws" + self.url.removeprefix("http") + "/v1/ws"
        async with connect(url, additional_headers=HEADERS, subprotocols=["wavegate.v1"], compression=None) as socket:  # type: ignore[list-item]  # it is a str
            await socket.send(json.dumps({"type": "stream.attach", "stream_id": stream_id, "framing": "raw"}))
            begun = False
            try:
                while True:
                    message = await socket.recv()
                    if isinstance(message, bytes):
                        heard.update(message)
                        self.begun += not begun
                        begun = True
                        continue
                    said = json.loads(message)
                    if said["type"] == "session.goaway":
                        self.told.append(time.monotonic())
                        assert said["time_left_ms"] > 0
                    elif said["type"] == "stream.completed":
                        assert said["sha256"] == heard.hexdigest()
                        return heard.hexdigest()
            except ConnectionClosed as end:
                self.closed.append((end.rcvd.code, end.rcvd.reason) if end.rcvd is not None else (1006, ""))
                return None

    async def body(self, stream_id: str) -> str | None:
        """The same of a progressive answer."""
        heard = hashlib.sha256()
        async with self.http.get(f"{self.url}/v1/streams/{stream_id}/audio.mp3") as response:
            assert response.status == 200
            begun = False
            try:
                async for piece in response.content.iter_any():
                    heard.update(piece)
                    self.begun += not begun
                    begun = True
            except aiohttp.ClientPayloadError:
                return None
        return heard.hexdigest()

    async def segments(self, stream_id: str) -> int:
        """Fetches as players behind a proxy do, each file by a connection of its own; how many segments there were."""
        base, fetched, begun = f"{self.url}/v1/streams/{stream_id}/hls", set[str](), False
        async with aiohttp.ClientSession(
            headers={**HEADERS, "User-Agent": f"player {id(fetched)}"}, connector=aiohttp.TCPConnector(force_close=True)
        ) as http:
            while True:
                async with http.get(f"{base}/index.m3u8") as response:
                    assert response.status == 200, await response.text()
                    text = await response.text()
                for name in re.findall(r"^\d+\.m4s$", text, re.MULTILINE):
                    if name not in fetched:
                        async with http.get(f"{base}/{name}") as response:
                            assert response.status == 200
                            assert await response.read()
                        fetched.add(name)
                self.begun += not begun
                begun = True
                if "#EXT-X-ENDLIST" in text:
                    return len(fetched)
                await asyncio.sleep(0.3)

    async def status(self, path: str) -> tuple[int, Any]:
        async with self.http.get(f"{self.internal}{path}") as response:
            return response.status, await response.json()

    async def hearing(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.begun < count:  # noqa: ASYNC110 - what is looked at has no event
                await asyncio.sleep(0.02)

    def bill(self) -> tuple[str, int, int]:
        """What the ledger's file says of the one generation, once the process has ended: status, settled, received.

        It is booked once, in every period.
        """
        with closing(sqlite3.connect(self.folder / "usage.db")) as ledger:
            ((status, settled, received, finished_at),) = ledger.execute(
                "SELECT status, settled, received, finished_at FROM generations"
            ).fetchall()
            booked = ledger.execute("SELECT audio FROM budgets").fetchall()
        assert finished_at is not None
        assert {audio for (audio,) in booked} == {settled}
        return status, settled, received


@asynccontextmanager
async def stage(process: Start, folder: Path, **server: Any) -> AsyncIterator[Stage]:
    async with (
        Simulator() as simulator,
        aiohttp.ClientSession(
            headers=HEADERS, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(PATIENCE)
        ) as http,
    ):
        file = folder / "wavegate.yaml"
        settings = {
            "server": {"port": 0, "internal_port": 0, **server},
            "upstream": {"base_url": simulator.url, "audio_hosts": ["127.0.0.1:*"]},
            "quota": {"store": f"sqlite:///{folder}/usage.db"},
            "tenants": [{"id": "acme", "keys": [key_hash(KEY)], "limits": {"listeners": 0, "connections": 0}}],
        }
        file.write_text(json.dumps(settings), encoding="utf-8")
        surroundings = {"DASHSCOPE_API_KEY": "sk-test-provider-key-0123456789", "PYTHONPATH": os.pathsep.join(sys.path)}
        program = await process(
            sys.executable, "-m", "gateway", "serve", "--config", file, cwd=ROOT, environment=surroundings
        )
        url = (await program.says(r"^  public    (http://127\.0\.0\.1:\d+)$", PATIENCE))[1]
        internal = (await program.says(r"^  internal  (http://127\.0\.0\.1:\d+)/metrics$", PATIENCE))[1]
        yield Stage(program, url, internal, folder, http)


@pytest.mark.parametrize(
    ("sockets", "bodies", "players", "seconds", "window"),
    [(20, 8, 4, 8, 24), pytest.param(350, 100, 50, 30, 60, marks=[pytest.mark.nightly, pytest.mark.timeout(200)])],
)
async def test_whoever_may_finish_does(
    process: Start, tmp_path: Path, sockets: int, bodies: int, players: int, seconds: int, window: int
) -> None:
    """All kinds of listeners hear the whole song, and what is new is refused in a whole answer."""
    async with stage(process, tmp_path, drain_timeout=float(window)) as there:
        stream_id = await there.order(seconds)
        async with asyncio.timeout(3 * PATIENCE), asyncio.TaskGroup() as tasks:
            whole = [tasks.create_task(there.websocket(stream_id)) for _ in range(sockets)]
            whole += [tasks.create_task(there.body(stream_id)) for _ in range(bodies)]
            fetched = [tasks.create_task(there.segments(stream_id)) for _ in range(players)]
            await there.hearing(sockets + bodies + players)
            there.program.send(signal.SIGTERM)
            await there.program.says("stopping")
            assert await there.status("/readyz") == (503, {"status": "unready", "reasons": ["draining"]})
            assert (await there.status("/healthz"))[0] == 200
            body = {"input": {"prompt": "a song that comes too late to be sung"}}
            # The port is open for those who fetch: whoever wants something new hears that it comes too late.
            async with there.http.post(f"{there.url}/v1/streams", json=body) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (503, "going_away")
                assert (response.headers["Connection"], response.headers["Retry-After"]) == ("close", "1")
        assert await there.program.ends(PATIENCE) == 0
        assert len({task.result() for task in whole}) == 1, "everybody has heard the same, and all of it"
        assert whole[0].result() is not None
        segments = {task.result() for task in fetched}
        assert len(segments) == 1, "all have fetched all segments"
        assert segments.pop() >= seconds - 1
        status, settled, received = there.bill()
        assert (status, settled) == ("completed", pytest.approx(received, rel=0.1))


@pytest.mark.parametrize(
    ("sockets", "window"), [(40, 3.0), pytest.param(400, 12.0, marks=[pytest.mark.nightly, pytest.mark.timeout(120)])]
)
async def test_behind_the_deadline_nobody_is_waited_for(
    process: Start, tmp_path: Path, sockets: int, window: float
) -> None:
    """A song that is too long: its listeners are told one after another over half of the window, and cut at its end.

    None is left, and what was sung is billed once.
    """
    async with stage(process, tmp_path, drain_timeout=window) as there:
        stream_id = await there.order(180)
        async with asyncio.timeout(2 * PATIENCE), asyncio.TaskGroup() as tasks:
            cut = [tasks.create_task(there.websocket(stream_id)) for _ in range(sockets)]
            cut += [tasks.create_task(there.body(stream_id)) for _ in range(5)]
            await there.hearing(sockets + 5)
            there.program.send(signal.SIGTERM)
            began = time.monotonic()
        assert await there.program.ends(PATIENCE) == 0
        assert time.monotonic() - began < window + 10.0
        moments = sorted(at - began for at in there.told)
        assert len(moments) == sockets
        # A busy machine makes them later. None is told before its time: of each quarter of it a quarter has been told.
        for quarter in range(1, 4):
            early = sum(moment < quarter * window / 8 for moment in moments)
            assert early <= sockets * (quarter / 4 + 1 / 8), moments
        assert moments[-1] - moments[0] >= window / 8, "nor all at once"
        assert {task.result() for task in cut} == {None}
        assert {code for code, _ in there.closed} == {1012}
        assert all(re.fullmatch(r"going_away;retry_after_ms=\d+", reason) for _, reason in there.closed)
        status, settled, received = there.bill()
        assert (status, settled == received, settled > 0) == ("failed", True, True)


@pytest.mark.nightly
async def test_a_balancer_gets_its_time_and_a_second_signal_takes_it(process: Start, tmp_path: Path) -> None:
    """While it is given, all is taken as before, but for being ready; then the port is closed. Twice is at once."""
    async with stage(process, tmp_path, drain_delay=60.0, drain_timeout=60.0) as there:
        there.program.send(signal.SIGTERM)
        await there.program.says("stopping")
        assert (await there.status("/readyz"))[0] == 503
        stream_id = await there.order(120)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            cut = tasks.create_task(there.websocket(stream_id))
            await there.hearing(1)
            there.program.send(signal.SIGTERM)
        assert await there.program.ends(PATIENCE) == 0
        assert (cut.result(), [code for code, _ in there.closed]) == (None, [1012])
        assert there.bill()[0] == "failed"


async def test_where_there_is_another_node_listeners_go_there(need: Need) -> None:
    """Who hears nothing goes at the word, who hears another node's song in the last moments, and nothing runs late."""
    server = Server(port=0, internal_port=0, drain_timeout=3.0)
    async with union(need("redis-server"), server=server) as both:
        staying, leaving = both.nodes
        song = await staying.create("[[scale seconds=60 speed=1]] a scale that goes on elsewhere")
        async with talk(leaving) as idle, talk(leaving) as hearing:
            await say(hearing, type="stream.attach", stream_id=song["id"], framing="raw")
            async with asyncio.timeout(PATIENCE):
                while not isinstance(await hearing.recv(), bytes):
                    pass
            began = time.monotonic()
            draining = asyncio.create_task(leaving.gateway.drain())
            ends: dict[str, tuple[float, int, bool]] = {}

            async def until_it_closes(name: str, socket: ClientConnection) -> None:
                told = False
                try:
                    while True:
                        message = await socket.recv()
                        told = told or (isinstance(message, str) and "session.goaway" in message)
                except ConnectionClosed as end:
                    code = end.rcvd.code if end.rcvd is not None else 1006
                    ends[name] = (time.monotonic() - began, code, told)

            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(until_it_closes("idle", idle), until_it_closes("hearing", hearing), draining)
        assert [end[1:] for end in ends.values()] == [(1012, True)] * 2
        assert ends["idle"][0] < ends["hearing"][0]
        (stream,) = staying.gateway.hub.streams
        assert not stream.status.final
        await staying.gateway.hub.get(stream.tenant, stream.id).stop()
