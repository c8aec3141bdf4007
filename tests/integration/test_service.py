"""`wavegate serve` as a service: a service manager's words and sockets, reloading by signal, workers under TLS.

Real processes and signals. Invariant under test: a service manager knows at any moment whether the gateway serves, and
what a reload could not take up is said. systemd itself cannot run in a test: its protocols are spoken by the test.
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.config.secret import key_hash
from tests.house.programs import Program
from tests.house.tree import ROOT
from tests.support.certificates import Authority
from tests.support.manager import Manager
from tests.support.redis import redis_server

Start = Callable[..., Awaitable[Program]]
Need = Callable[[str], str]

KEY, OTHER = "wg_acme", "wg_other"
PATIENCE = 60.0
SURROUNDINGS = {"DASHSCOPE_API_KEY": "sk-test-provider-key-0123456789", "PYTHONPATH": os.pathsep.join(sys.path)}

# Binds a port, as systemd does for a unit of sockets, and becomes the program.
SOCKETS = """
import os, socket, sys
one = socket.create_server(("127.0.0.1", 0))
print("bound", one.getsockname()[1], flush=True)
os.dup2(one.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def written(folder: Path, *keys: str, **sections: Any) -> Path:
    """The configuration with these tenants' keys."""
    file = folder / "wavegate.yaml"
    server = {"port": 0, "internal_port": 0, **sections.pop("server", {})}
    tenants = [{"id": f"t{number}", "keys": [key_hash(key)]} for number, key in enumerate(keys)]
    settings = {
        "server": server,
        "quota": {"store": "memory:"},
        "transcode": {"workers": 0},
        "tenants": tenants,
        "log": {"format": "json"},
        **sections,
    }
    file.write_text(json.dumps(settings), encoding="utf-8")
    return file


async def status(url: str, key: str, **options: Any) -> int:
    """What is answered to a question with this key."""
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{url}/v1/streams", **options) as response:
        return response.status


async def test_a_service_manager_follows_a_gateway(process: Start, tmp_path: Path) -> None:
    """Ready when it serves, beats, reloads what it can and says what it cannot, and stops; on a port that was given."""
    manager = Manager(f"\0wavegate-service-{os.getpid()}")
    file = written(tmp_path, KEY)
    surroundings = {**SURROUNDINGS, "NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "400000"}
    program = await process(
        sys.executable, "-c", SOCKETS, "-m", "gateway", "serve", "--config", file, cwd=ROOT, environment=surroundings
    )
    port = (await program.says(r"^bound (\d+)$", PATIENCE))[1]
    ready = await manager.hears("READY")
    assert ready["MAINPID"] == str(program.pid)
    assert ready["STATUS"] == "serving: 0 streams run, 0 listeners, 0 connections"
    url = f"http://127.0.0.1:{port}"
    assert [await status(url, key) for key in (KEY, OTHER)] == [200, 401]
    await manager.hears("WATCHDOG")
    written(tmp_path, OTHER, server={"port": 1, "trusted_proxies": ["::1"]}, relay={"live_lag": 1})
    program.send(signal.SIGHUP)
    assert (await manager.hears("RELOADING"))["MONOTONIC_USEC"].isdecimal()
    await manager.hears("READY")
    assert [await status(url, key) for key in (KEY, OTHER)] == [401, 200]
    line = json.loads((await program.says(r"^(\{.*config\.reloaded.*\})$", PATIENCE))[1])
    assert line["changed"] == ["server.trusted_proxies", "tenants"]
    assert line["needs_restart"] == ["server.port", "relay.live_lag"]
    file.write_text("server: {port: -1}", encoding="utf-8")
    program.send(signal.SIGHUP)
    await program.says(r"config\.refused.*server\.port", PATIENCE)
    assert await status(url, OTHER) == 200
    program.send(signal.SIGTERM)
    await manager.hears("STOPPING")
    assert await program.ends(PATIENCE) == 0
    manager.close()


@pytest.mark.nightly
async def test_a_loop_that_hangs_says_where(process: Start, tmp_path: Path) -> None:
    """It does not beat, and when the watchdog ends it the stack of what hung is written."""
    manager = Manager(str(tmp_path / "notify"))
    surroundings = {**SURROUNDINGS, "NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "200000"}
    command = (sys.executable, "-m", "gateway", "serve", "--config", written(tmp_path, KEY))
    program = await process(*command, cwd=ROOT, environment=surroundings)
    await manager.hears("WATCHDOG")
    program.send(signal.SIGSTOP)
    manager.heard()
    await asyncio.sleep(0.3)
    assert manager.heard() == []
    program.send(signal.SIGABRT)
    program.send(signal.SIGCONT)
    assert await program.ends(PATIENCE) == -signal.SIGABRT
    await program.says("Fatal Python error: Aborted", PATIENCE)
    manager.close()


@pytest.mark.nightly
async def test_workers_under_tls_and_their_supervisor(process: Start, need: Need, tmp_path: Path) -> None:
    """Each has the certificate; a new one is that of all after a reload; the supervisor speaks for them."""
    authority = Authority(tmp_path)
    papers = authority.issue()
    manager = Manager(str(tmp_path / "notify"))
    async with redis_server(need("redis-server")) as redis:
        sections = {"server": {"workers": 2, **papers.config()}, "cluster": {"redis_url": redis.url}}
        file = written(tmp_path, KEY, **sections)
        surroundings = {**SURROUNDINGS, "NOTIFY_SOCKET": manager.name}
        program = await process(
            sys.executable, "-m", "gateway", "serve", "--config", file, cwd=ROOT, environment=surroundings
        )
        url = (await program.says(r"^  public    (https://127\.0\.0\.1:\d+)$", PATIENCE))[1]
        assert re.fullmatch(r"serving: [12] of 2 workers", (await manager.hears("READY"))["STATUS"])
        port = int(url.rpartition(":")[2])

        async def shown() -> set[bytes]:
            found = set()
            for _ in range(12):
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=authority.trusted)
                found.add(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
                writer.close()
            return found

        assert await status(url, KEY, ssl=authority.trusted) == 200
        (before,) = await shown()
        authority.issue()
        program.send(signal.SIGHUP)
        await manager.hears("RELOADING")
        async with asyncio.timeout(PATIENCE):
            while before in await shown():
                pass
        assert len(await shown()) == 1
        program.send(signal.SIGTERM)
        await manager.hears("STOPPING")
        assert await program.ends(PATIENCE) == 0
    manager.close()
