"""The soak itself, for two seconds and with very few, and for a minute as it is typed; both at night.

A gateway waits 20 s for an HLS player that asks for nothing, so even a short soak takes its time to be idle.

Invariant under test: whatever was done, the gateway is in the end as it was, and every second is accounted for.
It must not judge memory: two seconds make none.
"""

import asyncio
import io
import os
from typing import Any

import pytest

from gateway.bench import churn
from gateway.bench.benches import BENCHES, DONE, BenchError, Order
from gateway.bench.report import Row
from gateway.bench.runner import Tell
from gateway.bench.soak import bench as module
from gateway.bench.soak.bench import HOW, STEP_SECONDS, Course, Scale, run
from gateway.bench.soak.count import Count
from gateway.bench.stage import Server
from gateway.bench.usage import children

LITTLE = Scale(listeners=4, guests=3, step=0.6, warm=0.6, spare=0.5, retain=0.3, pauses=(0.1, 0.4), rest=0.0)
KEPT = (
    "open files",
    "of them sockets",
    "threads",
    "processes",
    "tasks of the loop",
    "codec workers",
    "listeners",
    "running streams",
    "streams in memory",
    "bytes of sound in memory",
    "connections",
    "encodes",
    "calls at the provider",
    "orders that wait",
    "leases left",
    "whole songs billed otherwise",
    "charged beyond what was sent",
    "neither settled nor given back",
    "calls that nobody can explain",
    "wrong for guests",
    "lost or wrong for the crowd",
    "tracebacks among them",
)


@pytest.mark.nightly
@pytest.mark.timeout(150)
def test_two_seconds() -> None:
    """Everything happens at a real gateway, which is as it was, and no process is left."""
    out, before = io.StringIO(), children(os.getpid())
    assert run(Order(1.2, 1, (), None, strict=False), out, io.StringIO(), LITTLE) == DONE
    assert children(os.getpid()) == before
    said = out.getvalue()
    missed = [line for line in said.partition("targets met")[2].splitlines() if "memory:" not in line]
    assert [line for line in missed if line] == []
    assert all(name in said for name in KEPT)


@pytest.mark.nightly
@pytest.mark.timeout(400)
async def test_a_minute(process: Any) -> None:
    """As it is typed; a target that is missed is a failure."""
    soak = await process("wavegate", "bench", "soak", "--seconds", "60", "--strict")
    assert await soak.ends(timeout=380) == DONE, soak.said


def test_rounds_have_seeds_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """So each is another course of events; the first time is a quarter, and no less than a step."""
    asked: list[tuple[Scale, float, int]] = []

    async def soak(scale: Scale, seconds: float, seed: int, tell: Tell) -> list[Row]:
        asked.append((scale, seconds, seed))
        return []

    monkeypatch.setattr(module, "soak", soak)
    assert run(Order(4.0, 2, (), None, False, 7), io.StringIO(), io.StringIO()) == DONE
    assert [(one.listeners, one.step, one.warm, seconds) for one, seconds, _ in asked] == [(7, 2.0, 2.0, 4.0)] * 2
    assert asked[0][2] != asked[1][2]
    assert run(Order(600.0, 1, (), None, False), io.StringIO(), io.StringIO()) == DONE
    assert (asked[2][0].step, asked[2][0].warm) == (STEP_SECONDS, 150.0)


@pytest.mark.blocking("a small file is the test's own")
async def test_a_song_that_is_refused_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """With a sentence, and nothing goes on behind it."""
    (tmp_path / "wavegate.yaml").write_text("{}")

    async def refused(*given: object) -> dict[str, int]:
        raise OSError("a stream was refused with 503")

    async def waits(*given: object, **more: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(churn, "come_and_go", refused)
    monkeypatch.setattr(Course, "_guests", waits)
    course = Course(Server(0, "", "", "", tmp_path / "complaints"), None, LITTLE, 1)  # type: ignore[arg-type] # nobody comes
    with pytest.raises(BenchError, match="cannot go on: a stream was refused with 503"):
        await course.last(1.0, Count())


def test_it_is_explained() -> None:
    """In the table and beside the figures."""
    assert set(HOW) == set(BENCHES["soak"].parts)
