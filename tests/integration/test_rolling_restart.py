"""All workers are replaced, one after another, under many listeners, and nobody misses a byte.

Each listener is a client as users have it, on a connection of its own; a quarter of them hears each of four songs, two
of which are encoded. Invariant under test: no frame twice, none missing, and what was heard
hashes to what the gateway says. It looks at frames, hashes and the supervisor's words only.
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.client import Client, Kind, Patience
from gateway.config.secret import key_hash
from gateway.upstream.simulator.server import Simulator
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.redis import redis_server

Start = Callable[..., Awaitable[Program]]
Need = Callable[[str], str]

KEY = "wg_acme"
# A thousand clients and two workers, on two processors that measure coverage besides.
SECONDS = 300.0
FORMATS = ("mp3", "mp3", "ogg", "mp4")
PATIENCE = Patience(base=0.1, cap=2.0, attempts=50, seconds=SECONDS)


async def listener(url: str, stream_id: str, form: str, begun: Callable[[], None]) -> int:
    """Hears it to its end; gives how often it had to connect again."""
    heard, last = hashlib.sha256(), -1
    async with Client(url, key=KEY, patience=PATIENCE) as client:
        song = await client.attach(stream_id, format=form)
        async with song:
            async for frame in song:
                heard.update(frame.payload)
                if frame.header.kind is Kind.AUDIO:
                    assert frame.header.seq == last + 1
                    last = frame.header.seq
                    if last == 0:
                        begun()
            assert heard.hexdigest() == song.sha256, form
            return song.statistics.reconnects


@pytest.mark.nightly
@pytest.mark.timeout(360)
@pytest.mark.parametrize(("listeners", "seconds"), [(60, 16), (1000, 60)])
async def test_no_byte_is_lost(process: Start, need: Need, tmp_path: Path, listeners: int, seconds: int) -> None:
    """Songs at real time, which were begun before the first worker goes and end after the last has come."""
    async with redis_server(need("redis-server")) as redis, Simulator() as simulator:
        file = tmp_path / "wavegate.yaml"
        settings = {
            "server": {"port": 0, "internal_port": 0, "drain_timeout": 4.0 * seconds},
            "upstream": {"base_url": simulator.url, "audio_hosts": ["127.0.0.1:*"]},
            "cluster": {"redis_url": redis.url},
            "tenants": [{"id": "acme", "keys": [key_hash(KEY)], "limits": {"listeners": 0, "connections": 0}}],
        }
        file.write_text(json.dumps(settings), encoding="utf-8")
        surroundings = {"DASHSCOPE_API_KEY": "sk-test-provider-key-0123456789", "PYTHONPATH": os.pathsep.join(sys.path)}
        command = (sys.executable, "-m", "gateway", "serve", "--config", file, "--workers", "2")
        program = await process(*command, cwd=ROOT, environment=surroundings)
        url = (await program.says(r"^  public    (http://127\.0\.0\.1:\d+)$", SECONDS))[1]
        async with Client(url, key=KEY) as client:
            songs = []
            for number in range(4):
                prompt = f"[[scale seconds={seconds} speed=1]] scale {number}"
                song = await client.create(prompt=prompt, format="mp3")
                songs.append(song)
            ids = [song.id for song in songs]
            for song in songs:
                await song.close()
        left, all_hear = listeners, asyncio.Event()

        def begun() -> None:
            nonlocal left
            left -= 1
            if not left:
                all_hear.set()

        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
            hearing = [
                tasks.create_task(listener(url, ids[number % 4], FORMATS[number % 4], begun))
                for number in range(listeners)
            ]
            await all_hear.wait()
            program.send(signal.SIGUSR2)
            await program.says(r"restart\.done", SECONDS)
        assert len(hearing) == listeners
        program.send(signal.SIGTERM)
        assert await program.ends(SECONDS) == 0
