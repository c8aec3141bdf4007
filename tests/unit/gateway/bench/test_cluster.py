"""The bench of several processes as one gateway: all of it with very few listeners, and what it is made of.

Invariant under test: real processes share real streams, every byte of which is compared, and all of them end.
It must not judge the figures.
"""

import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.bench import cluster
from gateway.bench.benches import BENCHES, DONE, BenchError, Order
from gateway.bench.cluster import HOW, Scale, added, carry, run, scale_of
from gateway.bench.cluster_redis import RedisServer
from gateway.bench.cluster_scene import Nodes
from gateway.bench.gathering import Opened, Size
from gateway.bench.stage import Stage
from gateway.bench.usage import children
from tests.unit.gateway.bench.test_fanout_rows import sitting

LITTLE = Scale(listeners=3, crowd=2, settle=0.2)


def test_every_part_has_words() -> None:
    """What is in the table of benches is measured, and explained."""
    assert list(HOW) == list(BENCHES["cluster"].parts)
    assert scale_of(None) == Scale()
    assert (scale_of(7).listeners, scale_of(7).crowd) == (7, 7)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("workers", ("two workers carry", "heard every byte of a song")),
        ("latency", ("added, p50", "a ping, p50")),
        ("commands", ("two nodes, no stream", "a stream, 2 listeners")),
    ],
)
def test_a_few_hear_it(part: str, words: tuple[str, str], need: Callable[[str], str]) -> None:
    """From real gateways on a real Redis; no process is left, and the processors are given back."""
    need("redis-server")
    out, err, before, processors = io.StringIO(), io.StringIO(), children(os.getpid()), os.sched_getaffinity(0)
    assert run(Order(1.0, 1, [part], None, strict=False), out, err, LITTLE) == DONE
    assert (children(os.getpid()), os.sched_getaffinity(0)) == (before, processors)
    said = " ".join(out.getvalue().split())
    for expected in words:
        assert expected in said


async def test_one_and_two_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same listeners to each, in every round, and what Redis took while it was counted."""
    asked: list[tuple[Size, str]] = []

    def server(provider: str, processor: int) -> str:
        return "one"

    def workers(here: Stage, redis: RedisServer, count: int, mark: Callable[[float], None]) -> str:
        mark(1.0)
        mark(1.25)
        return f"{count}"

    async def sit(here: Stage, size: Size, seconds: float, settle: float, opened: Opened) -> Any:
        asked.append((size, cast("str", opened())))
        return sitting(size.listeners, 10.0)

    for name, stand_in in (("server", server), ("workers", workers), ("sit", sit)):
        monkeypatch.setattr(cluster, name, stand_in)
    here = Stage("http://provider", 0, frozenset({1}))
    told: list[str] = []
    order = Order(1.0, 2, (), None, strict=False)
    one, two = await carry(here, RedisServer("redis://here", 1), order, LITTLE, told.append)
    assert asked == [(Size("websocket", 3), "one"), (Size("websocket", 3), "2")] * 2
    assert [turn.redis for turn in two] == [0.25, 0.25]
    assert len(one) == 2
    assert told[-1] == "3 listeners to two workers, round 2 of 2"


async def test_chunks_that_only_one_node_heard_are_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any that both did, there is none at all."""

    @asynccontextmanager
    async def silence(*arguments: object) -> AsyncIterator[Any]:
        async def told(kind: str) -> tuple[float, dict[str, Any]]:
            return 0.0, {}

        yield SimpleNamespace(say=lambda *words, **fields: None, told=told)

    @asynccontextmanager
    async def on_air(streams: int) -> AsyncIterator[dict[str, None]]:
        yield dict.fromkeys(f"st_{number}" for number in range(streams))

    ticks = iter(range(100))
    node = SimpleNamespace(public="", key="")
    here = SimpleNamespace(owner=node, other=node, clock=lambda: float(next(ticks)), on_air=on_air)
    monkeypatch.setattr(cluster, "probe", silence)
    with pytest.raises(BenchError, match="no chunk has come to both nodes"):
        await added(cast("Nodes", here), 0.05, 0.0, lambda words: None)


def test_without_a_redis_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program is looked for before a gateway is started."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="redis-server or valkey-server"):
        run(Order(1.0, 1, ["latency"], None, strict=False), io.StringIO(), io.StringIO(), LITTLE)
