"""Trouble for a process that is none of ours to trouble: signals are only written down.

Invariant under test: the last file is the first, bad files are among those between, and only codec processes die.
It must not run a gateway.
"""

import asyncio
import json
import os
import signal
from pathlib import Path
from random import Random

import pytest

from gateway.bench.soak import trouble as module
from gateway.bench.soak.count import Count
from gateway.bench.soak.trouble import Trouble
from gateway.bench.stage import Server
from tests.support.server import soon

GOOD = json.dumps({"tenants": [{"id": "bench", "keys": []}]})


class Deaf(Server):
    """Counts what the test says."""

    async def metrics(self) -> str:
        return (self.complaints.with_name("metrics")).read_text()


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(module, "family", lambda pid: {7: "python -m transcode.worker", 8: "something else"})
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)
    return sent


def trouble(folder: Path, count: Count) -> Trouble:
    (folder / "wavegate.yaml").write_text(GOOD)
    (folder / "metrics").write_text('wavegate_config_reloads_total{result="ok"} 1.0\n')
    return Trouble(Deaf(4711, "", "", "", folder / "complaints"), Random(1), count, (0.0, 0.002), 0.02)


pytestmark = pytest.mark.blocking("small files are the test's own")


async def test_everything_happens(tmp_path: Path, signals: list[tuple[int, int]]) -> None:
    """Good files, bad ones, and a death; each told to the process that is meant."""
    count = Count()
    running = asyncio.create_task(trouble(tmp_path, count).go_on())
    await soon(lambda: len(count.done) == 3)
    running.cancel()
    await asyncio.wait([running])
    assert set(count.done) == {"reloaded", "reloaded what is wrong", "codec process killed"}
    assert set(signals) == {(4711, signal.SIGHUP), (7, signal.SIGKILL)}


async def test_the_first_file_is_the_last(tmp_path: Path, signals: list[tuple[int, int]]) -> None:
    """And it is waited for until it was taken."""
    here = trouble(tmp_path, Count())
    here.reload("relay: {no_such_key: 1}\n")
    ending = asyncio.create_task(here.end())
    await soon(lambda: len(signals) == 2)
    assert (tmp_path / "wavegate.yaml").read_text() == GOOD
    assert not ending.done()
    (tmp_path / "metrics").write_text('wavegate_config_reloads_total{result="ok"} 2.0\n')
    async with asyncio.timeout(20):
        await ending


async def test_a_gateway_that_takes_nothing_is_not_waited_for(
    tmp_path: Path, signals: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a while."""
    monkeypatch.setattr(module, "_RELOAD_SECONDS", 0.01)
    async with asyncio.timeout(20):
        await trouble(tmp_path, Count()).end()


def test_without_codec_processes_nobody_dies(
    tmp_path: Path, signals: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be none just then."""
    count = Count()
    monkeypatch.setattr(module, "family", lambda pid: {8: "something else"})
    trouble(tmp_path, count).kill()
    assert not signals
    assert not count.done
