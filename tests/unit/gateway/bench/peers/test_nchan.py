"""nginx with Nchan: its configuration, what is missing, and the whole where it is installed.

Invariant under test: listeners get binary messages of the right size, and the process that counts is nginx's worker.
It must not know what is in a message.
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.bench.benches import BenchError
from gateway.bench.peers import nchan
from gateway.bench.peers.table import PEERS
from tests.unit.gateway.bench.peers.listening import promised


def test_everything_is_written_in_its_own_place() -> None:
    """And one worker serves one address."""
    text = nchan.configuration(Path("m.so"), Path("here"), 4711)
    assert "load_module m.so;" in text
    assert "listen 127.0.0.1:4711 " in text
    assert "worker_processes 1;" in text
    assert text.count(" here/") == 6


def test_the_module_is_looked_for(tmp_path: Path) -> None:
    """In each folder in turn."""
    assert nchan.module([str(tmp_path)]) is None
    file = tmp_path / "ngx_nchan_module.so"
    file.touch()
    assert nchan.module([str(tmp_path / "no"), str(tmp_path)]) == file


async def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """nginx, or its module; a start says the same."""
    peer = PEERS["nchan"]
    monkeypatch.setattr(nchan, "module", lambda: None)
    monkeypatch.setattr(nchan, "nginx", lambda: "nginx")
    assert peer.missing() == "nginx has no ngx_nchan_module.so"
    monkeypatch.setattr(nchan, "module", lambda: Path("m.so"))
    assert peer.missing() is None
    monkeypatch.setattr(nchan, "nginx", lambda: None)
    assert peer.missing() == "nginx is not installed"
    with pytest.raises(BenchError, match="the peer nchan did not start: nginx is not installed"):
        async with peer.start(30, 0.02, None):
            pass


def test_nginx_is_looked_for_where_users_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an administrator's program."""
    asked: list[str | None] = []
    monkeypatch.setattr(shutil, "which", lambda name, path=None: asked.append(path))
    assert nchan.nginx() is None
    assert asked == [None, "/usr/sbin:/usr/local/sbin"]


async def test_it_does_what_a_peer_does(need: Callable[[str], str]) -> None:
    """Where it is installed; all of it ends."""
    need("nginx")
    peer = PEERS["nchan"]
    if reason := await asyncio.to_thread(peer.missing):
        pytest.skip(reason)
    cpu = max(os.sched_getaffinity(0))
    async with peer.start(300, 0.02, cpu) as running:
        (worker,) = running.pids
        assert os.sched_getaffinity(worker) == {cpu}
        await promised(running.url, 300)
        await promised(running.url, 300, clients=2)
    assert not os.path.exists(f"/proc/{worker}")
