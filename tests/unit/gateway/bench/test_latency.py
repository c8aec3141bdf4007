"""The bench of the gateway's own delays: its figures, and the whole of it with very little of everything.

Invariant under test: both views are told, and a metric that does not cover what was measured is not.
It must not judge the figures: a test says nothing about speed.
"""

import io
import json
import math
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.bench import latency
from gateway.bench.benches import BENCHES, DONE, Bench, BenchError, Order
from gateway.bench.latency import Found, completed_by, first, first_rows, relay, relay_rows, run
from gateway.bench.latency_histogram import Histogram
from gateway.bench.latency_scene import Scale, Scene
from gateway.bench.usage import children
from gateway.model import Flag, Kind
from gateway.protocol.frames import Header

METRIC = Histogram({0.001: 90, 0.005: 98, 0.01: 100, math.inf: 100})


@pytest.fixture(autouse=True)
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "TRIES", 3)
    bench = Bench("how long sound takes", {"first": "the first sound", "relay": "every chunk"}, run)
    monkeypatch.setitem(BENCHES, "latency", bench)


def measured(order: Order, scale: Scale) -> tuple[str, list[str]]:
    """What a run says, and what it was doing."""
    out, err = io.StringIO(), io.StringIO()
    assert run(order, out, err, scale, Random(1)) == DONE
    return out.getvalue(), err.getvalue().splitlines()


@pytest.mark.nightly
def test_both_parts_are_measured(tmp_path: Path) -> None:
    """With a gateway, a crowd and a probe, all of which end; the processors are given back."""
    file, processors, before = tmp_path / "figures.json", os.sched_getaffinity(0), children(os.getpid())
    said, doing = measured(Order(2.0, 1, (), file, strict=False, listeners=4), Scale(2, 2, 0.0))
    assert children(os.getpid()) == before
    assert os.sched_getaffinity(0) == processors
    assert said.index("first: ") < said.index("relay: ")
    assert "measuring first: 4 listeners come" in doing
    assert "measuring first: 3 first notes" in doing
    figures = json.loads(file.read_text())["rows"]
    assert [(row["part"], row["name"]) for row in figures] == [
        ("first", "metric, within 1 ms"),
        ("first", "metric, within 5 ms"),
        ("first", "from outside, p50"),
        ("first", "from outside, p99"),
        ("first", "a ping, p50"),
        ("relay", "metric, p50"),
        ("relay", "metric, p99"),
        ("relay", "from outside, p50"),
        ("relay", "from outside, p99"),
        ("relay", "a ping, p50"),
    ]
    assert all(row["value"] > 0 for row in figures if row["unit"] == "ms")


@pytest.mark.parametrize(
    ("delays", "verdicts"),
    [
        ([0.0004] * 99 + [0.02], ["ok", "below", "ok", "ok", ""]),
        ([0.002] * 98 + [0.02] * 2, ["ok", "below", "over", "over", ""]),
    ],
)
def test_first_sounds_are_judged_twice(delays: Sequence[float], verdicts: list[str]) -> None:
    """By shares of the metric, and by percentiles from outside."""
    rows = first_rows(Found(delays, [0.0002], METRIC))
    assert [row.verdict for row in rows] == verdicts
    assert (rows[0].value, rows[1].value, rows[4].value) == (90.0, 98.0, pytest.approx(0.2))
    assert rows[2].value == pytest.approx(delays[0] * 1e3)


def test_chunks_are_only_told() -> None:
    """There is no target for them."""
    rows = relay_rows(Found([0.001, 0.003], [0.0002], METRIC))
    assert [row.verdict for row in rows] == [""] * 5
    assert rows[0].value == pytest.approx(50 / 90)
    assert rows[1].value == pytest.approx(7.5)
    assert rows[1].spread == "within 1 ms: 90.0%"
    assert (rows[2].value, rows[3].value) == (pytest.approx(1), pytest.approx(3))


@pytest.mark.parametrize(("frames", "number"), [(5, 0), (6, 0), (7, 1), (11, 1), (12, 1), (13, 2)])
def test_the_event_that_completed_a_chunk(frames: int, number: int) -> None:
    """That which brought its last codec frame: six of them are in each."""
    header = Header(Kind.AUDIO, Flag.NONE, 0, (frames - 4) * 1152, 0, 4 * 1152)
    assert completed_by(header) == number


class Listener:
    """Is told everything at once, and hears nothing."""

    def __init__(self) -> None:
        self.heard: object = None

    def say(self, kind: str, **fields: object) -> None:
        pass

    async def told(self, kind: str) -> tuple[float, dict[str, object]]:
        return 0.0, {"type": kind}


class Nowhere:
    """A scene without anything in it: calls come at once, and the metric has one observation more each time."""

    def __init__(self) -> None:
        self.finished = 0
        self.observed = 0
        self.gateway = SimpleNamespace(public="", key="", metrics=self.metrics)
        self.provider = SimpleNamespace(called=self.called)
        self.radio: dict[str, object] = {}
        self.pieces = [b"sound"]
        self.clock = time.monotonic

    async def metrics(self) -> str:
        self.observed += 1
        return "\n".join(
            f'wavegate_{name}_bucket{{le="+Inf"}} {self.observed}'
            for name in ("relay_first_audio_seconds", "relay_latency_seconds")
        )

    async def called(self, prompt: str) -> object:
        return SimpleNamespace(sent=[0.0], send=lambda data: None, finish=self.finish)

    def finish(self, *song: object) -> None:
        self.finished += 1


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Nowhere:
    """With a probe that is as little as the scene."""

    @asynccontextmanager
    async def probe(*where: object) -> AsyncIterator[Listener]:
        yield Listener()

    monkeypatch.setattr(latency, "probe", probe)
    return Nowhere()


async def test_a_metric_that_counts_something_else_is_told(nowhere: Nowhere) -> None:
    """Then neither view is believed."""
    with pytest.raises(BenchError, match="has measured 1 first sounds, not 0"):
        await first(cast("Scene", nowhere), 0, Random(1))


async def test_no_chunk_at_all_is_told(nowhere: Nowhere) -> None:
    """Nothing is divided by nothing."""
    with pytest.raises(BenchError, match=r"no chunk has come within 0\.01 s"):
        await relay(cast("Scene", nowhere), 0.01)


async def test_a_first_note_that_is_not_heard_is_told(nowhere: Nowhere, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time; the song is over all the same."""
    monkeypatch.setattr(latency, "_HEAR_SECONDS", 0.01)
    with pytest.raises(BenchError, match=r"a first note was not heard within 0\.01 s"):
        await first(cast("Scene", nowhere), 1, Random(1))
    assert nowhere.finished == 1
