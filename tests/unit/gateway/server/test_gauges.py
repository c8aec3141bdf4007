"""Tests of what is looked at when the metrics are asked for.

Invariant under test: each look says how it is now, and leaves nothing of how it was.
It must not know a page.
"""

import asyncio
import os
from types import SimpleNamespace
from typing import Any

from gateway.server.gauges import Gauges
from metrics.recorder import Recorder
from tests.support.verbs import value


class Parts:
    """What is looked at, as a test wants it."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.measured = 0
        self.callers = [1, 2]
        self.encodings = SimpleNamespace(workers=["pid 1", "pid 2"], room=64, pids=[os.getpid()])
        self.cluster = SimpleNamespace(ready=True, peers={"a": b"", "b": b""})
        self.recorder = Recorder()

    @property
    def websockets(self) -> int:
        return 3

    def __len__(self) -> int:
        return 5

    def measure(self) -> None:
        self.measured += 1

    def look(self, *, cluster: bool = True) -> None:
        parts: Any = self
        Gauges(
            self.recorder,
            lambda: self.reasons,
            parts,
            parts.callers,
            parts,
            parts.encodings,
            parts.cluster if cluster else None,
        ).look()

    def says(self, name: str, **labels: str) -> float | None:
        return value(self.recorder, name, **labels)


async def test_everything_is_as_it_is() -> None:
    """Connections by kind, nodes, codec workers, the process; and the governor is told to say how it is."""
    parts = Parts()
    parts.look()
    assert (parts.says("connections", kind="websocket"), parts.says("connections", kind="http")) == (3.0, 4.0)
    assert (parts.says("redis_up"), parts.says("cluster_nodes")) == (1.0, 3.0)
    assert (parts.says("codec_workers"), parts.says("renditions_limit")) == (2.0, 64.0)
    assert (parts.says("codec_worker_memory_bytes") or 0.0) > 1 << 20
    assert (parts.says("codec_worker_cpu_seconds_total") or 0.0) > 0
    assert (parts.says("process_open_fds") or 0.0) > 2
    assert (parts.says("process_cpu_seconds_total") or 0.0) > 0
    assert (parts.measured, parts.says("event_loop_tasks")) == (1, float(len(asyncio.all_tasks())))
    assert parts.says("ready") == 1.0


async def test_what_is_not_ready_is_told_until_it_is() -> None:
    """Each reason has its own gauge, and goes back."""
    parts = Parts()
    parts.reasons, parts.cluster.ready = ["redis away", "draining"], False
    parts.look()
    assert (parts.says("ready"), parts.says("draining"), parts.says("redis_up")) == (0.0, 1.0, 0.0)
    assert parts.says("unready", reason="redis_away") == 1.0
    parts.reasons, parts.cluster.ready = [], True
    parts.look()
    assert (parts.says("ready"), parts.says("draining"), parts.says("redis_up")) == (1.0, 0.0, 1.0)
    assert parts.says("unready", reason="redis_away") == 0.0


async def test_without_a_cluster_there_are_no_nodes() -> None:
    """And Redis is not away, for there is none."""
    parts = Parts()
    parts.look(cluster=False)
    assert (parts.says("redis_up"), parts.says("cluster_nodes")) == (1.0, 0.0)
