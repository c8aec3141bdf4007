"""A recorded session given again.

Invariant tested: bytes, status and headers are the recording's, and so is the time, scaled; whatever is asked for.
It must not know how recordings are made.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.upstream.recording import RecordingError, answer_line, data_line, end_line, head_line
from gateway.upstream.simulator import server, wire
from gateway.upstream.simulator.replay import Replay
from gateway.upstream.simulator.server import Simulator

Ask = Callable[..., Awaitable[Any]]

HEAD = head_line(time="2026-05-06T07:08:09.123Z", model="fun-music-v1", mode="stream", request={})
PIECES = [(2.0, b"id:1\nevent:res"), (2.5, b"ult\nda"), (7.0, b"ta:{}\n\n")]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "x.flight.jsonl"
    headers = {"content-type": "text/event-stream;charset=UTF-8", "x-request-id": "recorded"}
    lines = [HEAD, answer_line(1.0, 200, headers), *(data_line(at, data) for at, data in PIECES), end_line(9.0, None)]
    path.write_bytes(b"".join(lines))
    return path


@pytest.mark.parametrize("marker", ["scale", "busy", "no such scenario"])
async def test_every_call_gets_the_recording(ask: Ask, recording: Path, marker: str) -> None:
    """Whatever its words, in either mode, and any number of times; it is marked as simulated."""
    async with Simulator(speed=0, replay=recording) as sim:
        for stream in (True, False):
            answer = await ask(marker, stream=stream, at=sim)
            assert answer.status == 200
            assert answer.raw == b"id:1\nevent:result\ndata:{}\n\n"
            assert answer.broken is None
            assert answer.headers["Content-Type"] == "text/event-stream;charset=UTF-8"
            assert answer.headers["X-Request-Id"] == "recorded"
            assert answer.headers["X-Wavegate-Simulated"] == "true"
        assert sim.requests == 2


@pytest.mark.parametrize("speed", [1.0, 4.0])
async def test_time_is_scaled(ask: Ask, recording: Path, speed: float) -> None:
    """Headers, each piece and the end come when they did, divided by the speed."""
    now = 100.0
    moments = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        moments.append(round((now - 100) * speed, 6))
        await asyncio.sleep(0)

    async with Simulator(speed=speed, replay=recording, clock=lambda: now, sleep=sleep) as sim:
        await ask("scale", at=sim)
    assert moments == [1.0, 2.0, 2.5, 7.0, 9.0]


async def test_a_recorded_refusal(ask: Ask, tmp_path: Path) -> None:
    """Its status and its headers are given again."""
    path = tmp_path / "refusal"
    answer = answer_line(0.1, 429, {"content-type": "application/json", "retry-after": "7"})
    path.write_bytes(HEAD + answer + data_line(0.2, b'{"code":"Throttling"}') + end_line(0.3, "upstream_busy"))
    async with Simulator(speed=0, replay=path) as sim:
        said = await ask("scale", at=sim)
    assert (said.status, said.headers["Retry-After"], said.document) == (429, "7", {"code": "Throttling"})


async def test_a_key_is_still_asked_for(ask: Ask, recording: Path) -> None:
    """A simulator with a key refuses others, recording or not."""
    async with Simulator(api_key="right", replay=recording) as sim:
        assert (await ask("scale", at=sim)).status == 401


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"", "not a recording"),
        (HEAD, "not finished"),
        (HEAD + end_line(1.0, "upstream_unavailable"), "holds no answer"),
    ],
)
async def test_a_bad_recording_is_said_at_the_start(tmp_path: Path, content: bytes | None, says: str) -> None:
    """With the file's name, before the port is opened."""
    path = tmp_path / "some.file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingError, match=says) as error:
        await Simulator(replay=path).__aenter__()
    assert "some.file" in str(error.value)


async def test_a_client_that_leaves_ends_its_replay(call: Ask, recording: Path) -> None:
    """A call that ends in the middle leaves the simulator as it was."""
    waiting: asyncio.Queue[float] = asyncio.Queue()
    ended = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await waiting.put(seconds)
        try:
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        finally:
            ended.set()

    async with Simulator(speed=1, replay=recording, sleep=sleep) as sim, asyncio.timeout(5):
        _, writer = await call("scale", at=sim)
        await waiting.get()
        writer.close()
        await ended.wait()


async def test_a_client_that_takes_nothing_is_cut(call: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that nobody takes for too long ends the connection."""
    monkeypatch.setattr(wire, "STALL_SECONDS", 0.05)
    given_up = asyncio.Event()

    class Watched(Replay):
        async def give(self, *arguments: Any, **options: Any) -> web.StreamResponse:
            try:
                return await super().give(*arguments, **options)
            finally:
                given_up.set()

    monkeypatch.setattr(server, "Replay", Watched)
    path = tmp_path / "long"
    pieces = [data_line(0.0, bytes(1 << 20))] * 30
    path.write_bytes(HEAD + answer_line(0.0, 200, {}) + b"".join(pieces) + end_line(0.0, None))
    async with Simulator(speed=0, replay=path) as sim, asyncio.timeout(10):
        reader, _ = await call("scale", at=sim)
        await given_up.wait()
        received = b""
        with suppress(ConnectionResetError):
            while data := await reader.read(1 << 20):
                received += data
    assert len(received) < 30 << 20
