"""Where a cluster is measured: whose processes count. The whole is tried with the bench.

Invariant under test: figures of several processes are their sum, the supervisor's among them.
It must not start a gateway.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from gateway.bench.benches import BenchError
from gateway.bench.cluster_redis import RedisServer
from gateway.bench.cluster_scene import Workers, children, shared
from gateway.bench.usage import processor_seconds, resident

pytestmark = pytest.mark.blocking("a bench looks at files of the system between its turns")


async def test_figures_are_of_all_processes() -> None:
    """The supervisor's and its children's, and whoever asks is told when."""
    looks: list[int] = []
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    one = Workers(os.getpid(), "", "", "", Path(), lambda: looks.append(1))
    assert child.pid in children(os.getpid())
    assert set(one.pids()) >= {os.getpid(), child.pid}
    assert one.cpu() >= processor_seconds([os.getpid()]) * 0.5
    assert one.resident() > resident(child.pid)
    assert looks == [1]
    child.kill()
    await child.wait()


def test_where_there_is_no_proc_nothing_is_measured(tmp_path: Path) -> None:
    """A sentence."""
    with pytest.raises(BenchError, match="Linux"):
        children(1, tmp_path)


def test_what_is_shared_is_in_redis() -> None:
    """The ledger, too; ports are free ones, as for any load test."""
    more = shared("http://provider", "key", RedisServer("redis://here", 1))
    assert more["cluster"]["redis_url"] == more["quota"]["store"] == "redis://here"
    assert more["server"]["port"] == 0
